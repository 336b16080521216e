import type { Redis } from 'ioredis'

/** What survives a crash of the server. `unknown`: it does not tell (managed services forbid CONFIG). */
type Persistence = 'append-only' | 'snapshots' | 'none' | 'unknown'

export interface ServerInfo {
  readonly version: string
  readonly mode: 'standalone' | 'sentinel' | 'cluster'
  readonly persistence: Persistence
  /** Host and port of the primary when this is a replica that takes no writes. */
  readonly replicaOf: string | null
  /** `noeviction`, or what is dropped when the memory is full; '' when it is not told. */
  readonly evictionPolicy: string
  /** Bytes; 0 = no limit. */
  readonly maxMemory: number
  readonly usedMemory: number
  readonly clients: number
  readonly maxClients: number
}

/** What a server says of itself. */
export async function readServerInfo(redis: Redis): Promise<ServerInfo> {
  // Without sections: a server before 7.0 takes one at most.
  const info = await redis.info()
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const mode = field('redis_mode')
  const isReplica = field('role') === 'slave' && field('slave_read_only') !== '0'
  return {
    version: field('redis_version'),
    mode: mode === 'cluster' || mode === 'sentinel' ? mode : 'standalone',
    persistence: field('aof_enabled') === '1' ? 'append-only' : await snapshotRule(redis),
    replicaOf: isReplica ? `${field('master_host')}:${field('master_port')}` : null,
    evictionPolicy: field('maxmemory_policy'),
    maxMemory: Number(field('maxmemory')),
    usedMemory: Number(field('used_memory')),
    clients: Number(field('connected_clients')),
    maxClients: Number(field('maxclients')),
  }
}

async function snapshotRule(redis: Redis): Promise<Persistence> {
  try {
    const [, rule] = (await redis.config('GET', 'save')) as [string, string]
    return rule === '' ? 'none' : 'snapshots'
  } catch {
    return 'unknown'
  }
}

/** The server's clock, in milliseconds since 1970: records carry its times. */
export async function serverNow(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000)
}

/** The same as RFC 3339 text, for a message. */
export async function serverTime(redis: Redis): Promise<string> {
  return new Date(await serverNow(redis)).toISOString()
}

/** What an operator can tune. Null or '' where the server does not tell. */
export interface ServerTuning {
  readonly appendOnly: boolean | null
  readonly appendFsync: string
  readonly save: string
  readonly policy: string
  readonly maxMemory: number
  readonly usedMemory: number
  readonly backlog: number | null
  /** Seconds after which an idle client is closed; 0 = never. */
  readonly idleTimeout: number | null
  readonly keepAlive: number | null
  readonly clients: number
  readonly maxClients: number
}

const TUNED = ['appendonly', 'appendfsync', 'save', 'tcp-backlog', 'timeout', 'tcp-keepalive']

/** Reads the settings of a server, as far as this user may. */
export async function readServerTuning(redis: Redis, info: ServerInfo): Promise<ServerTuning> {
  const { clients, maxClients } = info
  const config = await configOf(redis)
  const number = (name: string) => (config?.has(name) ? Number(config.get(name)) : null)
  return {
    appendOnly: config?.has('appendonly') ? config.get('appendonly') === 'yes' : null,
    appendFsync: config?.get('appendfsync') ?? '',
    save: config?.get('save') ?? '',
    policy: info.evictionPolicy,
    maxMemory: info.maxMemory,
    usedMemory: info.usedMemory,
    backlog: number('tcp-backlog'),
    idleTimeout: number('timeout'),
    keepAlive: number('tcp-keepalive'),
    clients,
    maxClients,
  }
}

async function configOf(redis: Redis): Promise<Map<string, string> | null> {
  try {
    const flat = (await redis.config('GET', ...TUNED)) as string[]
    return new Map(flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] ?? ''] as const] : [])))
  } catch {
    return null
  }
}
