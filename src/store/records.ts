import type { Redis } from 'ioredis'
import { AGENT_TYPES, type Agent, CIRCUIT_STATES, readAgentState, SPAWN_MODES } from '../domain/agent.ts'
import { DELIVERIES } from '../domain/delivery.ts'
import { type Id, parseId } from '../domain/ids.ts'
import { REASONS, type Reason } from '../domain/outcome.ts'
import { readTaskState, type Task, type TaskExtras } from '../domain/task.ts'
import { runScript } from './script.ts'
import { readRecords as readRecordsScript } from './scripts/read-records.ts'

/** A record, whether it is a hash or a JSON string in Redis: field and value, both texts. */
export type Fields = Readonly<Record<string, string>>

/** Reads an agent record; null when it is not one (no id: a ghost that a blind write left behind). Ids are read in any form. */
export function readAgent(fields: Fields): Agent | null {
  const id = idOf(fields.id)
  if (!id) return null
  return {
    id,
    name: fields.name ?? '',
    state: readAgentState(fields.state),
    cli: fields.cli ?? '',
    createdAt: fields.created_at ?? '',
    lastHeartbeat: fields.last_heartbeat ?? '',
    lastActiveAt: fields.last_active_at ?? '',
    tasksCompleted: Number(fields.tasks_completed ?? 0),
    roundsCompleted: Number(fields.rounds_completed ?? 0),
    ...present({
      nickname: fields.nickname,
      roleId: fields.role_id,
      agentType: AGENT_TYPES.find((word) => word === fields.agent_type),
      spawnMode: SPAWN_MODES.find((word) => word === fields.spawn_mode),
      parentAgentId: idOf(fields.parent_agent_id),
      currentTask: idOf(fields.current_task),
      host: fields.host,
      pid: numberOf(fields.pid),
      workerVersion: fields.worker_version,
      circuit: CIRCUIT_STATES.find((word) => word === fields.circuit),
      delivery: DELIVERIES.find((word) => word === fields.delivery),
      lastError: fields.last_error,
      parkedUntil: fields.parked_until,
    }),
  }
}

/** What writing a whole record comes to: field and value in turn, and the fields that must not be there. */
export interface RecordText {
  readonly fields: readonly string[]
  readonly absent: readonly string[]
}

/**
 * An agent as its record. Of Tinytown's fields, one that is undefined is absent; a worker's own fields (`host`, `last_error` …)
 * are written when they are there and otherwise left as they are.
 */
export function agentText(agent: Agent): RecordText {
  const { id, name, state, cli, createdAt, lastHeartbeat, lastActiveAt, tasksCompleted, roundsCompleted } =
    agent
  const fixed = { id, name, state, cli, tasks_completed: tasksCompleted, rounds_completed: roundsCompleted }
  const times = { created_at: createdAt, last_heartbeat: lastHeartbeat, last_active_at: lastActiveAt }
  const kind = { agent_type: agent.agentType, spawn_mode: agent.spawnMode }
  const worker = { host: agent.host, pid: agent.pid, worker_version: agent.workerVersion }
  return recordText(
    {
      ...fixed,
      ...notEmpty(times),
      ...kind,
      ...worker,
      circuit: agent.circuit,
      delivery: agent.delivery,
      last_error: agent.lastError,
      parked_until: agent.parkedUntil,
    },
    {
      nickname: agent.nickname,
      role_id: agent.roleId,
      parent_agent_id: agent.parentAgentId,
      current_task: agent.currentTask,
    },
  )
}

/** A task as its record, by the same rule; the extras of a run are the worker's own fields. */
export function taskText(task: Task): RecordText {
  const { id, description, state, createdAt, updatedAt, tags } = task
  const times = notEmpty({ created_at: createdAt, updated_at: updatedAt })
  const { fields, absent } = recordText(
    { id, description, state, ...times, tags: JSON.stringify(tags) },
    {
      started_at: task.startedAt,
      completed_at: task.completedAt,
      assigned_to: task.assignedTo,
      result: task.result,
      parent_id: task.parentId,
    },
  )
  return { fields: [...fields, ...extraFields(task)], absent }
}

type Values = Readonly<Record<string, string | number | undefined>>

/** `kept` is left as it is where it is undefined, `optional` is absent then. */
function recordText(kept: Values, optional: Values): RecordText {
  const fields = Object.entries({ ...kept, ...optional }).flatMap(([field, value]) =>
    value === undefined ? [] : [field, String(value)],
  )
  const absent = Object.keys(optional).filter((field) => optional[field] === undefined)
  return { fields, absent }
}

// A time that a record does not tell is read as ''.
function notEmpty(times: Readonly<Record<string, string>>): Values {
  return Object.fromEntries(Object.entries(times).filter(([, time]) => time !== ''))
}

/** Reads a task record; null when it is not one. */
export function readTask(fields: Fields): Task | null {
  const id = idOf(fields.id)
  if (!id) return null
  return {
    id,
    description: fields.description ?? '',
    state: readTaskState(fields.state),
    createdAt: fields.created_at ?? '',
    updatedAt: fields.updated_at ?? '',
    tags: readTags(fields.tags),
    ...present({
      startedAt: fields.started_at,
      completedAt: fields.completed_at,
      assignedTo: idOf(fields.assigned_to),
      result: fields.result,
      parentId: idOf(fields.parent_id),
    }),
    ...readExtras(fields),
  }
}

/** Which record field holds which extra of a task, and how it is read. */
const EXTRA_FIELDS = {
  attempts: ['attempts', 'number'],
  reason: ['reason', 'reason'],
  exitCode: ['exit_code', 'number'],
  signal: ['signal', 'text'],
  cli: ['cli', 'text'],
  cliVersion: ['cli_version', 'text'],
  sessionId: ['session_id', 'text'],
  inputTokens: ['input_tokens', 'number'],
  cachedInputTokens: ['cached_input_tokens', 'number'],
  outputTokens: ['output_tokens', 'number'],
  costUsd: ['cost_usd', 'number'],
  queueMs: ['queue_ms', 'number'],
  durationMs: ['duration_ms', 'number'],
  toolCalls: ['tool_calls', 'number'],
  resultTruncated: ['result_truncated', 'flag'],
  log: ['log', 'text'],
} as const satisfies Record<keyof TaskExtras, readonly [string, 'number' | 'text' | 'flag' | 'reason']>

/** The extras of a run as field and value in turn, ready for a script; absent ones are left out. */
export function extraFields(extras: TaskExtras): string[] {
  return Object.entries(EXTRA_FIELDS).flatMap(([key, [field]]) => {
    const value = extras[key as keyof TaskExtras]
    return value === undefined ? [] : [field, String(value)]
  })
}

function readExtras(fields: Fields): TaskExtras {
  const entries = Object.entries(EXTRA_FIELDS).flatMap(([key, [field, kind]]) => {
    const value = readValue(fields[field], kind)
    return value === undefined ? [] : [[key, value]]
  })
  return Object.fromEntries(entries) as TaskExtras
}

function readValue(text: string | undefined, kind: 'number' | 'text' | 'flag' | 'reason') {
  if (text === undefined) return undefined
  if (kind === 'number') return numberOf(text)
  if (kind === 'flag') return text === 'true'
  if (kind === 'reason') return REASONS.find((reason): reason is Reason => reason === text)
  return text
}

// What is no id is kept: a record that says something odd is still one.
function idOf(text: string | undefined): Id | undefined {
  return text === undefined ? undefined : (parseId(text) ?? text)
}

export function readTags(text: string | undefined): string[] {
  try {
    const value: unknown = JSON.parse(text ?? '[]')
    return Array.isArray(value) ? value.filter((tag) => typeof tag === 'string') : []
  } catch {
    return []
  }
}

function numberOf(text: string | undefined): number | undefined {
  const value = text === undefined || text === '' ? Number.NaN : Number(text)
  return Number.isFinite(value) ? value : undefined
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

/** The same object without the fields that are undefined. */
function present<T extends object>(fields: T): Present<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>
}

/** Field and value in turn, as a script answers, to an object. */
export function pairs(flat: readonly string[]): Fields {
  const fields: Record<string, string> = {}
  for (let at = 0; at + 1 < flat.length; at += 2) fields[flat[at] as string] = flat[at + 1] as string
  return fields
}

/** Reads some records in one round trip, in the order of their keys; no fields for what is not there or is no record. */
export async function readRecords(redis: Redis, keys: readonly string[]): Promise<Fields[]> {
  if (keys.length === 0) return []
  const found = (await runScript(redis, readRecordsScript, keys, [])) as string[][]
  return found.map(pairs)
}

/** Reads the record at `key`; no fields when there is none. */
export async function readRecord(redis: Redis, key: string): Promise<Fields> {
  const [fields = {}] = await readRecords(redis, [key])
  return fields
}

/** Reads every record whose key matches `pattern`, in two round trips per 500 keys. What is not a record is left out. */
export async function scanRecords<T extends { readonly id: string }>(
  redis: Redis,
  pattern: string,
  read: (fields: Fields) => T | null,
): Promise<T[]> {
  const found = new Map<string, T>()
  for await (const keys of redis.scanStream({ match: pattern, count: 500 })) {
    for (const fields of await readRecords(redis, keys as string[])) {
      const record = read(fields)
      if (record) found.set(record.id, record)
    }
  }
  return [...found.values()]
}
