import type { Redis } from 'ioredis'
import type { Agent } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import type { EventType, TownEvent } from '../domain/event.ts'
import { type Id, newId, parseId } from '../domain/ids.ts'
import type { Task, TaskState } from '../domain/task.ts'
import { idOfName } from './agents.ts'
import type { TownKeys } from './keys.ts'
import { agentText, type RecordText, taskText } from './records.ts'
import { runScript, texts } from './script.ts'
import { spawn as spawnScript } from './scripts/spawn.ts'
import { writeRecord as writeRecordScript } from './scripts/write-record.ts'

/**
 * Writes a whole agent record, whoever else writes it: no lease is asked for. Throws `usage` for an id that is none and `config`
 * when the key holds no record.
 */
export async function writeAgent(redis: Redis, town: TownKeys, agent: Agent): Promise<void> {
  const id = checkedId('agent', agent.id)
  const event = {
    event_type: 'agent_state_changed',
    agent_id: id,
    message: `${agent.name} is ${agent.state}`,
  }
  await write(redis, town, {
    key: town.agent(id).record,
    text: agentText({ ...agent, id }),
    event,
    tellsStates: true,
    agentId: id,
  })
}

/** Writes a whole task record. Throws as `writeAgent` does. */
export async function writeTask(redis: Redis, town: TownKeys, task: Task): Promise<void> {
  const id = checkedId('task', task.id)
  const type = TOLD[task.state]
  const about = { task_id: id, ...(task.assignedTo ? { agent_id: task.assignedTo } : {}) }
  const reason = task.state === 'cancelled' ? 'cancelled' : task.reason
  await write(redis, town, {
    key: town.task(id),
    text: taskText({ ...task, id }),
    event: type && {
      event_type: type,
      ...about,
      message: `the task is ${task.state}`,
      ...(type === 'task_failed' && reason ? { reason } : {}),
    },
    tellsStates: false,
    agentId: task.assignedTo,
  })
}

/** Upstream has no words for the others. */
const TOLD: { readonly [S in TaskState]?: EventType } = {
  assigned: 'task_assigned',
  completed: 'task_completed',
  failed: 'task_failed',
  cancelled: 'task_failed',
}

interface Writing {
  readonly key: string
  readonly text: RecordText
  readonly event: Omit<TownEvent, 'timestamp'> | undefined
  readonly tellsStates: boolean
  readonly agentId: Id | undefined
}

async function write(redis: Redis, town: TownKeys, record: Writing): Promise<void> {
  const { key, text, event, agentId } = record
  const keys = [key, town.events, ...(agentId ? [town.agent(agentId).events] : [])]
  const told = [event ? JSON.stringify(event) : '', record.tellsStates ? '1' : '0']
  const args = [town.recordFormat, ...told, text.absent.length, ...text.absent, ...text.fields]
  const [kind, found] = texts(await runScript(redis, writeRecordScript, keys, args))
  if (kind === 'unreadable') throw noRecord(key, found)
}

function checkedId(what: string, text: string): Id {
  const id = parseId(String(text))
  if (id) return id
  throw new WorkerError('usage', `Expected the id of the ${what} to be a UUID, got ${JSON.stringify(text)}`)
}

function noRecord(key: string, found = ''): WorkerError {
  return new WorkerError('config', `The key ${key} holds no record: ${found}`, {
    remedy: 'Look at it with redis-cli, and delete or rename it',
  })
}

/**
 * Makes the record of a new agent; a worker that starts under this name takes it over. A name whose record was deleted gets its id,
 * and with it its inbox, again. Throws `name-in-use` when an agent of this name, in any case, is there.
 */
export async function spawnAgent(
  redis: Redis,
  town: TownKeys,
  { name, cli }: { name: string; cli: string },
): Promise<Id> {
  const id = (await idOfName(redis, town, name)) ?? newId()
  const { record, events } = town.agent(id)
  const args = [id, name, cli, town.agentPrefix, town.recordFormat]
  const keys = [record, town.names, town.events, events]
  const [kind, first = '', state] = texts(await runScript(redis, spawnScript, keys, args))
  if (kind === 'unreadable') throw noRecord(record, first)
  if (kind === 'ok') return id
  throw new WorkerError(
    'name-in-use',
    `The agent name ${name} is taken in town ${town.town} by ${first}, which is ${state}`,
    { remedy: 'Use the agent that is there, or another name' },
  )
}
