import type { Redis } from 'ioredis'
import { type Id, parseId } from '../domain/ids.ts'
import { decodeMessage } from '../domain/message.ts'
import { type Entry, fieldOf } from './events.ts'
import { agentKeyParts, type TownKeys } from './keys.ts'
import { runScript, texts } from './script.ts'
import { retryDeadLetter as retryScript } from './scripts/retry-dead-letter.ts'

/** A message that could not be used, or whose task failed for good. */
export interface DeadLetter {
  /** Its place in the stream. */
  readonly id: string
  /** RFC 3339, the server's clock. */
  readonly at: string
  /** Whose message it was, and the name that this agent had. */
  readonly agentId: Id
  readonly agent: string
  readonly reason: string
  readonly detail: string
  /** The text of the message, as it came. */
  readonly message: string
  readonly taskId: Id | null
}

/** The newest `count` dead letters of a town, oldest first; all of them without it. */
export async function listDeadLetters(redis: Redis, town: TownKeys, count?: number): Promise<DeadLetter[]> {
  const entries = (
    count === undefined
      ? await redis.xrevrange(town.deadLetters, '+', '-')
      : await redis.xrevrange(town.deadLetters, '+', '-', 'COUNT', count)
  ) as Entry[]
  return entries.reverse().map(readEntry)
}

/** The dead letter with this id; null when there is none. */
export async function getDeadLetter(redis: Redis, town: TownKeys, id: string): Promise<DeadLetter | null> {
  const [entry] = (await redis.xrange(town.deadLetters, id, id)) as Entry[]
  return entry ? readEntry(entry) : null
}

/** Takes dead letters away. Returns how many were there. */
export async function dropDeadLetters(redis: Redis, town: TownKeys, ids: readonly string[]): Promise<number> {
  return ids.length === 0 ? 0 : await redis.xdel(town.deadLetters, ...ids)
}

/**
 * What bringing one back came to. `empty`: it holds no message; `no-agent`: its agent has no record; `in-hand`: somebody has its task
 * already; `completed`, `cancelled`: its task has come to that end since.
 */
export type DeadLetterRetry = 'ok' | 'gone' | 'empty' | 'no-agent' | 'in-hand' | 'completed' | 'cancelled'

/** Puts a dead letter back into the inbox of an agent, with all attempts before it, in one step. `undo` makes a task run that has ended. */
export async function retryDeadLetter(
  redis: Redis,
  town: TownKeys,
  { letter, agentId, undo = false }: { letter: DeadLetter; agentId: Id; undo?: boolean },
): Promise<DeadLetterRetry> {
  const agent = town.agent(agentId)
  const task = town.task(letter.taskId ?? letter.id)
  const keys = [town.deadLetters, agent.record, agent.inbox, task, town.events, agent.events, agent.handled]
  const decoded = decodeMessage(letter.message)
  const messageId = decoded.ok ? decoded.message.id : ''
  const what = [letter.id, agentId, letter.taskId ?? '', agent.wake, messageId, undo ? '1' : '0']
  const args = [...what, ...PLACES.flatMap((place) => agentKeyParts(town, place))]
  const [kind, state] = texts(await runScript(redis, retryScript, keys, args))
  return (kind === 'ended' ? state : kind) as DeadLetterRetry
}

/** What tells whether an agent has a task in hand. */
const PLACES = ['lease', 'inFlight', 'urgent', 'inbox', 'delayed'] as const

function readEntry([id, fields]: Entry): DeadLetter {
  const message = fieldOf(fields, 'message')
  return {
    id,
    at: fieldOf(fields, 'timestamp'),
    agentId: fieldOf(fields, 'agent_id'),
    agent: fieldOf(fields, 'agent'),
    reason: fieldOf(fields, 'reason'),
    detail: fieldOf(fields, 'detail'),
    message,
    taskId: parseId(fieldOf(fields, 'task_id')) ?? taskIn(message),
  }
}

/** The task that a message is about; null when it is about none, or cannot be read. */
export function taskIn(raw: string): Id | null {
  const decoded = decodeMessage(raw)
  if (!decoded.ok) return null
  const { body, id } = decoded.message
  if (body.type === 'task_assign') return body.task_id
  return body.type === 'task' || body.type === 'query' ? id : null
}
