import type { Redis } from 'ioredis'

const OLD_KEY = /^tt:(?:agent|inbox|urgent|task|activity|stop):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const OLD_BACKLOG = 'tt:backlog'
/** A server that others use as well may hold very many keys: so many are looked at. */
const LONGEST_LOOK = 100_000
const STEP = 1000

/**
 * Looks for keys of the time before town names were a part of them (Tinytown, migration.rs); nobody reads these any more. Returns
 * how many there are among the first hundred thousand keys of the server, and one of them.
 */
export async function findOldKeys(redis: Redis): Promise<{ count: number; example: string } | null> {
  const found = new Set((await redis.exists(OLD_BACKLOG)) === 1 ? [OLD_BACKLOG] : [])
  let cursor = '0'
  for (let looked = 0; looked < LONGEST_LOOK; looked += STEP) {
    const [next, keys] = await redis.scan(cursor, 'MATCH', 'tt:*', 'COUNT', STEP)
    for (const key of keys) if (OLD_KEY.test(key)) found.add(key)
    if (next === '0') break
    cursor = next
  }
  const [example] = found
  return example === undefined ? null : { count: found.size, example }
}

/** What to say of them, and what to do. */
export const OLD_KEYS_REMEDY = 'Move them into this town: tt migrate (it renames them to tt:<town>:…)'

/** The sentence about old keys. */
export function oldKeysSentence({ count, example }: { count: number; example: string }): string {
  return `This Redis holds ${count} key(s) of an old Tinytown without a town name, such as ${example}: nobody reads them any more`
}
