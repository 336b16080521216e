import { type Id, newId } from './ids.ts'
import type { Reason } from './outcome.ts'

/** The states of a task. Upstream reads an unknown word as `pending` (Tinytown, channel.rs). */
export const TASK_STATES = ['pending', 'assigned', 'running', 'completed', 'failed', 'cancelled'] as const
export type TaskState = (typeof TASK_STATES)[number]

/**
 * From which states a task may go to which. The scripts get their allowed-from states from this table, so that Lua and
 * TypeScript cannot drift apart. `running -> running` is a task taken up again after its worker died; a task that waits can be
 * completed, as `tt task complete` does it, and as a run does whose task somebody put back meanwhile.
 */
const NEXT = {
  pending: ['assigned', 'running', 'completed', 'failed', 'cancelled'],
  assigned: ['running', 'completed', 'failed', 'cancelled'],
  running: ['running', 'assigned', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
} as const satisfies Record<TaskState, readonly TaskState[]>

/** True when a task in state `from` may go to state `to`. */
export function canBecome(from: TaskState, to: TaskState): boolean {
  return (NEXT[from] as readonly TaskState[]).includes(to)
}

/** The states from which a task may go to `to`. */
export function allowedFrom(to: TaskState): TaskState[] {
  return TASK_STATES.filter((from) => canBecome(from, to))
}

/** True when nothing more happens to a task in this state. */
export function isTerminal(state: TaskState): boolean {
  return NEXT[state].length === 0
}

/** The states of a task that an agent has and has not ended. */
export const IN_HAND = ['assigned', 'running'] as const satisfies readonly TaskState[]

/** Reads a state word; `in_flight` is upstream's old name of `running`, an unknown word counts as `pending`. */
export function readTaskState(word: string | undefined): TaskState {
  if (word === 'in_flight') return 'running'
  return TASK_STATES.find((state) => state === word) ?? 'pending'
}

/** What is known of a run, kept as extra fields of the task (upstream keeps them when it rewrites a record). */
export interface TaskExtras {
  readonly attempts?: number
  readonly reason?: Reason
  readonly exitCode?: number
  readonly signal?: string
  readonly cli?: string
  readonly cliVersion?: string
  readonly sessionId?: string
  readonly inputTokens?: number
  readonly cachedInputTokens?: number
  readonly outputTokens?: number
  readonly costUsd?: number
  readonly queueMs?: number
  readonly durationMs?: number
  readonly toolCalls?: number
  readonly resultTruncated?: boolean
  /** Path of the log file on the worker's machine. */
  readonly log?: string
}

/** A task as its record says. Times are RFC 3339 texts. */
export interface Task extends TaskExtras {
  readonly id: Id
  readonly description: string
  readonly state: TaskState
  readonly createdAt: string
  readonly updatedAt: string
  readonly startedAt?: string
  readonly completedAt?: string
  readonly assignedTo?: Id
  readonly result?: string
  readonly parentId?: Id
  readonly tags: readonly string[]
}

/** What is needed to make a task's record; the rest is filled in. */
export interface NewTaskRecord {
  readonly description: string
  readonly tags?: readonly string[]
  readonly parentId?: Id
  /** RFC 3339. Without it the time of this machine. */
  readonly createdAt?: string
}

/** Makes a task with a new id that nobody has yet: `pending`. It stands in no town before its record is written. */
export function newTask({ createdAt = new Date().toISOString(), tags = [], ...from }: NewTaskRecord): Task {
  return { id: newId(), state: 'pending', tags, ...from, createdAt, updatedAt: createdAt }
}

/** Whether an agent has a task and has not ended it. */
export function isInHand({ state, assignedTo }: Pick<Task, 'state' | 'assignedTo'>, agentId: Id): boolean {
  return assignedTo === agentId && IN_HAND.some((open) => open === state)
}
