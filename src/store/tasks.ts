import type { Redis } from 'ioredis'
import { WorkerError } from '../domain/errors.ts'
import { type Id, newId, parseId, SUPERVISOR_ID } from '../domain/ids.ts'
import { encodeMessage, newMessage, type Priority } from '../domain/message.ts'
import type { Reason } from '../domain/outcome.ts'
import { allowedFrom, readTaskState, type Task, type TaskExtras, type TaskState } from '../domain/task.ts'
import { agentKeyParts, type TownKeys } from './keys.ts'
import { type Lease, runLeased } from './lease.ts'
import { extraFields, pairs, readRecord, readTask, scanRecords } from './records.ts'
import { runScript, texts } from './script.ts'
import { assign as assignScript } from './scripts/assign.ts'
import { cancel as cancelScript } from './scripts/cancel.ts'
import { release as releaseScript } from './scripts/release.ts'
import { retry as retryScript } from './scripts/retry.ts'
import { settle as settleScript } from './scripts/settle.ts'
import { start as startScript } from './scripts/start.ts'

/** What starting a claimed message came to. */
export type Started =
  | {
      readonly kind: 'started'
      readonly task: Task
      /** RFC 3339, the server's clock. */
      readonly startedAt: string
      readonly attempt: number
      /** Of those that wait for the next prompt the oldest, as many as a prompt should hold. */
      readonly notes: readonly string[]
      /** How many more wait. */
      readonly notesLeft: number
    }
  | { readonly kind: 'missing' }
  /** The key holds something else: a type of Redis, or a text that is no JSON object. */
  | { readonly kind: 'unreadable'; readonly type: string }
  | { readonly kind: 'ended'; readonly state: TaskState }
  | { readonly kind: 'elsewhere'; readonly agentId: Id }
  /** A message with this id was handled before, or waits for its next attempt; or it is in flight no more. */
  | { readonly kind: 'duplicate' }
  /** It was run at most once and the run was lost with its worker: it is to be settled. */
  | { readonly kind: 'lost-run'; readonly task: Task; readonly startedAt: string; readonly attempt: number }

/**
 * Starts the task of a claimed message. `description` makes the record of a message that has none of its own. With a `messageId` no
 * message is run whose id is remembered; `atMostOnce` remembers it now, and marks the task.
 */
export async function startTask(
  lease: Lease,
  start: {
    digest: string
    taskId: Id
    startId: string
    cli: string
    description?: string
    messageId?: Id
    atMostOnce?: boolean
  },
): Promise<Started> {
  const { agent, town } = lease
  const task = town.task(start.taskId)
  const keys = [
    agent.lease,
    agent.inFlight,
    task,
    agent.record,
    agent.notes,
    agent.receipt,
    town.events,
    agent.events,
    agent.handled,
    agent.delayed,
  ]
  const allowed = allowedFrom('running').join(',')
  const about = [start.digest, lease.agentId, start.taskId, start.startId, start.cli]
  const reply = await runLeased(lease, startScript, keys, [
    ...about,
    allowed,
    start.description ?? '',
    ...agentKeyParts(town, 'lease'),
    town.recordFormat,
    start.messageId ?? '',
    start.atMostOnce ? '1' : '0',
  ])
  const [kind, first = '', attempt = '0', count = '0', notesLeft = '0'] = reply
  if (kind === 'ended') return { kind, state: readTaskState(first) }
  if (kind === 'unreadable') return { kind, type: first }
  if (kind === 'elsewhere') return { kind, agentId: first }
  if (kind === 'duplicate') return { kind }
  const notesFrom = 5 + Number(count)
  const record = kind === 'missing' ? null : readTask(pairs(reply.slice(5, notesFrom)))
  if (!record) return { kind: 'missing' }
  if (kind === 'lost-run') return { kind, task: record, startedAt: first, attempt: Number(attempt) }
  lease.left.receipt = start.startId
  return {
    kind: 'started',
    task: record,
    startedAt: first,
    attempt: Number(attempt),
    notes: reply.slice(notesFrom),
    notesLeft: Number(notesLeft),
  }
}

/** How a task ends. */
export interface Settlement {
  /** Of the claimed message. */
  readonly digest: string
  readonly taskId: Id
  readonly settleId: string
  /** `running` leaves the task to somebody else: only what is known of the run is written. */
  readonly state: 'completed' | 'failed' | 'cancelled' | 'running'
  readonly result: string
  readonly reason?: Reason
  readonly notesUsed: number
  /** Of the message, which is remembered as handled; without it none is. */
  readonly messageId?: Id
  readonly extras: TaskExtras
  readonly eventMessage: string
  readonly activity: string
  /** Why the message is kept in the dead letters; without it it is not. */
  readonly bury?: string
  /** Another process made the run: a task that is not this agent's to settle any more is left alone. */
  readonly spooled?: boolean
  /** What goes out with it. `tellsOf` is the end that it tells of when that is not the one of the run. */
  readonly reply?: { readonly to: Id; readonly raw: string; readonly tellsOf?: TaskState }
}

/**
 * `ended`: somebody else ended the task meanwhile and that end stands (`running`, `assigned`: another agent has it). `gone`: its
 * record was deleted. `reread`: nothing was written, as the reply tells of another end than the one in the record. `left`: nothing was
 * written, as the task of a spooled result is not this agent's any more.
 */
export type Settled =
  | ({ readonly kind: 'ok' } & Rounds)
  | ({ readonly kind: 'gone' } & Rounds)
  | ({ readonly kind: 'ended'; readonly state: TaskState } & Rounds)
  | { readonly kind: 'reread'; readonly state: TaskState }
  | { readonly kind: 'left'; readonly why: 'gone' | 'ended' | 'elsewhere' }

/** How many rounds the agent has completed now; absent when that is not told. */
interface Rounds {
  readonly rounds?: number
}

/** Writes the end of a task in one step. Throws `LeaseLost`. */
export async function settleTask(lease: Lease, end: Settlement): Promise<Settled> {
  const { agent, town } = lease
  const replyInbox = town.agent(end.reply?.to ?? SUPERVISOR_ID).inbox
  const own = [agent.lease, agent.inFlight, town.task(end.taskId), agent.record, agent.notes, agent.receipt]
  const told = [agent.activity, town.events, agent.events, replyInbox, town.deadLetters]
  const keys = [...own, ...told, agent.inbox, agent.handled]
  const what = [
    end.digest,
    end.settleId,
    lease.agentId,
    end.taskId,
    end.state,
    allowedFrom(end.state).join(','),
  ]
  const how = [
    end.result,
    end.reason ?? '',
    end.notesUsed,
    end.reply?.raw ?? '',
    end.eventMessage,
    end.activity,
    end.reply?.tellsOf ?? '',
    end.bury ?? '',
    end.spooled ? '1' : '0',
    end.messageId ?? '',
  ]
  const [kind, word, completed = ''] = await runLeased(lease, settleScript, keys, [
    ...what,
    ...how,
    ...extraFields(end.extras),
  ])
  if (kind === 'reread') return { kind, state: readTaskState(word) }
  if (kind === 'left') return { kind, why: word as Extract<Settled, { kind: 'left' }>['why'] }
  lease.left.receipt = end.settleId
  const rounds = completed === '' ? {} : { rounds: Number(completed) }
  if (kind === 'ended') return { kind, state: readTaskState(word), ...rounds }
  return { kind: kind === 'gone' ? 'gone' : 'ok', ...rounds }
}

/** A run that failed and is to be made again. */
export interface Retry {
  /** Of the claimed message. */
  readonly digest: string
  readonly taskId: Id
  readonly retryId: string
  readonly delayMs: number
  readonly reason: Reason
  readonly extras: TaskExtras
  readonly eventMessage: string
  readonly activity: string
}

/** Puts a message aside until its next attempt is due. Null: the task is not this worker's any more. Throws `LeaseLost`. */
export async function retryTask(lease: Lease, again: Retry): Promise<{ rounds?: number } | null> {
  const { agent, town } = lease
  const own = [agent.lease, agent.inFlight, agent.delayed, town.task(again.taskId), agent.record]
  const keys = [...own, agent.receipt, agent.activity, town.events, agent.events]
  const what = [again.digest, again.retryId, lease.agentId, again.taskId, again.delayMs, again.reason]
  const args = [...what, again.eventMessage, again.activity, ...extraFields(again.extras)]
  const [kind, rounds = ''] = await runLeased(lease, retryScript, keys, args)
  if (kind !== 'ok') return null
  lease.left.receipt = again.retryId
  return rounds === '' ? {} : { rounds: Number(rounds) }
}

/** Gives a claimed message back, uncounted, and leaves the agent in `agentState`. Throws `LeaseLost`. */
export async function releaseTask(
  lease: Lease,
  back: {
    digest: string
    taskId: Id
    releaseId: string
    agentState: 'idle' | 'error' | 'draining'
    counted: boolean
    /** Of the message, which has not been handled. */
    messageId?: Id
    message: string
    lastError?: string
    sessionId?: string
    /** RFC 3339. */
    parkedUntil?: string
  },
): Promise<void> {
  const { agent, town } = lease
  const own = [agent.lease, agent.inFlight, agent.inbox, town.task(back.taskId), agent.record, agent.receipt]
  const what = [back.digest, back.releaseId, lease.agentId, back.taskId, back.agentState]
  const told = [back.lastError ?? '', back.sessionId ?? '', back.message]
  const how = [...told, back.counted ? '1' : '0', back.parkedUntil ?? '', back.messageId ?? '']
  const keys = [...own, town.events, agent.events, agent.handled]
  await runLeased(lease, releaseScript, keys, [...what, ...how])
  lease.left.receipt = back.releaseId
}

/** A task that somebody wants done. */
export interface NewTask {
  readonly description: string
  readonly tags: readonly string[]
  readonly priority: Priority
}

/** A task that is assigned at once. */
export interface TaskToAssign extends NewTask {
  /** Default: a new one. A task of this id that is there already is assigned as long as nobody has it. */
  readonly id?: Id
  readonly parentId?: Id
  /** RFC 3339. Default: now, by the server's clock. */
  readonly createdAt?: string
}

/** A `task_assign` message as what stands before and after its time, which a script puts in by the server's clock. */
export function assignmentParts(about: {
  from: Id
  to: Id
  taskId: Id
  priority?: Priority
}): readonly [before: string, after: string] {
  const { from, to, taskId, priority = 'normal' } = about
  const body = { type: 'task_assign', task_id: taskId } as const
  const mark = newId()
  const [before = '', after = ''] = encodeMessage(
    newMessage({ from, to, body, priority, createdAt: mark }),
  ).split(mark)
  return [before, after]
}

/**
 * Makes a task and puts it into an agent's inbox. Returns its id and how many messages wait there now. Throws `not-found` when the
 * agent's record is gone, `wrong-state` for a task that somebody has or had, `config` when its key holds something else.
 */
export async function assignTask(
  redis: Redis,
  town: TownKeys,
  agentId: Id,
  task: TaskToAssign,
): Promise<{ taskId: Id; agentState: string; waiting: number }> {
  const taskId = task.id ?? newId()
  const agent = town.agent(agentId)
  const message = assignmentParts({ from: SUPERVISOR_ID, to: agentId, taskId, priority: task.priority })
  const end = task.priority === 'high' || task.priority === 'urgent' ? 'head' : 'tail'
  const keys = [agent.record, town.task(taskId), agent.inbox, town.events, agent.events, town.backlog]
  const what = [agentId, taskId, task.description, JSON.stringify(task.tags), ...message, end]
  const about = [task.parentId ?? '', task.createdAt ?? '', task.id === undefined ? '1' : '0']
  const args = [...what, 'task assigned', town.recordFormat, agent.wake, ...about]
  const [kind, first = '', second = ''] = texts(await runScript(redis, assignScript, keys, args))
  switch (kind) {
    // `exists`: it is in the agent's hands, or the reply got lost and the client sent the script again.
    case 'ok':
    case 'exists':
      return { taskId, agentState: first, waiting: Number(second) }
    case 'taken':
      throw new WorkerError('wrong-state', `The task ${taskId} is ${first}${second && `, by ${second}`}`, {
        remedy: 'Only a task that nobody has yet can be assigned',
      })
    case 'unreadable':
      throw new WorkerError('config', `The key ${town.task(taskId)} holds no record: ${first}`)
    default:
      throw new WorkerError('not-found', `The agent ${agentId} is not in town ${town.town} any more`)
  }
}

/** What a cancel came to: `ended` says in which state the task was already. */
export type Cancelled =
  | { readonly kind: 'cancelled'; readonly before: TaskState; readonly agentId: Id | null }
  | { readonly kind: 'ended'; readonly state: TaskState }

/** Cancels a task: one that runs is ended at once, one that waits is never run. Throws `not-found` when its record is gone. */
export async function cancelTask(redis: Redis, town: TownKeys, id: Id, result: string): Promise<Cancelled> {
  const [events] = agentKeyParts(town, 'events')
  const args = [id, allowedFrom('cancelled').join(','), result, events, ...agentKeyParts(town, 'wake')]
  const keys = [town.task(id), town.backlog, town.events]
  const [kind, first = '', agentId = ''] = texts(await runScript(redis, cancelScript, keys, args))
  if (kind === 'ok') return { kind: 'cancelled', before: readTaskState(first), agentId: agentId || null }
  if (kind === 'ended') return { kind: 'ended', state: readTaskState(first) }
  const why = kind === 'unreadable' ? `holds no record but ${first}` : 'is gone'
  throw new WorkerError('not-found', `The task ${id} ${why} in town ${town.town}`)
}

/** The task with this id, or null. */
export async function getTask(redis: Redis, town: TownKeys, id: Id): Promise<Task | null> {
  return readTask(await readRecord(redis, town.task(id)))
}

/**
 * The task that `reference` means: its id or the beginning of it (four digits or more). Throws `not-found` when there is
 * none or more than one.
 */
export async function findTask(redis: Redis, town: TownKeys, reference: string): Promise<Task> {
  const id = parseId(reference)
  const direct = id ? await getTask(redis, town, id) : null
  if (direct) return direct
  const start = reference.trim().toLowerCase()
  const found =
    start.length >= 4 ? (await listTasks(redis, town)).filter((task) => task.id.startsWith(start)) : []
  const [task] = found
  if (task && found.length === 1) return task
  const many =
    found.length > 1
      ? `${found.length} tasks begin with ${start}`
      : `No task ${reference} in town ${town.town}`
  throw new WorkerError('not-found', many, {
    remedy: found.length > 1 ? 'Give more of the id' : 'tinytown-worker tasks lists them',
  })
}

/** All tasks of the town, newest first. */
export async function listTasks(redis: Redis, town: TownKeys): Promise<Task[]> {
  const tasks = await scanRecords(redis, town.taskPattern, readTask)
  return tasks.sort((a, b) => b.createdAt.localeCompare(a.createdAt))
}
