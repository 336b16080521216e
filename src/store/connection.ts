import { Redis, type RedisOptions } from 'ioredis'
import pRetry, { AbortError } from 'p-retry'
import { backoffMs } from '../base/backoff.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { replyErrorCode } from './script.ts'

export type { Redis }

/** The oldest server whose commands and script rules suffice (Tinytown asks for the same, town.rs). */
const OLDEST_VERSION = '7.0'

/** A connection that stays silent on an open command for so long is dead, whatever TCP thinks of it. */
const SILENT_MS = 10_000

const RECONNECT = { firstMs: 50, factor: 2, maxMs: 2000, jitter: 0.5 }

/** Where Redis is. `shown` is what a message may say of it: no password. */
export interface RedisAddress {
  readonly url: string
  readonly shown: string
  readonly username?: string
  readonly password?: string
  /** What to do when the login is refused: it depends on how the address was given. */
  readonly loginRemedy: string
}

export interface ConnectOptions {
  /** How long to keep trying, in milliseconds. */
  readonly timeoutMs: number
  readonly name: string
  /** A long-lived connection reconnects for ever; one for a single command gives up after a few tries. */
  readonly lasting: boolean
  readonly signal?: AbortSignal
  readonly onEvent?: (event: ConnectionEvent) => void
}

export type ConnectionEvent =
  | { readonly type: 'redis-waiting'; readonly address: string; readonly detail: string }
  | { readonly type: 'redis-lost'; readonly detail: string }
  | { readonly type: 'redis-back' }

/**
 * Connects, and checks that the server may be used: login, version, writable. Throws the signal's reason when it aborts, `redis-unreachable` when nobody answers
 * within the time, `redis-auth` when the login is refused, `config` when the server is too old or a read-only replica.
 */
export async function connectRedis(address: RedisAddress, options: ConnectOptions): Promise<Redis> {
  const started = Date.now()
  return await pRetry(() => tryConnect(address, options, options.timeoutMs - (Date.now() - started)), {
    retries: Number.POSITIVE_INFINITY,
    maxRetryTime: options.timeoutMs,
    minTimeout: 100,
    maxTimeout: 1000,
    randomize: true,
    onFailedAttempt({ error, attemptNumber }) {
      if (attemptNumber === 1)
        options.onEvent?.({ type: 'redis-waiting', address: address.shown, detail: error.message })
    },
    ...(options.signal ? { signal: options.signal } : {}),
  }).catch((error) => {
    options.signal?.throwIfAborted()
    if (error instanceof WorkerError) throw error
    throw new WorkerError(
      'redis-unreachable',
      `Redis at ${address.shown} did not answer within ${options.timeoutMs} ms: ${messageOf(error)}`,
      { remedy: 'Start it, or give the right address in REDIS_URL', cause: error },
    )
  })
}

async function tryConnect(address: RedisAddress, options: ConnectOptions, leftMs: number): Promise<Redis> {
  const redis = openRedis(address, options, Math.max(500, Math.min(5000, leftMs)))
  let cause: unknown
  redis.on('error', (error) => {
    cause = error
  })
  try {
    await redis.connect()
    await checkServer(redis, address)
    if (options.onEvent) report(redis, options.onEvent)
    return redis
  } catch (error) {
    redis.disconnect()
    throw explain(cause ?? error, address)
  }
}

function openRedis(address: RedisAddress, options: ConnectOptions, connectTimeout: number): Redis {
  let connected = false
  const settings = {
    lazyConnect: true,
    connectionName: options.name,
    connectTimeout,
    socketTimeout: SILENT_MS,
    keepAlive: 10_000,
    maxRetriesPerRequest: options.lasting ? null : 2,
    retryStrategy: (times: number) =>
      connected && !abandoned.has(redis) ? backoffMs(RECONNECT, times) : null,
    ...(address.username === undefined ? {} : { username: address.username }),
    ...(address.password === undefined ? {} : { password: address.password }),
  } satisfies RedisOptions
  const redis: Redis = address.url.startsWith('unix://')
    ? new Redis({ ...settings, path: decodeURIComponent(address.url.slice('unix://'.length)) })
    : new Redis(address.url, settings)
  redis.once('ready', () => {
    connected = true
  })
  return redis
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

function explain(error: unknown, address: RedisAddress): Error {
  if (error instanceof WorkerError) return new AbortError(error)
  const message = messageOf(error)
  if (!/NOAUTH|WRONGPASS|NOPERM|invalid password/.test(message)) return new Error(message)
  return new AbortError(
    new WorkerError('redis-auth', `Redis at ${address.shown} refused the login: ${message}`, {
      remedy: address.loginRemedy,
    }),
  )
}

async function checkServer(redis: Redis, address: RedisAddress): Promise<void> {
  const info = await redis.info('server', 'replication')
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const version = field('redis_version')
  if (Number.parseInt(version, 10) < Number.parseInt(OLDEST_VERSION, 10)) {
    throw new WorkerError(
      'config',
      `Expected Redis ${OLDEST_VERSION} or later at ${address.shown}, got ${version || 'no version'}`,
    )
  }
  if (field('role') === 'slave' && field('slave_read_only') === '1') {
    throw new WorkerError(
      'config',
      `Redis at ${address.shown} is a read-only replica of ${field('master_host')}`,
      {
        remedy: 'Give the address of the primary',
      },
    )
  }
}

function report(redis: Redis, onEvent: (event: ConnectionEvent) => void): void {
  let lost = false
  let detail = 'the connection was closed'
  redis.on('error', (error) => {
    detail = messageOf(error)
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

/** Server conditions that pass by themselves: a write that met one is tried again, it did not happen. */
const PASSING = [
  'LOADING',
  'READONLY',
  'OOM',
  'BUSY',
  'MASTERDOWN',
  'TRYAGAIN',
  'CLUSTERDOWN',
  'MISCONF',
  'UNBLOCKED',
]

/** True when the server refused a command for a reason that passes by itself. */
export function isPassing(error: unknown): boolean {
  const code = replyErrorCode(error)
  return code !== null && PASSING.includes(code.replace(/^-/, ''))
}
