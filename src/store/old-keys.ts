import type { Redis } from 'ioredis'
import { monotonicMs } from '../base/clock.ts'
import { parseId } from '../domain/ids.ts'

/** A database of others may hold millions of keys: what is not found in this time is not looked for. */
const LOOK_MS = 250

/**
 * Looks for keys of the time before towns, which do not hold the town's name (Tinytown, migration.rs): whatever waits in them is
 * never done. Returns a sentence that names one and the remedy; null when none is found, or this user may not look.
 */
export async function findOldKeys(redis: Redis): Promise<string | null> {
  const key = await findOldKey(redis).catch(() => null)
  return (
    key &&
    `Redis holds keys without the name of a town, such as ${key}: \`tt migrate\` moves them into the town`
  )
}

async function findOldKey(redis: Redis): Promise<string | null> {
  const end = monotonicMs() + LOOK_MS
  if ((await redis.exists('tt:backlog')) === 1) return 'tt:backlog'
  let cursor = '0'
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', 'tt:agent:*', 'COUNT', 1000)
    const old = keys.find((key) => parseId(key.slice('tt:agent:'.length)) !== null)
    if (old) return old
    cursor = next
  } while (cursor !== '0' && monotonicMs() < end)
  return null
}
