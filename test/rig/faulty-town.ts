import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { Script } from '../../src/store/script.ts'
import { type Daemon, startProgram, type TestTown } from './daemon.ts'
import type { FakeAgents } from './fake-agent.ts'
import { type Match, type RedisProxy, startProxy } from './proxy.ts'
import { type RedisServer, startRedis } from './redis-servers.ts'
import { useScene } from './scene.ts'

const BLOCKER = fileURLToPath(new URL('./block-event-loop.mjs', import.meta.url))
const SHIFTER = fileURLToPath(new URL('./shift-clock.mjs', import.meta.url))

/** A town on a redis-server that keeps every write, behind a proxy for whoever wants it. */
export interface FaultyTown {
  readonly town: TestTown
  readonly agents: FakeAgents
  readonly proxy: RedisProxy
  readonly server: RedisServer
  /** Ends the server as a crash does. */
  killRedis(): Promise<void>
  /** Starts it again with its data, and with more lines of redis.conf. Settles when it has read the data. */
  startRedis(...config: string[]): Promise<void>
  /** Starts a worker that reaches Redis through the proxy, and waits until it is idle. */
  behindProxy(...args: string[]): Promise<Daemon>
  /** The same, without waiting. */
  startBehindProxy(...args: string[]): Daemon
  /** Starts a worker whose clock is off by so much. */
  withClock(shiftMs: number, ...args: string[]): Promise<Daemon>
  /** Starts a worker whose event loop stands still for so long at each SIGUSR2. */
  blockable(ms: number, ...args: string[]): Promise<Daemon>
  /** Starts a worker by a line of shell that ends with `exec "$@"`, and waits for nothing. */
  byShell(shell: string, ...args: string[]): Daemon
}

const KEEPS_ALL = ['appendonly yes', 'appendfsync always']

/** Makes towns for faults; what they open is closed by `onClose`. */
export function useFaultyTown(
  onClose: (close: () => Promise<unknown>) => void,
): (options?: { table?: string }) => Promise<FaultyTown> {
  const scene = useScene(onClose)
  return async (options = {}) => {
    let server = await startRedis({ config: KEEPS_ALL })
    onClose(() => server.close())
    const proxy = await startProxy({ host: '127.0.0.1', port: server.port })
    onClose(() => proxy.close())
    const { town, agents } = await scene({
      ...options,
      env: { REDIS_URL: `redis://127.0.0.1:${server.port}` },
    })
    const start = (args: readonly string[], env: object, shell?: string) => {
      const options = { cwd: town.root, env: { ...agents.env, ...env }, ...(shell ? { shell } : {}) }
      const daemon = startProgram(args, options)
      onClose(async () => {
        daemon.signal('SIGKILL')
        await daemon.exit
      })
      return daemon
    }
    const started = async (args: readonly string[], env: object) => {
      const daemon = start(args, env)
      await daemon.says(/starting -> (idle|paused|error)/)
      return daemon
    }
    return {
      town: { ...town, redis: async () => server.redis },
      agents,
      proxy,
      get server() {
        return server
      },
      async killRedis() {
        await server.kill()
        server.redis.disconnect()
      },
      async startRedis(...config) {
        server = await startRedis({ config: [...KEEPS_ALL, ...config], dir: server.dir, port: server.port })
      },
      behindProxy: (...args) => started(args, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
      byShell: (shell, ...args) =>
        start(args, { REDIS_URL: `redis://127.0.0.1:${server.port}`, TINYTOWN_MAX_ATTEMPTS: '1' }, shell),
      startBehindProxy: (...args) => start(args, { REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
      withClock: (shiftMs, ...args) =>
        started(args, {
          REDIS_URL: `redis://127.0.0.1:${server.port}`,
          NODE_OPTIONS: `--import=${SHIFTER}`,
          CLOCK_SHIFT_MS: String(shiftMs),
        }),
      blockable: (ms, ...args) =>
        started(args, {
          REDIS_URL: `redis://127.0.0.1:${server.port}`,
          NODE_OPTIONS: `--import=${BLOCKER}`,
          BLOCK_MS: String(ms),
        }),
    }
  }
}

/** A command of this name. */
export function commandOf(wanted: string): Match {
  return ([name = '']) => name.toLowerCase() === wanted
}

/** A run of this script, by its digest or, where the server does not know it yet, by its text. */
export function runOf({ sha }: Script): Match {
  return ([name = '', text = '']) => {
    const command = name.toLowerCase()
    if (command === 'evalsha') return text === sha
    return command === 'eval' && createHash('sha1').update(text).digest('hex') === sha
  }
}
