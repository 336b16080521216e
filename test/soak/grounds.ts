import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Redis } from 'ioredis'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import { type RedisServer, startRedis } from '../rig/redis-servers.ts'

const CLI = resolve('test/soak/agent.mjs')
// Nothing is lost by a crash, and the file holds every write that was ever made.
const REDIS_CONFIG = [
  'appendonly yes',
  'appendfsync always',
  'auto-aof-rewrite-percentage 0',
  'aof-use-rdb-preamble no',
]

/** The folder of a soak: a town, its Redis with every write, the ledger of the runs, the logs of the daemons. */
export interface Grounds {
  readonly root: string
  readonly keys: TownKeys
  readonly ledger: string
  readonly logs: string
  readonly redisDir: string
  readonly redisPort: number
  /** A connection to Redis that goes through no proxy; null while Redis is away. */
  redis(): Redis | null
  /** Ends Redis as a crash does and starts it again with its data, after so long. */
  crashRedis(awayMs: number, sleep: (ms: number) => Promise<unknown>): Promise<void>
  redisPid(): number
  close(keep: boolean): Promise<void>
}

/** Makes the folder and starts Redis. */
export async function openGrounds(): Promise<Grounds> {
  const root = await mkdtemp(join(tmpdir(), 'tw-soak-'))
  const ledger = join(root, 'ledger.jsonl')
  const table = [
    'name = "soak"',
    '[agent_clis.soak]',
    `command = ${JSON.stringify(`${process.execPath} ${CLI}`)}`,
    // So that a file is there which could be left behind.
    'prompt = "file"',
    `env = { SOAK_LEDGER = ${JSON.stringify(ledger)} }`,
  ]
  await writeFile(join(root, 'tinytown.toml'), `${table.join('\n')}\n`)
  await writeFile(ledger, '')
  let server: RedisServer = await startRedis({ config: REDIS_CONFIG })
  let isUp = true
  return {
    root,
    keys: townKeys('soak'),
    ledger,
    logs: root,
    redisDir: server.dir,
    redisPort: server.port,
    redis: () => (isUp ? server.redis : null),
    redisPid: () => server.process.pid ?? -1,
    async crashRedis(awayMs, sleep) {
      isUp = false
      await server.kill()
      server.redis.disconnect()
      await sleep(awayMs)
      server = await startRedis({ config: REDIS_CONFIG, dir: server.dir, port: server.port })
      isUp = true
    },
    async close(keep) {
      server.redis.disconnect()
      await server.kill()
      if (keep) return
      await rm(server.dir, { recursive: true, force: true })
      await rm(root, { recursive: true, force: true })
    },
  }
}
