import type { Redis } from 'ioredis'
import type { Id } from '../domain/ids.ts'
import type { TownKeys } from './keys.ts'
import { repliesOf } from './script.ts'

/** How many messages an agent has, and whether a worker is there to take them. */
export interface Queues {
  readonly inbox: number
  readonly urgent: number
  readonly inFlight: number
  /** Waiting for their next attempt. */
  readonly delayed: number
  /** A live worker holds the agent's lease. */
  readonly leased: boolean
  readonly stopRequested: boolean
}

/** The queues of some agents, in the order of `ids`, in one round trip. */
export async function readQueues(redis: Redis, town: TownKeys, ids: readonly Id[]): Promise<Queues[]> {
  const batch = redis.pipeline()
  for (const agent of ids.map((id) => town.agent(id))) {
    batch.llen(agent.inbox).llen(agent.urgent).llen(agent.inFlight).zcard(agent.delayed)
    batch.exists(agent.lease).exists(agent.stop)
  }
  const replies = repliesOf<number>(await batch.exec())
  return ids.map((_, index) => {
    const [inbox = 0, urgent = 0, inFlight = 0, delayed = 0, leased, stop] = replies.slice(
      index * 6,
      index * 6 + 6,
    )
    return { inbox, urgent, inFlight, delayed, leased: leased === 1, stopRequested: stop === 1 }
  })
}

/** How many messages were put aside because no worker could use them. */
export async function countDeadLetters(redis: Redis, town: TownKeys): Promise<number> {
  return await redis.xlen(town.deadLetters)
}
