import { join } from 'node:path'
import type { RedisBinary } from './find.ts'

/** How long a server may read its data before that counts as a failure. A town has megabytes, which takes a second. */
export const LOADING_MS = 30_000

export type ServerEvent =
  | { type: 'redis-started'; socketPath: string; pid: number; version: string }
  | { type: 'redis-adopted'; socketPath: string; pid: number | null }
  | { type: 'redis-loading'; socketPath: string }
  | { type: 'redis-stale-socket'; socketPath: string }

export interface LocalRedisOptions {
  /** The town folder. */
  root: string
  /** Absolute path of the unix socket. */
  socketPath: string
  /** Whether to keep append-only files next to the snapshots: at most one second of writes lost in a crash. */
  persist: boolean
  emit: (event: ServerEvent) => void
  /** The server to start; found in `~/.tt/bin` or PATH when absent. */
  binary?: RedisBinary
  /**
   * Where the data lies; the town folder when absent. `tt` starts its server there, so its snapshot is `<root>/dump.rdb`: a town
   * that is started by `tt` one day and by this worker the next has one memory, not two.
   */
  dataDir?: string
  /** `<root>/.tt/redis.pid` when absent, as with `tt`. */
  pidFile?: string
  /** `<root>/.tt/redis.log` when absent. */
  logFile?: string
}

/** Options with every place filled in. */
export type Place = Required<Omit<LocalRedisOptions, 'binary'>>

/** Fills in the places that were left out. */
export function placeOf({ binary: _, ...options }: LocalRedisOptions): Place {
  const folder = join(options.root, '.tt')
  return {
    dataDir: options.root,
    pidFile: join(folder, 'redis.pid'),
    logFile: join(folder, 'redis.log'),
    ...options,
  }
}
