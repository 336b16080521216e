import { homedir } from 'node:os'
import { join } from 'node:path'
import { centralFolder } from '../config/central-file.ts'
import type { RedisAddress, RedisTarget } from '../config/redis-target.ts'
import { WorkerError } from '../domain/errors.ts'
import { centralPassword, closeToOthers } from '../server/central.ts'
import { ensureLocalRedis, type LocalRedis } from '../server/local.ts'
import { ping } from '../server/ping.ts'
import type { LocalRedisOptions, ServerEvent } from '../server/place.ts'
import type { Context } from './context.ts'

export interface ServerUse {
  readonly onEvent?: ((event: ServerEvent) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What the server of a town is started with; null where Redis runs elsewhere. */
export function serverOptions(
  { target, place }: Pick<Context, 'target' | 'place'>,
  { onEvent }: ServerUse = {},
): LocalRedisOptions | null {
  const { address, server } = target
  if (server === null) return null
  const emit = onEvent ?? (() => undefined)
  const { persist } = server
  const home = centralFolder(homedir())
  const where =
    server.kind === 'central'
      ? { root: home, pidFile: join(home, 'redis.pid'), logFile: join(home, 'redis.log'), shared: true }
      : { root: place.root }
  if (address.place.kind === 'socket') return { ...where, socketPath: address.place.path, persist, emit }
  if (address.place.kind !== 'tcp') return null
  const { host, port } = address.place
  const tcp = { host, port, bind: server.bind ?? host, password: address.login.password, tls: address.tls }
  return { ...where, tcp, persist, emit }
}

/** Starts or adopts the server of a town, where there is one to start, and returns the address that clients connect to. */
export async function ensureServer(
  context: Pick<Context, 'target' | 'place'>,
  use: ServerUse = {},
): Promise<{ address: RedisAddress; started: LocalRedis | null }> {
  requireRedis(context)
  const target = await withPassword(context.target, use.signal)
  const options = serverOptions({ ...context, target }, use)
  if (options === null) return { address: target.address, started: null }
  const started = await ensureLocalRedis(options, use.signal ? { signal: use.signal } : {})
  return { address: target.address, started }
}

/** Throws `config` where no Redis is named and none may be started. */
export function requireRedis({ target }: Pick<Context, 'target'>): void {
  if (target.server?.mayStart !== false) return
  throw new WorkerError(
    'config',
    'No Redis is named, and none may be started here (TINYTOWN_REDIS_START, or redis.start in tinytown.toml, is false)',
    { remedy: 'Set REDIS_URL, for example REDIS_URL=redis://redis:6379' },
  )
}

const PING_MS = 2000

/** What there is to say of a central server that takes everybody: `tt` starts it so where it knows no password. */
export async function openToEverybody(
  { server, address }: RedisTarget,
  signal?: AbortSignal,
): Promise<string[]> {
  if (server?.kind !== 'central' || address.place.kind !== 'tcp') return []
  const { host, port } = address.place
  if ((await ping({ host, port, tls: address.tls }, { timeoutMs: PING_MS, signal })) !== 'pong') return []
  return [
    `The central redis-server at ${host}:${port} takes everybody on this machine without a password. Start it anew: tinytown-worker redis stop, then redis start`,
  ]
}

/** The central server always has a password; the first town that uses it makes one. */
async function withPassword(target: RedisTarget, signal: AbortSignal | undefined): Promise<RedisTarget> {
  const { address, server } = target
  if (server?.kind !== 'central') return target
  await closeToOthers(homedir())
  if (address.login.password !== undefined) return target
  const password = await centralPassword(homedir(), signal)
  return { server, address: { ...address, login: { ...address.login, password } } }
}
