import { Redis, type RedisOptions } from 'ioredis'
import pRetry, { AbortError } from 'p-retry'
import { backoffMs } from '../base/backoff.ts'
import type { RedisAddress } from '../config/redis-target.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { clientOptions, SILENT_MS } from './client-options.ts'
import { replyErrorCode } from './script.ts'

export type { Redis }

const RECONNECT = { firstMs: 50, factor: 2, maxMs: 2000, jitter: 0.5 }

/** How long one try to connect may take. */
const CONNECT_MS = 5000

export interface ConnectOptions {
  /** How long to keep trying, in milliseconds. */
  readonly timeoutMs: number
  readonly name: string
  /** A key of the town: in a Redis Cluster its slot is where the town is. */
  readonly anyKey: string
  /** A long-lived connection reconnects for ever; one for a single command gives up after a few tries. */
  readonly lasting: boolean
  /** False for a user that may not call INFO, which says whether a server has loaded its data. */
  readonly readyCheck?: boolean
  readonly signal?: AbortSignal
  readonly onEvent?: (event: ConnectionEvent) => void
}

export type ConnectionEvent =
  | { readonly type: 'redis-waiting'; readonly address: string; readonly detail: string }
  | { readonly type: 'redis-lost'; readonly detail: string }
  | { readonly type: 'redis-back' }

/**
 * Connects. Throws the signal's reason when it aborts, `redis-unreachable` when nobody answers within the time, `redis-auth` when
 * the login is refused, `config` for TLS files that cannot be used. What sort of server it is, `checkServer` tells.
 */
export async function connectRedis(address: RedisAddress, options: ConnectOptions): Promise<Redis> {
  return await persist(address, options, async (leftMs) => {
    const redis = openRedis(address, options, leftMs)
    try {
      await opened(redis)
      if (options.onEvent) report(redis, address.shown, options.onEvent)
      return redis
    } catch (error) {
      redis.disconnect()
      throw error
    }
  })
}

/** Tries again and again, within the time that the options give. `attempt` throws an expected error to end it at once. */
export async function persist<T>(
  address: RedisAddress,
  { timeoutMs, signal, onEvent }: Pick<ConnectOptions, 'timeoutMs' | 'signal' | 'onEvent'>,
  attempt: (leftMs: number) => Promise<T>,
): Promise<T> {
  const started = Date.now()
  const once = async () => {
    try {
      return await attempt(Math.max(500, timeoutMs - (Date.now() - started)))
    } catch (error) {
      throw explain(error, address)
    }
  }
  return await pRetry(once, {
    retries: Number.POSITIVE_INFINITY,
    maxRetryTime: timeoutMs,
    minTimeout: 100,
    maxTimeout: 1000,
    randomize: true,
    onFailedAttempt({ error, attemptNumber }) {
      if (attemptNumber === 1)
        onEvent?.({ type: 'redis-waiting', address: address.shown, detail: error.message })
    },
    ...(signal ? { signal } : {}),
  }).catch((error) => {
    signal?.throwIfAborted()
    if (error instanceof WorkerError) throw error
    throw new WorkerError(
      'redis-unreachable',
      `Redis at ${address.shown} did not answer within ${timeoutMs} ms: ${messageOf(error)}`,
      { remedy: remedyOf(messageOf(error), address), cause: error },
    )
  })
}

/** What may be wrong where nobody answers, or hangs up before a word. */
function remedyOf(message: string, { tls }: RedisAddress): string {
  const usual = 'Start it, or give the right address in REDIS_URL'
  if (!/ECONNRESET|EPIPE|socket|hang up|closed|ETIMEDOUT|EPROTO|wrong version|alert/i.test(message))
    return usual
  return tls === null
    ? `${usual}; where it speaks TLS, write rediss://`
    : `${usual}; where it wants a certificate of the client, or refuses the one that was shown, name another one with redis.tls_cert and redis.tls_key; where it speaks no TLS, write redis://`
}

/** A client that is not connected yet. */
export function openRedis(
  address: RedisAddress,
  options: ConnectOptions,
  leftMs: number,
  more: RedisOptions = {},
): Redis {
  let connected = false
  const settings: RedisOptions = {
    ...clientOptions(address, {
      name: options.name,
      anyKey: options.anyKey,
      connectTimeoutMs: Math.min(CONNECT_MS, leftMs),
      retryStrategy: (times) => (connected && !abandoned.has(redis) ? backoffMs(RECONNECT, times) : null),
    }),
    maxRetriesPerRequest: options.lasting ? null : 2,
    enableReadyCheck: options.readyCheck ?? true,
    ...more,
  }
  const redis: Redis = new Redis({ ...settings, replyMapping: 'legacy' })
  redis.once('ready', () => {
    connected = true
  })
  return redis
}

/** Waits until a client is connected. Throws what kept it from it, and not that the connection was closed. */
export async function opened(redis: Redis): Promise<void> {
  let cause: unknown
  const onError = (error: unknown) => {
    cause = error
  }
  redis.on('error', onError)
  try {
    await redis.connect()
  } catch (error) {
    throw cause ?? error
  }
}

/** One more connection like `redis`, which may block for as long as it takes. It reconnects for ever. */
export async function duplicateRedis(redis: Redis, name: string): Promise<Redis> {
  const copy: Redis = redis.duplicate({
    lazyConnect: true,
    connectionName: name,
    maxRetriesPerRequest: null,
    retryStrategy: (times: number) => (abandoned.has(copy) ? null : backoffMs(RECONNECT, times)),
    // Limits for short commands would end one that blocks.
    commandTimeout: undefined,
    socketTimeout: SILENT_MS,
  } as RedisOptions)
  copy.on('error', () => undefined)
  try {
    await copy.connect()
    return copy
  } catch (error) {
    copy.disconnect()
    throw error
  }
}

/** What is wrong with a certificate does not pass by itself. */
const CERTIFICATE_REMEDIES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'CERT_SIGNATURE_FAILURE',
    ].map((code) => [
      code,
      'Name the file of the authority that signed it: redis.tls_ca_cert in tinytown.toml, or TINYTOWN_REDIS_TLS_CA_CERT',
    ]),
  ),
  ERR_TLS_CERT_ALTNAME_INVALID:
    'Connect by a name that it has, or say which one it has: redis.tls_server_name in tinytown.toml, or TINYTOWN_REDIS_TLS_SERVER_NAME',
  CERT_HAS_EXPIRED: 'Give the server a new certificate',
  CERT_NOT_YET_VALID: 'Look at the clocks of both machines',
}

const SENTINEL_LOGIN =
  'The Sentinels have a login of their own: TINYTOWN_REDIS_SENTINEL_PASSWORD, or ?sentinel_password=… in the URL'

function explain(error: unknown, address: RedisAddress): Error {
  if (error instanceof WorkerError) return new AbortError(error)
  const message = messageOf(error)
  const remedy = CERTIFICATE_REMEDIES[(error as NodeJS.ErrnoException | null)?.code ?? '']
  if (remedy !== undefined) {
    const words = `The certificate of Redis at ${address.shown} is not accepted: ${message}`
    return new AbortError(new WorkerError('config', words, { remedy }))
  }
  if (/NOPERM/.test(message)) {
    const words = `Redis at ${address.shown} lets this user do too little: ${message}`
    const remedy = 'Let it work on the keys and channels of the town: ACL SETUSER <user> ~tt:* &tt:* +@all'
    return new AbortError(new WorkerError('redis-auth', words, { remedy }))
  }
  if (!/NOAUTH|WRONGPASS|invalid password/.test(message)) return new Error(message)
  const isOfSentinel = address.place.kind === 'sentinel' && /sentinel/i.test(message)
  return new AbortError(
    new WorkerError('redis-auth', `Redis at ${address.shown} refused the login: ${message}`, {
      remedy: isOfSentinel ? SENTINEL_LOGIN : address.loginRemedy,
    }),
  )
}

function report(redis: Redis, address: string, onEvent: (event: ConnectionEvent) => void): void {
  let lost = false
  let detail = 'the connection was closed'
  redis.on('error', (error) => {
    const message = messageOf(error)
    // Why it stays away may be another reason than why it went.
    if (lost && message !== detail) onEvent({ type: 'redis-waiting', address, detail: message })
    detail = message
  })
  redis.on('close', () => {
    if (lost || redis.status === 'end') return
    lost = true
    onEvent({ type: 'redis-lost', detail })
  })
  redis.on('ready', () => {
    if (lost) onEvent({ type: 'redis-back' })
    lost = false
  })
}

const abandoned = new WeakSet<Redis>()

/**
 * Closes a connection for good, so that what waits on it fails. A disconnect alone leaves commands waiting for ever that were
 * given while the connection was away; the next try to reconnect is the last one instead, two seconds from now at most.
 */
export function abandonRedis(redis: Redis): void {
  abandoned.add(redis)
  if (redis.status !== 'reconnecting') redis.disconnect()
}

/** Well below the silence that counts as dead, so that a dead connection is noticed within 15 s. */
const PING_MS = 3000

/**
 * Has a connection ask for an answer now and then, one that only listens for example: nothing is open on it otherwise, so that its
 * silence would never count. Ends with the connection.
 */
export function keepTalking(redis: Redis): void {
  const timer = setInterval(() => {
    if (redis.status === 'ready') redis.ping().catch(() => undefined)
  }, PING_MS)
  timer.unref()
  redis.once('end', () => clearInterval(timer))
}

/** Server conditions that pass by themselves: a write that met one is tried again, it did not happen. */
const PASSING = [
  'LOADING',
  'READONLY',
  'OOM',
  'BUSY',
  'MASTERDOWN',
  'TRYAGAIN',
  'ASK',
  'MOVED',
  'CLUSTERDOWN',
  'MISCONF',
  'NOREPLICAS',
  'UNBLOCKED',
  // Of a connection that was let in before: a password that is being changed, a replica that became the primary.
  'NOAUTH',
  'WRONGPASS',
]

/** True when the server refused a command, and will until somebody puts something right: a missing right, a key of another type. */
export function isLasting(error: unknown): boolean {
  return replyErrorCode(error) !== null && !isPassing(error)
}

/** True when the server refused a command for a reason that passes by itself. */
export function isPassing(error: unknown): boolean {
  const code = replyErrorCode(error)
  return code !== null && PASSING.includes(code.replace(/^-/, ''))
}
