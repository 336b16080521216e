import { unreachable } from '../../base/unreachable.ts'
import { ageOf, viewAgent } from '../../client/summary.ts'
import { WorkerError } from '../../domain/errors.ts'
import type { Id } from '../../domain/ids.ts'
import { findAgent } from '../../store/agents.ts'
import {
  addToBacklog,
  type BacklogClaim,
  type BacklogEntry,
  claimBacklogTask,
  findInBacklog,
  listBacklog,
} from '../../store/backlog.ts'
import { serverNow } from '../../store/server-info.ts'
import { chooseAction } from '../action.ts'
import { troubleOf } from '../await.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { age, idOf, summary } from '../show.ts'
import { headedTable, styledState, type Terminal } from '../terminal.ts'
import { fileFlag, readTags, readText, tagFlag, wordsOf } from '../text-input.ts'
import { withTown } from '../with-town.ts'

/** The tasks that nobody has yet. */
export const backlog: Command = {
  name: 'backlog <action> [words..]',
  describe: 'The tasks that nobody has yet: add one, list them, give one to an agent',
  settings: ['town', 'redis'],
  flags: { ...fileFlag('task'), ...tagFlag, ...jsonFlag },
  choices: ['add', 'list', 'claim'],
  build: (yargs) =>
    yargs.positional('action', { type: 'string', describe: 'add, list or claim' }).positional('words', {
      type: 'string',
      array: true,
      describe: 'add: the task, - reads it from stdin; claim: the id of a task, and an agent',
    }),
  examples: [
    ['backlog add "Write the docs" --tag docs', 'a task for whoever comes first; prints its id'],
    ['backlog claim 5ba22b1d worker-1', 'gives it to worker-1'],
  ],
  run: (invocation) => chooseAction(ACTIONS, wordFlag(invocation.flags, 'action'))(invocation),
}

const ACTIONS: Readonly<Record<string, (invocation: Invocation) => Promise<number>>> = { add, list, claim }

async function add(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const tags = readTags(flags)
  const description = await readText(invocation, { what: 'task', words: wordsOf(flags, 'words') })
  return await withTown(invocation, { purpose: 'backlog' }, async ({ terminal, redis, keys, json }) => {
    const { taskId, waiting } = await addToBacklog(redis, keys, { description, tags })
    if (json) terminal.json({ id: taskId, waiting })
    else terminal.line(taskId)
    terminal.progress(`${waiting} in the backlog`)
    return EXIT.done
  })
}

async function list(invocation: Invocation): Promise<number> {
  wordsAfter(invocation, [])
  return await withTown(invocation, { purpose: 'backlog' }, async ({ terminal, redis, keys, json }) => {
    const entries = await listBacklog(redis, keys)
    if (json) terminal.json({ town: keys.town, total: entries.length, entries })
    else if (entries.length === 0)
      terminal.note('The backlog is empty. Add a task: tinytown-worker backlog add "..."')
    else for (const line of backlogTable(terminal, entries, await serverNow(redis))) terminal.line(line)
    return EXIT.done
  })
}

function backlogTable(terminal: Terminal, entries: readonly BacklogEntry[], now: number): string[] {
  const rows = entries.map(({ id, task }) =>
    task
      ? [
          idOf(id),
          styledState(terminal, task.state),
          age(ageOf(task.createdAt, now)),
          summary(task.tags.join(', ')) || '-',
          summary(task.description),
        ]
      : [summary(id), '-', '-', '-', terminal.style('red', 'it has no readable record')],
  )
  return headedTable(terminal, ['ID', 'STATE', 'AGE', 'TAGS', 'TASK'], rows)
}

async function claim(invocation: Invocation): Promise<number> {
  const [task = '', who = ''] = wordsAfter(invocation, ['<task>', '<agent>'])
  return await withTown(invocation, { purpose: 'backlog' }, async ({ terminal, redis, keys, json }) => {
    const agent = await findAgent(redis, keys, who)
    const taskId = await findInBacklog(redis, keys, task)
    const answer = await claimBacklogTask(redis, keys, { taskId, agentId: agent.id })
    if (answer.kind !== 'claimed') throw notClaimed(taskId, agent.name, answer)
    if (json) terminal.json({ id: taskId, kind: 'task_assign', agent: agent.name, agentId: agent.id })
    else terminal.line(`Task ${idOf(taskId)} is assigned to ${agent.name}`)
    const trouble = troubleOf(await viewAgent(redis, keys, agent))
    if (trouble) terminal.note(`Assigned; ${trouble}`)
    return EXIT.done
  })
}

function notClaimed(
  id: Id,
  agentName: string,
  answer: Exclude<BacklogClaim, { kind: 'claimed' }>,
): WorkerError {
  const remedy = { remedy: 'tinytown-worker backlog list shows what is left' }
  switch (answer.kind) {
    case 'no-agent':
      return new WorkerError(
        'not-found',
        `${agentName} was deleted a moment ago; the task stays in the backlog`,
      )
    case 'ended':
      return new WorkerError(
        'wrong-state',
        `Task ${id} was ${answer.state} already: it was only taken off the backlog`,
        remedy,
      )
    case 'missing':
      return new WorkerError(
        'wrong-state',
        `Task ${id} has no readable record: it was only taken off the backlog`,
        remedy,
      )
    case 'taken':
      return new WorkerError('wrong-state', `Somebody else took task ${id} a moment ago`, remedy)
    default:
      return unreachable(answer)
  }
}

/** The words behind an action that takes these and no text. Throws `usage` when there are more or fewer. */
function wordsAfter({ flags }: Invocation, names: readonly string[]): string[] {
  const action = wordFlag(flags, 'action')
  const words = wordsOf(flags, 'words')
  const remedy = { remedy: ['tinytown-worker backlog', action, ...names].join(' ') }
  const foreign = ['file', 'tag'].find((flag) => flags[flag] !== undefined)
  if (foreign) throw new WorkerError('usage', `--${foreign} belongs to backlog add`, remedy)
  if (words.length === names.length) return words
  const wanted = names.join(' and ') || 'nothing'
  throw new WorkerError(
    'usage',
    `Expected ${wanted} after backlog ${action}, got ${words.join(' ') || 'nothing'}`,
    remedy,
  )
}
