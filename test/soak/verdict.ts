import { isTerminal, readTaskState } from '../../src/domain/task.ts'
import type { Ageing } from './ageing.ts'
import { endsOf, type History, storyOf, type TaskHistory } from './history.ts'
import type { Run } from './ledger.ts'
import type { Process } from './leftovers.ts'

/** What a soak left behind. */
export interface Evidence {
  readonly accepted: ReadonlySet<string>
  readonly history: Pick<History, 'tasks'>
  readonly runs: readonly Run[]
  /** How the daemons ended. */
  readonly exits: ReadonlyMap<string, number>
  readonly keys: readonly string[]
  readonly files: readonly string[]
  readonly processes: readonly Process[]
  /** How often the daemon was started that nobody kills. */
  readonly sparedStarts: number
  /** Null: the soak was too short to tell. */
  readonly ageing: Ageing | null
}

/** A daemon drained, found no Redis, found its name in use, or was killed; SIGTERM ends one that has only just begun, and one that waits for Redis (143). */
const EXPECTED_EXITS = ['0', '69', '75', '143', 'SIGTERM', 'SIGKILL']
/** More than the ups and downs of a garbage collector, less than a leak of a soak. */
const GROWTH_MB = 30
const GROWTH_FILES = 5

/** Every broken promise, a sentence each. */
export function violationsIn(evidence: Evidence): string[] {
  const { accepted, history, runs, exits, keys, files, processes, sparedStarts, ageing } = evidence
  const lost = [...accepted]
    .filter((id) => !history.tasks.has(id))
    .map((id) => `task ${id} was accepted and is not there`)
  const tasks = [...history.tasks].flatMap(([id, task]) => {
    const own = runs.filter(({ taskId }) => taskId === id)
    const wrong = [...wrongIn(task), ...wrongInRuns(id, task, own)]
    return wrong.length === 0 ? [] : [`task ${id} ${wrong.join('; ')}\n${storyOf(task, own)}`]
  })
  const ends = [...exits].filter(([exit]) => !EXPECTED_EXITS.includes(exit))
  return [
    ...(accepted.size === 0 ? ['no task was accepted: nothing was tried'] : []),
    ...lost,
    ...tasks,
    ...ends.map(([exit, count]) => `${count} daemon(s) ended with ${exit}`),
    ...(sparedStarts > 1 ? [`worker-1, which nobody kills, was started ${sparedStarts} times`] : []),
    ...processes.map(({ pid, command }) => `the process ${pid} ${command} is left`),
    ...keys.map((key) => `the key ${key} is left`),
    ...files.map((file) => `the file .tt/${file} is left`),
    ...(ageing ? growthOf(ageing) : []),
  ]
}

function wrongIn(task: TaskHistory): string[] {
  const found: string[] = []
  const ends = endsOf(task)
  const state = task.states.at(-1)
  if (ends.length === 0) found.push(`never ended: it is ${state}`)
  if (ends.length > 1) found.push(`was settled ${ends.length} times: ${ends.join(', ')}`)
  if (ends.length > 0 && !isTerminal(readTaskState(state))) found.push(`was ${ends[0]} and became ${state}`)
  if (ends.length > 0 && task.endEvents.length !== 1)
    found.push(`is ${state} and has ${task.endEvents.length} events of its end: ${task.endEvents.join(', ')}`)
  const letters = state === 'failed' ? 1 : 0
  if (ends.length > 0 && task.deadLetters.length !== letters)
    found.push(`is ${state} and has ${task.deadLetters.length} dead letters`)
  return found
}

function wrongInRuns(taskId: string, task: TaskHistory, runs: readonly Run[]): string[] {
  const found: string[] = []
  for (const run of runs)
    if (run.beside.length > 0)
      found.push(`was run as ${run.id} while another run of it lived: ${run.beside.join('; ')}`)
  const state = task.states.at(-1)
  // The run of a cancelled task may be about to start in that moment; it is ended then.
  if (state !== 'completed' && state !== 'failed') return found
  const settledAt = Date.parse(task.fields.get('completed_at') ?? '')
  if (Number.isNaN(settledAt)) found.push('has no time of its end')
  for (const { id, startedAt } of runs)
    if (startedAt > settledAt) found.push(`was run again as ${id} after it was ${state}`)
  if (state === 'failed') return found
  const result = (task.fields.get('result') ?? '').trim()
  const done = runs.find(({ id, exitCode }) => exitCode === 0 && result.endsWith(`did ${taskId} ${id}`))
  if (!done) found.push(`is completed by no run that came to its end; its result: ${result.slice(-120)}`)
  return found
}

function growthOf({ rssMb, files }: Ageing): string[] {
  const found: string[] = []
  if (rssMb.last - rssMb.first > GROWTH_MB)
    found.push(`the memory of worker-1 grew from ${rssMb.first} MB to ${rssMb.last} MB`)
  if (files.last - files.first > GROWTH_FILES)
    found.push(`the open files of worker-1 grew from ${files.first} to ${files.last}`)
  return found
}
