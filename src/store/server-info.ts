import type { Redis } from 'ioredis'

/** What survives a crash of the server. `unknown`: it does not tell (managed services forbid CONFIG). */
type Persistence = 'append-only' | 'snapshots' | 'none' | 'unknown'

export interface ServerInfo {
  readonly version: string
  readonly persistence: Persistence
}

/** What a server says of itself. */
export async function readServerInfo(redis: Redis): Promise<ServerInfo> {
  const info = await redis.info('server', 'persistence')
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  const version = field('redis_version')
  if (field('aof_enabled') === '1') return { version, persistence: 'append-only' }
  return { version, persistence: await snapshotRule(redis) }
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
