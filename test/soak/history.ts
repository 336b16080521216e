import { decodeEvent } from '../../src/domain/event.ts'
import { isTerminal, readTaskState } from '../../src/domain/task.ts'
import { fieldOf } from '../../src/store/events.ts'
import type { TownKeys } from '../../src/store/keys.ts'
import type { Write } from './append-only-file.ts'
import type { Run } from './ledger.ts'

/** All that was ever written of a task. */
export interface TaskHistory {
  /** The state after every write of it. */
  readonly states: string[]
  /** The events that tell of an end. */
  readonly endEvents: string[]
  /** The reasons with which its message went to the dead letters. */
  readonly deadLetters: string[]
  /** How often an attempt was counted. */
  attempts: number
  /** The fields of its record as they stand. */
  readonly fields: Map<string, string>
}

export interface History {
  readonly tasks: Map<string, TaskHistory>
  /** How often a peer recovered what a dead worker had. */
  recoveries: number
  registrations: number
  /** Writes, of whatever key. */
  writes: number
}

const END_EVENTS = ['task_completed', 'task_failed']

/** The ends in the states of a task: how often it was settled. */
export function endsOf({ states }: Pick<TaskHistory, 'states'>): string[] {
  return states.filter((state) => isTerminal(readTaskState(state)))
}

/** What is known of a task, in lines for whoever looks for the cause. */
export function storyOf(
  { states, endEvents, deadLetters, fields }: TaskHistory,
  runs: readonly Run[],
): string {
  const shown = ['attempts', 'reason', 'completed_at'].map((name) => `${name} ${fields.get(name) ?? '-'}`)
  const ofRun = ({ id, startedAt, exitCode }: Run) =>
    `run ${id}, ${new Date(startedAt).toISOString()}, ${exitCode === null ? 'cut off' : `exit ${exitCode}`}`
  const lines = [
    `states: ${states.join(', ')}`,
    `${shown.join(', ')}; events: ${endEvents.join(', ') || '-'}; dead letters: ${deadLetters.join(', ') || '-'}`,
    ...runs.map(ofRun),
  ]
  return lines.map((line) => `    ${line}`).join('\n')
}

/** Tells the tasks of a town from all writes that its Redis took. */
export function historyOf(writes: Iterable<Write>, town: TownKeys): History {
  const history: History = { tasks: new Map(), recoveries: 0, registrations: 0, writes: 0 }
  const ownerKey = new RegExp(`^${town.agent('[^:]+').owner}$`)
  for (const [name = '', key = '', ...args] of writes) {
    history.writes += 1
    const command = name.toLowerCase()
    if (command === 'del' || command === 'unlink')
      for (const gone of [key, ...args].filter((one) => one.startsWith(town.taskPrefix)))
        taskOf(history, gone.slice(town.taskPrefix.length)).states.push('(deleted)')
    else if (key.startsWith(town.taskPrefix))
      writeTask(taskOf(history, key.slice(town.taskPrefix.length)), command, args)
    else if (command === 'xadd' && key === town.events) readEvent(history, args)
    else if (command === 'xadd' && key === town.deadLetters) readDeadLetter(history, args)
    else if (command === 'set' && ownerKey.test(key)) {
      if (args[0]?.includes(' recovered:')) history.recoveries += 1
      else history.registrations += 1
    }
  }
  return history
}

function taskOf({ tasks }: History, id: string): TaskHistory {
  const found = tasks.get(id)
  if (found) return found
  const fresh: TaskHistory = { states: [], endEvents: [], deadLetters: [], attempts: 0, fields: new Map() }
  tasks.set(id, fresh)
  return fresh
}

function writeTask(task: TaskHistory, command: string, args: readonly string[]): void {
  if (command === 'hdel') for (const field of args) task.fields.delete(field)
  if (command !== 'hset' && command !== 'hmset') return
  for (let at = 0; at + 1 < args.length; at += 2) {
    const [field = '', value = ''] = args.slice(at, at + 2)
    if (field === 'attempts' && Number(value) > Number(task.fields.get(field) ?? 0)) task.attempts += 1
    task.fields.set(field, value)
    if (field === 'state') task.states.push(value)
  }
}

function readEvent(history: History, args: readonly string[]): void {
  const event = decodeEvent(fieldOf(args, 'data'))
  if (event?.task_id && END_EVENTS.includes(event.event_type))
    taskOf(history, event.task_id).endEvents.push(event.event_type)
}

function readDeadLetter(history: History, args: readonly string[]): void {
  const id = fieldOf(args, 'task_id')
  if (id !== '') taskOf(history, id).deadLetters.push(fieldOf(args, 'reason'))
}
