import type { RedisAddress } from '../config/redis-target.ts'
import type { ServerTuning } from '../store/server-info.ts'
import type { Check } from './check.ts'

/** What is known of a server when advice on it is given. */
export interface AdviceFacts {
  readonly address: RedisAddress
  /** Whether the server is started by the town: its settings then come from tinytown.toml. */
  readonly isOwn: boolean
  readonly tuning: ServerTuning
  /** The time of one command and its reply, in milliseconds; the middle of several. */
  readonly roundTripMs: number
}

/** What Tinytown's guide recommends for production (Redis configuration, "Recommended Production Settings"). */
const SNAPSHOTS = '300 1 60 100'
const KEEPALIVE_SECONDS = 60
/** Redis's own default; Linux cuts it to net.core.somaxconn. */
const BACKLOG = 511
/** Below it, a link is local or in the same zone. */
const NEAR_MS = 5
const MEMORY = '256mb'

/** What the guide recommends for durability, memory, low latency and high throughput, with the commands. Pure. */
export function redisAdvice(facts: AdviceFacts): Check[] {
  return [durability(facts), memory(facts), latency(facts), throughput(facts)]
}

function durability({ tuning, address, isOwn }: AdviceFacts): Check {
  const name = 'Durability'
  const { appendOnly, appendFsync, save } = tuning
  if (appendOnly === null)
    return unknown(name, 'a managed service usually keeps its data by itself; see its console')
  const snapshots = save === '' ? 'no snapshots' : `snapshots (save ${save})`
  if (appendOnly && appendFsync !== 'no')
    return { name, status: 'ok', detail: `append-only file, fsync ${appendFsync}; ${snapshots}` }
  const commands = appendOnly
    ? [set(address, 'appendfsync', 'everysec')]
    : [
        set(address, 'appendonly', 'yes'),
        set(address, 'appendfsync', 'everysec'),
        ...(save === '' ? [set(address, 'save', `"${SNAPSHOTS}"`)] : []),
      ]
  const own = 'redis.persist = true in tinytown.toml, then tinytown-worker redis stop and redis start'
  const lost = save === '' ? 'a restart loses everything' : 'a crash loses what came after the last snapshot'
  return {
    name,
    status: save === '' ? 'warn' : 'ok',
    detail: appendOnly
      ? 'append-only file that is written when the system likes (appendfsync no)'
      : `${snapshots}, no append-only file: ${lost}`,
    remedy: isOwn ? own : commands.join('\n'),
  }
}

function memory({ tuning, address }: AdviceFacts): Check {
  const name = 'Memory'
  const { maxMemory, usedMemory, policy } = tuning
  const used = `${mebibytes(usedMemory)} used`
  const limit = maxMemory === 0 ? 'no limit' : `of ${mebibytes(maxMemory)}`
  const detail = `${used}, ${limit}, ${policy || 'policy unknown'}`
  if (policy !== '' && policy !== 'noeviction')
    return {
      name,
      status: 'warn',
      detail: `${detail}: records of agents and tasks may vanish`,
      remedy: set(address, 'maxmemory-policy', 'noeviction'),
    }
  if (maxMemory > 0 && usedMemory > 0.8 * maxMemory)
    return {
      name,
      status: 'warn',
      detail: `${detail}: nearly full, writes are refused then`,
      remedy: set(address, 'maxmemory', 'a larger number of bytes'),
    }
  if (maxMemory > 0) return { name, status: 'ok', detail }
  return {
    name,
    status: 'ok',
    detail,
    remedy: `To keep it from growing without limit: ${set(address, 'maxmemory', MEMORY)}`,
  }
}

function latency({ tuning, address, roundTripMs, isOwn }: AdviceFacts): Check {
  const name = 'Latency'
  const detail = `one round trip takes ${roundTripMs.toFixed(2)} ms over ${LINKS[address.place.kind]}`
  if (tuning.appendFsync === 'always')
    return {
      name,
      status: 'warn',
      detail: `${detail}; every write waits for the disk`,
      remedy: set(address, 'appendfsync', 'everysec'),
    }
  if (roundTripMs > NEAR_MS)
    return {
      name,
      status: 'warn',
      detail,
      remedy: 'Use a Redis in the same region, or on this machine: inbox, status and busy loops feel it',
    }
  if (address.place.kind === 'tcp' && isOwn)
    return {
      name,
      status: 'ok',
      detail,
      remedy: 'For the lowest latency a town of its own: redis.use_socket = true, without use_central_redis',
    }
  if (address.place.kind !== 'socket' || tuning.appendOnly !== true) return { name, status: 'ok', detail }
  return {
    name,
    status: 'ok',
    detail,
    remedy: `For the lowest latency, where data may be lost: ${set(address, 'appendonly', 'no')}`,
  }
}

const LINKS = { socket: 'a unix socket', tcp: 'TCP', sentinel: 'TCP', cluster: 'TCP' } as const

function throughput({ tuning, address }: AdviceFacts): Check {
  const name = 'Throughput'
  const { backlog, idleTimeout, keepAlive, clients, maxClients } = tuning
  if (backlog === null) return unknown(name, 'see the console of the service for its limits')
  const detail = `${clients} of ${maxClients} clients, tcp-backlog ${backlog}, timeout ${idleTimeout}, tcp-keepalive ${keepAlive}`
  const commands = [
    ...(idleTimeout !== 0 && (idleTimeout ?? 0) < KEEPALIVE_SECONDS ? [set(address, 'timeout', '0')] : []),
    ...(address.place.kind !== 'socket' && (keepAlive === 0 || (keepAlive ?? 0) > 300)
      ? [set(address, 'tcp-keepalive', String(KEEPALIVE_SECONDS))]
      : []),
    ...(backlog < BACKLOG
      ? [`tcp-backlog ${BACKLOG} in redis.conf, and net.core.somaxconn of the system`]
      : []),
    ...(maxClients > 0 && clients > 0.8 * maxClients
      ? [set(address, 'maxclients', String(2 * maxClients))]
      : []),
  ]
  if (commands.length > 0) return { name, status: 'warn', detail, remedy: commands.join('\n') }
  if (address.place.kind === 'socket') return { name, status: 'ok', detail }
  const more = `For hundreds of workers: tcp-backlog 4096 in redis.conf; ${set(address, 'tcp-keepalive', String(KEEPALIVE_SECONDS))}; ${set(address, 'timeout', '0')}`
  return { name, status: 'ok', detail, remedy: more }
}

function unknown(name: string, remedy: string): Check {
  return { name, status: 'ok', detail: 'this Redis does not let its settings be read', remedy }
}

function set(address: RedisAddress, name: string, value: string): string {
  return `${redisCli(address)} CONFIG SET ${name} ${value}`
}

/** The command that reaches an address; a password is given to it as REDISCLI_AUTH. */
export function redisCli({ place, login, database, tls }: RedisAddress): string {
  const where = {
    socket: () => (place.kind === 'socket' ? [`-s ${place.path}`] : []),
    tcp: () => (place.kind === 'tcp' ? [`-h ${place.host}`, `-p ${place.port}`] : []),
    sentinel: () => ['-h PRIMARY'],
    cluster: () =>
      place.kind === 'cluster' ? [`-h ${place.nodes[0]?.host}`, `-p ${place.nodes[0]?.port}`, '-c'] : [],
  }[place.kind]()
  const user = login.username === undefined ? [] : [`--user ${login.username}`]
  const secure = tls === null ? [] : ['--tls', ...(tls.ca === undefined ? [] : [`--cacert ${tls.ca}`])]
  return ['redis-cli', ...where, ...(database === 0 ? [] : [`-n ${database}`]), ...user, ...secure].join(' ')
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
