import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import { until } from './until.ts'

/** A real redis-server of the test's own on a unix socket. */
export interface TestRedis {
  readonly socketPath: string
  readonly url: string
  readonly process: ChildProcess
  /** A connection for looking and for acting as somebody else; closed with the server. */
  readonly redis: Redis
  close(): Promise<void>
}

/** Starts redis-server in a folder of its own, without persistence. */
export async function startTestRedis(...extra: string[]): Promise<TestRedis> {
  const dir = await mkdtemp(join(tmpdir(), 'tw-redis-'))
  const socketPath = join(dir, 'redis.sock')
  const options = ['--port', '0', '--unixsocket', socketPath, '--save', '', '--dir', dir, ...extra]
  const process = spawn('redis-server', options, { stdio: 'ignore' })
  const exited = once(process, 'exit')
  await until(() => answers(socketPath), 'redis-server answers on its socket')
  const redis = new Redis({ path: socketPath })
  return {
    socketPath,
    url: `unix://${socketPath}`,
    process,
    redis,
    async close() {
      await redis.quit().catch(() => redis.disconnect())
      process.kill('SIGKILL')
      await exited
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** A connection of a user who may do everything but what `denied` says, such as `-client|id`. The caller closes it. */
export async function connectAs(
  { redis, socketPath }: Pick<TestRedis, 'redis' | 'socketPath'>,
  denied: string,
): Promise<Redis> {
  await redis.acl('SETUSER', 'limited', 'reset', 'on', '>secret', '~*', '&*', '+@all', denied)
  return new Redis({ path: socketPath, username: 'limited', password: 'secret' })
}

/** A server for the test file and a fresh town for every test. */
export function useTown(): { redis: Redis; socketPath: string; url: string; town: TownKeys } {
  let server: TestRedis
  let town: TownKeys
  let count = 0
  beforeAll(async () => {
    server = await startTestRedis()
  })
  beforeEach(() => {
    count += 1
    town = townKeys(`town-${count}`)
  })
  afterAll(() => server.close())
  return {
    get redis() {
      return server.redis
    },
    get socketPath() {
      return server.socketPath
    },
    get url() {
      return server.url
    },
    get town() {
      return town
    },
  }
}
