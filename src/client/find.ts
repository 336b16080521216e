import type { Agent } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
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

async function expected<T>(find: () => Promise<T>): Promise<T | WorkerError> {
  try {
    return await find()
  } catch (error) {
    if (error instanceof WorkerError && error.code === 'not-found') return error
    throw error
  }
}
