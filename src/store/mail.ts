import type { Redis } from 'ioredis'
import type { Id } from '../domain/ids.ts'
import { encodeMessage, type Message, type Priority } from '../domain/message.ts'
import type { AgentKeys, TownKeys } from './keys.ts'
import { pushOnce } from './push.ts'
import { repliesOf } from './script.ts'

/**
 * Puts a message into its receiver's inbox: urgent and high at the head, normal and low at the tail. `urgentList` puts it into
 * the list that is emptied before the inbox, as `tt send --urgent` does. Returns how many messages wait in that list now.
 */
export async function sendMessage(
  redis: Redis,
  town: TownKeys,
  message: Message,
  { urgentList = false }: { urgentList?: boolean } = {},
): Promise<number> {
  const mail = { raw: encodeMessage(message), priority: message.priority, urgentList }
  return await pushRaw(redis, town.agent(message.to), mail)
}

/** Puts the text of a message into an agent's list and wakes its worker. */
export async function pushRaw(
  redis: Redis,
  agent: AgentKeys,
  { raw, priority, urgentList = false }: { raw: string; priority: Priority; urgentList?: boolean },
): Promise<number> {
  const isFirst = urgentList || priority === 'high' || priority === 'urgent'
  return await pushOnce(redis, urgentList ? agent.urgent : agent.inbox, raw, {
    end: isFirst ? 'head' : 'tail',
    wake: [agent.wake, 'message'],
  })
}

/** The raw messages of an agent's list from its head, at most `count`; all without it. Takes nothing. */
export async function peekMail(
  redis: Redis,
  town: TownKeys,
  agentId: Id,
  { list = 'inbox', count }: { list?: 'inbox' | 'urgent'; count?: number } = {},
): Promise<string[]> {
  if (count === 0) return []
  return await redis.lrange(town.agent(agentId)[list], 0, count === undefined ? -1 : count - 1)
}

/** The raw messages of an agent, each list from its head. */
export interface Mail {
  readonly urgent: readonly string[]
  readonly inbox: readonly string[]
  /** Claimed and not yet settled. */
  readonly inFlight: readonly string[]
}

/** All messages of an agent at one moment. Takes nothing. */
export async function readMail(redis: Redis, town: TownKeys, agentId: Id): Promise<Mail> {
  const agent = town.agent(agentId)
  const batch = redis.multi()
  for (const list of [agent.urgent, agent.inbox, agent.inFlight]) batch.lrange(list, 0, -1)
  const [urgent = [], inbox = [], inFlight = []] = repliesOf<string[]>(await batch.exec())
  return { urgent, inbox, inFlight }
}
