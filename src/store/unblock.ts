import type { Redis } from 'ioredis'

/** The number of a connection, by which another one unblocks it; null where its user may not ask for it. */
export async function clientId(redis: Redis): Promise<number | null> {
  try {
    return Number(await redis.client('ID'))
  } catch {
    return null
  }
}

/** Ends the command in which a connection is blocked. One that cannot be ended, or is blocked no more, goes on. */
export async function unblock(redis: Redis, id: number | null): Promise<void> {
  if (id !== null) await redis.client('UNBLOCK', id).catch(() => undefined)
}
