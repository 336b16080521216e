import { hostname } from 'node:os'
import { rememberName } from '../config/town.ts'
import type { ServerEvent } from '../server/place.ts'
import { type CheckedServer, checkServer } from '../store/check-server.ts'
import { type ConnectionEvent, connectRedis, type Redis } from '../store/connection.ts'
import { type TownKeys, townKeys } from '../store/keys.ts'
import type { Context } from './context.ts'
import { keepDataOutOfGit, keepStateOutOfGit } from './keep-out-of-git.ts'
import { ensureServer, openToEverybody } from './own-server.ts'

/** A town whose Redis answers. */
export interface OpenTown {
  readonly redis: Redis
  readonly keys: TownKeys
  /** The server as it was found. */
  readonly server: CheckedServer
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
  const { signal } = options
  const { address } = await ensureServer(context, { onEvent: options.onServer, signal })
  keepStateOutOfGit(place.root)
  if (settings.townName === undefined) rememberName(place.root, context.townName)
  if (target.server?.kind === 'town') keepDataOutOfGit(place.root)
  const keys = townKeys(context.townName, settings.recordFormat)
  const connections = new Set<Redis>()
  const about = (purpose: string, lasting: boolean, onEvent?: OpenOptions['onConnection']) => ({
    timeoutMs: settings.connectTimeout,
    name: `tinytown-worker:${purpose}:${hostname()}:${process.pid}`,
    anyKey: keys.base,
    lasting,
    ...(signal ? { signal } : {}),
    ...(onEvent ? { onEvent } : {}),
  })
  const checked = await checkServer(address, about(options.purpose, false, options.onConnection))
  const warnings = [...checked.warnings, ...(await openToEverybody(target, signal))]
  const server = { ...checked, warnings }
  const connect = async (
    purpose: string,
    lasting = options.lasting,
    onEvent?: OpenOptions['onConnection'],
  ) => {
    const readyCheck = server.info !== null
    const redis = await connectRedis(server.address, { ...about(purpose, lasting, onEvent), readyCheck })
    connections.add(redis)
    redis.once('end', () => connections.delete(redis))
    return redis
  }
  // All connections of a town are lost and back together: the first one tells it.
  const redis = await connect(options.purpose, options.lasting, options.onConnection)
  return {
    redis,
    keys,
    server,
    connect: (purpose, { lasting } = {}) => connect(purpose, lasting),
    async close() {
      for (const connection of connections) connection.disconnect()
    },
  }
}
