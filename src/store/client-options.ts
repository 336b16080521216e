import type { RedisOptions } from 'ioredis'
import type { RedisAddress } from '../config/redis-target.ts'
import { readTlsFiles } from '../config/tls-files.ts'
import { slotConnector } from './slot-connector.ts'

/** A connection that stays silent on an open command for so long is dead, whatever TCP thinks of it. */
export const SILENT_MS = 8000

/** How long a Sentinel, or a node of a Cluster, may take to say where the primary is. */
const ASK_MS = 2000

/** What differs from connection to connection. */
export interface ClientOptions {
  /** As CLIENT LIST shows it. */
  readonly name: string
  /** A key of the town: a Redis Cluster is asked where its slot lies. */
  readonly anyKey: string
  readonly connectTimeoutMs: number
  /** How long to wait before the next try to connect, in milliseconds; null gives up. */
  readonly retryStrategy: (times: number) => number | null
}

/** The options of a client for an address. Throws `config` when its TLS files cannot be used. */
export function clientOptions(address: RedisAddress, options: ClientOptions): RedisOptions {
  const { login, database } = address
  const tls = address.tls === null ? null : readTlsFiles(address.tls)
  const common = {
    lazyConnect: true,
    connectionName: options.name,
    connectTimeout: options.connectTimeoutMs,
    socketTimeout: SILENT_MS,
    keepAlive: 10_000,
    retryStrategy: options.retryStrategy,
    db: database,
    ...login,
    ...(tls === null ? {} : { tls }),
  } satisfies RedisOptions
  const { place } = address
  switch (place.kind) {
    case 'socket':
      return { ...common, path: place.path }
    case 'tcp':
      return { ...common, host: place.host, port: place.port }
    case 'sentinel':
      return {
        ...common,
        sentinels: [...place.sentinels],
        name: place.primary,
        role: 'master',
        sentinelRetryStrategy: options.retryStrategy,
        sentinelCommandTimeout: ASK_MS,
        reconnectOnError: ({ message }) => (message.startsWith('READONLY') ? 2 : false),
        ...(place.sentinelLogin.username === undefined
          ? {}
          : { sentinelUsername: place.sentinelLogin.username }),
        ...(place.sentinelLogin.password === undefined
          ? {}
          : { sentinelPassword: place.sentinelLogin.password }),
        ...(tls === null ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tls }),
      }
    case 'cluster': {
      const { Connector, isMoved } = slotConnector({
        nodes: place.nodes,
        key: options.anyKey,
        login,
        tls,
        askMs: ASK_MS,
        retryStrategy: options.retryStrategy,
      })
      return { ...common, Connector, reconnectOnError: (error) => (isMoved(error) ? 2 : false) }
    }
  }
}
