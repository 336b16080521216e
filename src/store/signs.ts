import type { Redis } from 'ioredis'
import type { Id } from '../domain/ids.ts'
import type { TownKeys } from './keys.ts'

// The activity log and the stop flag of an agent, in the form and with the limits of upstream (Tinytown, channel.rs).
const ACTIVITY = { entries: 10, seconds: 3600 } as const
const STOP_SECONDS = 3600

/** Notes what an agent does. The last ten lines are kept, for an hour. */
export async function noteActivity(redis: Redis, town: TownKeys, agentId: Id, text: string): Promise<void> {
  const key = town.agent(agentId).activity
  const batch = redis
    .multi()
    .lpush(key, text)
    .ltrim(key, 0, ACTIVITY.entries - 1)
  const [[error] = [null]] = (await batch.expire(key, ACTIVITY.seconds).exec()) ?? []
  if (error) throw error
}

/** What an agent did last, newest first. */
export async function readActivity(redis: Redis, town: TownKeys, agentId: Id): Promise<string[]> {
  return await redis.lrange(town.agent(agentId).activity, 0, ACTIVITY.entries - 1)
}

/** Sets the stop flag of an agent for an hour and wakes its worker; its record stays as it is. */
export async function raiseStop(redis: Redis, town: TownKeys, agentId: Id): Promise<void> {
  const { stop, wake } = town.agent(agentId)
  const [[error] = [null]] =
    (await redis.multi().setex(stop, STOP_SECONDS, '1').publish(wake, 'stop').exec()) ?? []
  if (error) throw error
}

/** Whether the stop flag of an agent is set. */
export async function isStopRaised(redis: Redis, town: TownKeys, agentId: Id): Promise<boolean> {
  return (await redis.exists(town.agent(agentId).stop)) === 1
}

/** Takes the stop flag of an agent away. */
export async function clearStop(redis: Redis, town: TownKeys, agentId: Id): Promise<void> {
  await redis.del(town.agent(agentId).stop)
}
