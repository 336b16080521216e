import { z } from 'zod'
import { AGENT_STATES, AGENT_TYPES, type Agent, CIRCUIT_STATES, SPAWN_MODES } from '../domain/agent.ts'
import { DELIVERIES } from '../domain/delivery.ts'
import { WorkerError } from '../domain/errors.ts'
import { EVENT_TYPES } from '../domain/event.ts'
import { explain, ruleOf, shown } from '../domain/explain.ts'
import { id, time, toldTime, wholeText } from '../domain/fields.ts'
import type { Id } from '../domain/ids.ts'
import { PRIORITIES } from '../domain/message.ts'
import { REASONS } from '../domain/outcome.ts'
import { TASK_STATES, type Task, type TaskExtras } from '../domain/task.ts'

// What a caller of the library gives is checked here before anything is done: JavaScript has no types. All throw `usage`.

const count = z.custom<number>((value) => Number.isSafeInteger(value) && Number(value) >= 0, {
  error: 'a whole number, 0 or more',
})
const number = z.custom<number>((value) => Number.isFinite(value), 'a number')
const tags = z.array(wholeText)

const agent = z.object({
  id,
  name: wholeText,
  nickname: wholeText.optional(),
  roleId: wholeText.optional(),
  agentType: z.enum(AGENT_TYPES).optional(),
  spawnMode: z.enum(SPAWN_MODES).optional(),
  parentAgentId: id.optional(),
  state: z.enum(AGENT_STATES),
  cli: wholeText,
  currentTask: id.optional(),
  createdAt: toldTime,
  lastHeartbeat: toldTime,
  lastActiveAt: toldTime,
  tasksCompleted: count,
  roundsCompleted: count,
  host: wholeText.optional(),
  pid: count.optional(),
  workerVersion: wholeText.optional(),
  circuit: z.enum(CIRCUIT_STATES).optional(),
  delivery: z.enum(DELIVERIES).optional(),
  lastError: wholeText.optional(),
})

const extras = {
  attempts: count.optional(),
  reason: z.enum(REASONS).optional(),
  exitCode: number.optional(),
  signal: wholeText.optional(),
  cli: wholeText.optional(),
  cliVersion: wholeText.optional(),
  sessionId: wholeText.optional(),
  inputTokens: number.optional(),
  cachedInputTokens: number.optional(),
  outputTokens: number.optional(),
  costUsd: number.optional(),
  queueMs: number.optional(),
  durationMs: number.optional(),
  toolCalls: count.optional(),
  resultTruncated: z.boolean().optional(),
  log: wholeText.optional(),
} satisfies Record<keyof TaskExtras, z.ZodType>

const task = z.object({
  id,
  description: wholeText,
  state: z.enum(TASK_STATES),
  createdAt: toldTime,
  updatedAt: toldTime,
  startedAt: toldTime.optional(),
  completedAt: toldTime.optional(),
  assignedTo: id.optional(),
  result: wholeText.optional(),
  parentId: id.optional(),
  tags,
  ...extras,
})

const assignment = z.object({
  description: wholeText.refine((text) => text.trim() !== '', 'a text, not empty'),
  tags: tags.default([]),
  priority: z.enum(PRIORITIES).default('normal'),
  id: id.optional(),
  parentId: id.optional(),
  createdAt: toldTime.optional(),
})

// Fields that nobody knows stay, as they do when an event is read.
const event = z.looseObject({
  event_type: z.enum(EVENT_TYPES),
  agent_id: id.optional(),
  task_id: id.optional(),
  old_state: wholeText.optional(),
  new_state: wholeText.optional(),
  message: wholeText,
  timestamp: time.optional(),
  parent_agent_id: id.optional(),
  scope: wholeText.optional(),
  spawn_mode: wholeText.optional(),
  reason: wholeText.optional(),
})

/** A whole record of an agent, its ids in the form that Tinytown writes. */
export function checkedAgent(value: Agent): Agent {
  return whole('agent', agent, value) as Agent
}

/** A whole record of a task, its ids in the form that Tinytown writes. */
export function checkedTask(value: Task): Task {
  return whole('task', task, value) as Task
}

/** What an agent is to do. */
export function checkedAssignment(value: unknown): z.output<typeof assignment> {
  return whole('task', assignment, typeof value === 'string' ? { description: value } : value)
}

/** An event; its time may still be missing. */
export function checkedEvent(value: unknown): z.output<typeof event> {
  return whole('event', event, value)
}

/** An id in the form that Tinytown writes. `what`: the id of what. */
export function checkedId(what: 'agent' | 'task', value: Id): Id {
  return one(`the id of the ${what}`, id, value)
}

/** How many. */
export function checkedCount(what: string, value: number): number {
  return one(what, count, value)
}

/** Milliseconds of a timer; undefined or Infinity for no limit. */
export function checkedTimeout(value: number | undefined): { timeoutMs?: number } {
  if (value === undefined || value === Number.POSITIVE_INFINITY) return {}
  return { timeoutMs: one('timeoutMs', count, value) }
}

/** A place in a stream of events. */
export function checkedPlace(value: string): string {
  return one('from', z.string().regex(/^\d+(?:-\d+)?$/, 'a place like 0-0 or 1763715950237-0'), value)
}

/** A line of text. */
export function checkedText(what: string, value: string): string {
  return one(what, wholeText, value)
}

/** An object, whatever is in it. */
export function checkedObject<T extends object>(what: string, value: T): T {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new WorkerError('usage', `Expected ${what} to be an object, got ${shown(value)}`)
}

function whole<S extends z.ZodType>(what: string, schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new WorkerError('usage', explain(what, parsed.error, value))
}

function one<S extends z.ZodType>(what: string, schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const rule = issue && value !== undefined ? ruleOf(issue) : 'given'
  throw new WorkerError('usage', `Expected ${what} to be ${rule}, got ${shown(value)}`)
}
