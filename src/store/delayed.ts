import type { Redis } from 'ioredis'
import { type Id, idWithin } from '../domain/ids.ts'
import { taskIn } from './dead-letters.ts'
import type { TownKeys } from './keys.ts'

/** When the next attempt of a task is due, by the server's clock, in milliseconds since 1970; null when it waits for none. */
export async function nextAttemptAt(
  redis: Redis,
  town: TownKeys,
  { agentId, taskId }: { agentId: Id; taskId: Id },
): Promise<number | null> {
  const entries = await redis.zrange(town.agent(agentId).delayed, '0', '-1', 'WITHSCORES')
  for (let at = 0; at + 1 < entries.length; at += 2) {
    const id = taskIn(entries[at] ?? '')
    // What was told to several agents is a task of its own for each.
    if (id !== null && (id === taskId || idWithin(id, agentId) === taskId)) return Number(entries[at + 1])
  }
  return null
}
