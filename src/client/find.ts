import type { Agent } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import { type Id, parseId, RESERVED_NAMES, SUPERVISOR_ID } from '../domain/ids.ts'
import type { Task } from '../domain/task.ts'
import { findAgent } from '../store/agents.ts'
import type { Redis } from '../store/connection.ts'
import type { TownKeys } from '../store/keys.ts'
import { findTask } from '../store/tasks.ts'

/** What a word means. */
export type Found =
  | { readonly kind: 'agent'; readonly agent: Agent }
  | { readonly kind: 'task'; readonly task: Task }

/** The agent or, when there is none, the task that `reference` means. Throws `not-found` that says why it is neither. */
export async function findAgentOrTask(redis: Redis, town: TownKeys, reference: string): Promise<Found> {
  const agent = await expected(() => findAgent(redis, town, reference))
  if (!(agent instanceof WorkerError)) return { kind: 'agent', agent }
  const task = await expected(() => findTask(redis, town, reference))
  if (!(task instanceof WorkerError)) return { kind: 'task', task }
  const remedies = [agent.remedy, task.remedy].filter((remedy) => remedy !== undefined)
  throw new WorkerError('not-found', `${agent.message}; ${task.message}`, { remedy: remedies.join('; ') })
}

/** Whose messages: an agent's, or those of the supervisor, who is also the conductor and has no record. */
export interface Mailbox {
  readonly id: Id
  readonly name: string
  readonly agent: Agent | null
}

/** The mailbox of the supervisor. */
export const SUPERVISOR_MAILBOX: Mailbox = { id: SUPERVISOR_ID, name: 'supervisor', agent: null }

/** The mailbox that `reference` means. Throws `not-found` as `findAgent` does. */
export async function findMailbox(redis: Redis, town: TownKeys, reference: string): Promise<Mailbox> {
  const word = reference.trim().toLowerCase()
  if (RESERVED_NAMES.includes(word) || parseId(word) === SUPERVISOR_ID) return SUPERVISOR_MAILBOX
  return mailboxOf(await findAgent(redis, town, reference))
}

/** The mailbox of an agent. */
export function mailboxOf(agent: Agent): Mailbox {
  return { id: agent.id, name: agent.name, agent }
}

/** Like `findMailbox`, but null for what is not there. */
export async function lookForMailbox(
  redis: Redis,
  town: TownKeys,
  reference: string,
): Promise<Mailbox | null> {
  const found = await expected(() => findMailbox(redis, town, reference))
  return found instanceof WorkerError ? null : found
}

async function expected<T>(find: () => Promise<T>): Promise<T | WorkerError> {
  try {
    return await find()
  } catch (error) {
    if (error instanceof WorkerError && error.code === 'not-found') return error
    throw error
  }
}
