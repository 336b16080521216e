import { join } from 'node:path'
import type { TlsFiles } from '../config/tls-files.ts'
import type { RedisBinary } from './find.ts'
import type { Endpoint } from './resp.ts'

/** How long a server may read its data before that counts as a failure. A town has megabytes, which takes a second. */
export const LOADING_MS = 30_000

/** `address` is the path of the socket, or host and port. */
export type ServerEvent =
  | { type: 'redis-started'; address: string; pid: number; version: string }
  | { type: 'redis-adopted'; address: string; pid: number | null }
  | { type: 'redis-loading'; address: string }
  | { type: 'redis-stale-socket'; address: string }
  /** One that answers nothing is about to be replaced. */
  | { type: 'redis-silent'; address: string; pid: number }

/** A server that listens on a port. */
interface TcpListen {
  /** What clients connect to. */
  host: string
  port: number
  /** The address of this machine that it listens on. */
  bind: string
  password: string | undefined
  /** With TLS it has no plain port. The files are absolute paths, certificate and key among them. */
  tls: TlsFiles | null
}

/** Where the server listens: a unix socket (absolute path), with TCP off, or a port. */
export type Listen = { socketPath: string } | { tcp: TcpListen }

export type LocalRedisOptions = Listen & {
  /** The folder of the server: that of the town, or `~/.tt` for the central one. */
  root: string
  /** Whether to keep append-only files next to the snapshots: at most one second of writes lost in a crash. */
  persist: boolean
  /** True: other towns use it too, so that append-only files that one of them turned on stay on. */
  shared?: boolean
  emit: (event: ServerEvent) => void
  /** The server to start; found in `~/.tt/bin` or PATH when absent. */
  binary?: RedisBinary
  /**
   * Where the data lies; `root` when absent. `tt` starts its server there, so its snapshot is `<root>/dump.rdb`: a town
   * that is started by `tt` one day and by this worker the next has one memory, not two.
   */
  dataDir?: string
  /** `<root>/.tt/redis.pid` when absent, as with `tt`. */
  pidFile?: string
  /** `<root>/.tt/redis.log` when absent. */
  logFile?: string
}

/** Where a server is asked, and where its process id stands. */
export interface ServerPlace {
  listen: Listen
  endpoint: Endpoint
  /** What messages call it: the path of its socket, or host and port. */
  address: string
  /** What the lock of its start is named after. */
  lockBase: string
  dataDir: string
  pidFile: string
}

/** Options with every place filled in. */
export interface Place extends ServerPlace {
  root: string
  logFile: string
  persist: boolean
  shared: boolean
  emit: (event: ServerEvent) => void
}

/** Fills in the places that were left out. */
export function placeOf(options: LocalRedisOptions): Place {
  const { root, persist, emit } = options
  const folder = join(root, '.tt')
  return {
    root,
    persist,
    shared: options.shared ?? false,
    emit,
    ...serverPlace(options),
    logFile: options.logFile ?? join(folder, 'redis.log'),
  }
}

/** The part of it that asking and stopping a server takes. */
export function serverPlace(
  options: Listen & { root: string; dataDir?: string; pidFile?: string },
): ServerPlace {
  const pidFile = options.pidFile ?? join(options.root, '.tt', 'redis.pid')
  const dataDir = options.dataDir ?? options.root
  if ('socketPath' in options) {
    const { socketPath } = options
    const endpoint = { path: socketPath }
    return { listen: { socketPath }, endpoint, address: socketPath, lockBase: socketPath, dataDir, pidFile }
  }
  const { tcp } = options
  const { host, port, password, tls } = tcp
  return {
    listen: { tcp },
    endpoint: { host, port, tls, ...(password === undefined ? {} : { password }) },
    address: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    lockBase: pidFile,
    dataDir,
    pidFile,
  }
}
