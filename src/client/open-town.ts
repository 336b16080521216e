import { hostname } from 'node:os'
import { type RedisTarget, redactUrl } from '../config/redis-target.ts'
import { rememberName } from '../config/town.ts'
import { ensureLocalRedis } from '../server/local.ts'
import type { ServerEvent } from '../server/place.ts'
import { type ConnectionEvent, connectRedis, type Redis, type RedisAddress } from '../store/connection.ts'
import { type TownKeys, townKeys } from '../store/keys.ts'
import type { Context } from './context.ts'
import { keepDataOutOfGit, keepStateOutOfGit } from './keep-out-of-git.ts'

/** A town whose Redis answers. */
export interface OpenTown {
  readonly redis: Redis
  readonly keys: TownKeys
  /** One more connection, for a command that blocks. Closed with the town. */
  connect(purpose: string, options?: { lasting?: boolean }): Promise<Redis>
  close(): Promise<void>
}

export interface OpenOptions {
  /** Names the connections in CLIENT LIST. */
  readonly purpose: string
  readonly lasting: boolean
  readonly signal?: AbortSignal
  readonly onServer?: (event: ServerEvent) => void
  readonly onConnection?: (event: ConnectionEvent) => void
}

/** Starts or adopts the town's own redis-server, or connects to the one that the settings name. */
export async function openTown(context: Context, options: OpenOptions): Promise<OpenTown> {
  const { settings, target, place } = context
  if (target.kind === 'local') {
    await ensureLocalRedis(
      {
        root: place.root,
        socketPath: target.socketPath,
        persist: settings.redisPersist,
        emit: options.onServer ?? (() => undefined),
      },
      options.signal ? { signal: options.signal } : {},
    )
  }
  keepStateOutOfGit(place.root)
  if (settings.townName === undefined) rememberName(place.root, context.townName)
  if (target.kind === 'local') keepDataOutOfGit(place.root)
  const connections = new Set<Redis>()
  const connect = async (
    purpose: string,
    { lasting = options.lasting, onEvent }: { lasting?: boolean; onEvent?: OpenOptions['onConnection'] } = {},
  ) => {
    const redis = await connectRedis(addressOf(target), {
      timeoutMs: settings.connectTimeout,
      name: `tinytown-worker:${purpose}:${hostname()}:${process.pid}`,
      lasting,
      ...(options.signal ? { signal: options.signal } : {}),
      ...(onEvent ? { onEvent } : {}),
    })
    connections.add(redis)
    redis.once('end', () => connections.delete(redis))
    return redis
  }
  // All connections of a town are lost and back together: the first one tells it.
  const redis = await connect(options.purpose, options.onConnection ? { onEvent: options.onConnection } : {})
  return {
    redis,
    keys: townKeys(context.townName, settings.recordFormat),
    connect: (purpose, { lasting } = {}) => connect(purpose, lasting === undefined ? {} : { lasting }),
    async close() {
      for (const connection of connections) connection.disconnect()
    },
  }
}

/** The address of a target as a client wants it. */
export function addressOf(target: RedisTarget): RedisAddress {
  if (target.kind === 'remote') {
    const shown = `${redactUrl(target.url)} (${target.source})`
    return { url: target.url, shown, loginRemedy: LOGIN_REMEDIES[target.given] }
  }
  const url = `unix://${encodeURI(target.socketPath)}`
  return { url, shown: target.socketPath, loginRemedy: LOGIN_REMEDIES.socket }
}

// TINYTOWN_REDIS_PASSWORD belongs to redis.host alone, as with tt.
const LOGIN_REMEDIES = {
  url: 'Put user and password into the URL: REDIS_URL=redis://:PASSWORD@host:port',
  host: 'Set TINYTOWN_REDIS_PASSWORD; for a user name use a URL: REDIS_URL=redis://USER:PASSWORD@host:port',
  socket:
    "The town's own redis-server has no password: remove the one that was set, or reach it over TCP with REDIS_URL=redis://:PASSWORD@host:port",
} as const
