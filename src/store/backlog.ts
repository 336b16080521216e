import type { Redis } from 'ioredis'
import { WorkerError } from '../domain/errors.ts'
import { type Id, newId, parseId, SUPERVISOR_ID } from '../domain/ids.ts'
import {
  allowedFrom,
  isTerminal,
  readTaskState,
  TASK_STATES,
  type Task,
  type TaskState,
} from '../domain/task.ts'
import { agentKeyParts, type TownKeys } from './keys.ts'
import { pushOnce } from './push.ts'
import { readRecords, readTags, readTask } from './records.ts'
import { runScript, texts } from './script.ts'
import { addBacklog as addBacklogScript } from './scripts/add-backlog.ts'
import { claimBacklog as claimBacklogScript } from './scripts/claim-backlog.ts'
import { lookBacklog as lookBacklogScript } from './scripts/look-backlog.ts'
import { assignmentParts, findTask, type NewTask } from './tasks.ts'

/** What stands in the backlog: an id, and its task unless the record is gone. */
export interface BacklogEntry {
  readonly id: Id
  readonly task: Task | null
}

/** The backlog from its head, in two round trips. */
export async function listBacklog(redis: Redis, town: TownKeys): Promise<BacklogEntry[]> {
  const ids = await redis.lrange(town.backlog, 0, -1)
  const records = await readRecords(
    redis,
    ids.map((id) => town.task(id)),
  )
  return ids.map((id, at) => ({ id, task: readTask(records[at] ?? {}) }))
}

/** What says for whom a task of the backlog is; of a long text the beginning. */
type BacklogTask = Pick<Task, 'id' | 'tags' | 'description'>

/** A part of the backlog. `mark` is another one when a task was added or taken; `next` is where the next part begins. */
export interface BacklogPart {
  readonly mark: string
  readonly next: number | null
  readonly tasks: readonly BacklogTask[]
}

/** Reads `count` tasks of the backlog from place `from` on; none when it is as it was when its mark was `seen`. */
export async function lookAtBacklog(
  redis: Redis,
  town: TownKeys,
  { from, count, seen = '' }: { from: number; count: number; seen?: string },
): Promise<BacklogPart> {
  const ended = TASK_STATES.filter(isTerminal).join(',')
  const args = [town.taskPrefix, seen, from, count, ended]
  const [mark = '', next = '', ...fields] = texts(
    await runScript(redis, lookBacklogScript, [town.backlog], args),
  )
  const tasks: BacklogTask[] = []
  for (let at = 0; at < fields.length; at += 3) {
    const [id = '', tags = '[]', description = ''] = fields.slice(at, at + 3)
    tasks.push({ id, tags: readTags(tags), description })
  }
  return { mark, next: next === '' ? null : Number(next), tasks }
}

/** Puts a task at the tail of the backlog, unless it stands near it. Its record is written first. Returns how many tasks are there now. */
export async function pushBacklog(redis: Redis, town: TownKeys, taskId: Id): Promise<number> {
  return await pushOnce(redis, town.backlog, taskId, { end: 'tail' })
}

/** Takes the id at the head off the backlog; null when it is empty. Whoever pops it has to keep it. */
export async function popBacklog(redis: Redis, town: TownKeys): Promise<Id | null> {
  return await redis.lpop(town.backlog)
}

/** Takes a task off the backlog wherever it stands. Returns whether it was there. */
export async function removeFromBacklog(redis: Redis, town: TownKeys, taskId: Id): Promise<boolean> {
  return (await redis.lrem(town.backlog, 0, taskId)) > 0
}

/** How many tasks the backlog has. */
export async function countBacklog(redis: Redis, town: TownKeys): Promise<number> {
  return await redis.llen(town.backlog)
}

/** Makes a task that nobody has yet and puts it at the end of the backlog. Returns its id and how many wait there now. */
export async function addToBacklog(
  redis: Redis,
  town: TownKeys,
  task: Omit<NewTask, 'priority'>,
): Promise<{ taskId: Id; waiting: number }> {
  const taskId = newId()
  const args = [taskId, task.description, JSON.stringify(task.tags), town.recordFormat]
  // `exists`: the reply got lost and the client sent the script again. The id is new, so the task is this one.
  const reply = await runScript(redis, addBacklogScript, [town.task(taskId), town.backlog], args)
  const [, waiting] = texts(reply)
  return { taskId, waiting: Number(waiting) }
}

/**
 * The id in the backlog that `reference` means: the id or the beginning of it (four digits or more), also when its record is
 * gone. Throws `not-found` when there is none or more than one, `wrong-state` for a task that is not in the backlog.
 */
export async function findInBacklog(redis: Redis, town: TownKeys, reference: string): Promise<Id> {
  const start = parseId(reference) ?? reference.trim().toLowerCase()
  const ids = [...new Set(await redis.lrange(town.backlog, 0, -1))]
  const found = ids.filter((id) => id === start || (start.length >= 4 && id.startsWith(start)))
  const [id] = found
  if (id !== undefined && found.length === 1) return id
  if (id !== undefined) {
    throw new WorkerError('not-found', `${found.length} tasks of the backlog begin with ${start}`, {
      remedy: 'Give more of the id',
    })
  }
  const task = await findTask(redis, town, reference)
  throw new WorkerError('wrong-state', `Task ${task.id} is not in the backlog: it is ${task.state}`, {
    remedy: 'tinytown-worker backlog list shows what is',
  })
}

/** What claiming a task of the backlog came to. `taken`: it is not in the backlog any more. */
export type BacklogClaim =
  | { readonly kind: 'claimed' }
  | { readonly kind: 'taken' | 'missing' | 'no-agent' }
  | { readonly kind: 'ended'; readonly state: TaskState }

/** Gives a task of the backlog to an agent, in one step. */
export async function claimBacklogTask(
  redis: Redis,
  town: TownKeys,
  claim: { taskId: Id; agentId: Id },
): Promise<BacklogClaim> {
  const { taskId, agentId } = claim
  const agent = town.agent(agentId)
  const keys = [town.backlog, town.task(taskId), agent.record, agent.inbox, town.events, agent.events]
  const message = assignmentParts({ from: SUPERVISOR_ID, to: agentId, taskId })
  const allowed = [...allowedFrom('assigned'), 'assigned'].join(',')
  const args = [
    taskId,
    agentId,
    ...message,
    'claimed from the backlog',
    allowed,
    agent.wake,
    ...agentKeyParts(town, 'lease'),
  ]
  const [kind, state] = texts(await runScript(redis, claimBacklogScript, keys, args))
  if (kind === 'ended') return { kind, state: readTaskState(state) }
  return { kind: kind === 'ok' ? 'claimed' : (kind as 'taken' | 'missing' | 'no-agent') }
}
