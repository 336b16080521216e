import { once } from 'node:events'
import type { Redis } from 'ioredis'
import { sleep } from '../base/clock.ts'
import type { RedisAddress } from '../config/redis-target.ts'
import { WorkerError } from '../domain/errors.ts'
import { type ConnectOptions, opened, openRedis, persist } from './connection.ts'
import { replyErrorCode } from './script.ts'
import { readServerInfo, type ServerInfo } from './server-info.ts'

/** The oldest server whose commands and script rules suffice (Tinytown asks for the same, town.rs). */
const OLDEST_MAJOR = 7
const OLDEST_VERSION = '7.0'
const PING_MS = 2000

/** A server that may be used. */
export interface CheckedServer {
  /** The address to connect to: that of a node of a Cluster became that of the Cluster. */
  readonly address: RedisAddress
  /** Null when this user may not ask for it. */
  readonly info: ServerInfo | null
  /** What endangers a town, a sentence each. */
  readonly warnings: readonly string[]
  /** What an operator should know. */
  readonly notes: readonly string[]
}

/**
 * Checks, in this order and each with its own message: connection (5 s), login, PING (2 s), version 7.0 or later, writable. Throws
 * what `connectRedis` throws, and `config` for a server that is too old, a read-only replica, and a Redis Cluster for a town
 * whose name does not keep its keys in one slot.
 */
export async function checkServer(address: RedisAddress, options: ConnectOptions): Promise<CheckedServer> {
  if (address.place.kind === 'cluster') requireOneSlot(options.anyKey, address)
  const found = await persist(address, options, (leftMs) => look(address, options, leftMs))
  const { place } = address
  if (found?.mode !== 'cluster' || place.kind === 'cluster')
    return { address, info: found, ...adviceOn(found) }
  requireOneSlot(options.anyKey, address)
  if (place.kind !== 'tcp') throw new WorkerError('config', `${address.shown} is a node of a Redis Cluster`)
  if (address.database !== 0) {
    throw new WorkerError(
      'config',
      `Expected database 0 in a Redis Cluster, which has no other, got ${address.database} (${address.shown})`,
    )
  }
  const { host, port } = place
  const nodes = [{ host, port }]
  const cluster = { ...address, place: { kind: 'cluster', nodes } as const, database: 0 }
  const info = await persist(cluster, options, (leftMs) => look(cluster, options, leftMs))
  return { address: cluster, info, ...adviceOn(info) }
}

/** On a connection of its own, which does not wait until a server is ready: one that loads its data says so at once. */
async function look(
  address: RedisAddress,
  options: ConnectOptions,
  leftMs: number,
): Promise<ServerInfo | null> {
  const redis = openRedis(address, options, leftMs, { enableReadyCheck: false, maxRetriesPerRequest: 0 })
  try {
    await answered(redis, Math.min(PING_MS, leftMs))
    const info = await allowed(readServerInfo(redis))
    if (info) refuse(info, address)
    return info
  } finally {
    redis.disconnect()
  }
}

async function answered(redis: Redis, pingMs: number): Promise<void> {
  const patience = new AbortController()
  const connecting = once(redis, 'connect', { signal: patience.signal }).catch(() => undefined)
  const ready = opened(redis)
  try {
    await Promise.race([connecting, ready])
    const late = sleep(pingMs, patience.signal).then((inFull) => {
      if (inFull) throw new Error(`it took the connection and did not answer PING within ${pingMs} ms`)
    })
    const pong = ready.then(() => redis.ping())
    await Promise.race([pong, late])
  } finally {
    patience.abort()
    ready.catch(() => undefined)
  }
}

/** Null when the user of this login may not know. */
async function allowed<T>(asking: Promise<T>): Promise<T | null> {
  try {
    return await asking
  } catch (error) {
    if (replyErrorCode(error) === 'NOPERM') return null
    throw error
  }
}

function refuse({ version, replicaOf, mode }: ServerInfo, { shown, place }: RedisAddress): void {
  if (Number.parseInt(version, 10) < OLDEST_MAJOR) {
    throw new WorkerError(
      'config',
      `Expected Redis ${OLDEST_VERSION} or later at ${shown}, got ${version || 'no version'}`,
      {
        remedy: 'Upgrade it, or give the address of a newer one',
      },
    )
  }
  if (mode === 'sentinel') {
    throw new WorkerError('config', `Expected a Redis at ${shown}, got a Sentinel`, {
      remedy: 'Name the Sentinels in a URL like redis+sentinel://host:26379/mymaster',
    })
  }
  // Any node of a Cluster tells of the others.
  if (replicaOf === null || (mode === 'cluster' && place.kind === 'tcp')) return
  const message = `Redis at ${shown} is a read-only replica of ${replicaOf}`
  // Sentinels and a Cluster name the wrong one for a moment after a failover.
  if (place.kind === 'sentinel' || place.kind === 'cluster') throw new Error(message)
  throw new WorkerError('config', message, { remedy: 'Give the address of the primary' })
}

function requireOneSlot(anyKey: string, { shown }: RedisAddress): void {
  if (/\{[^}]+\}/.test(anyKey)) return
  const name = anyKey.split(':')[1] ?? ''
  throw new WorkerError(
    'config',
    `Expected the name of a town in a Redis Cluster to stand in braces, got ${name} (Redis at ${shown} is a Cluster)`,
    {
      remedy: `Set name = "{${name}}" in tinytown.toml, or TINYTOWN_TOWN_NAME: its keys then share one slot`,
    },
  )
}

function adviceOn(info: ServerInfo | null): Pick<CheckedServer, 'warnings' | 'notes'> {
  if (info === null) {
    const note =
      'This user of Redis may not call INFO: neither its version nor whether it can be written to was checked'
    return { warnings: [], notes: [note] }
  }
  const evicts = !['', 'noeviction'].includes(info.evictionPolicy)
  return {
    warnings: evicts
      ? [
          `Redis drops keys when its memory is full (maxmemory-policy ${info.evictionPolicy}): records of agents and tasks may vanish. Set it: redis-cli CONFIG SET maxmemory-policy noeviction`,
        ]
      : [],
    notes:
      info.persistence === 'none'
        ? [
            'Redis keeps nothing on the disk: a restart of it loses every task. Turn it on: redis-cli CONFIG SET appendonly yes',
          ]
        : [],
  }
}
