import { ageOf, viewAgent } from '../../client/summary.ts'
import { WorkerError } from '../../domain/errors.ts'
import { findAgent, getAgent } from '../../store/agents.ts'
import {
  type DeadLetter,
  type DeadLetterRetry,
  dropDeadLetters,
  getDeadLetter,
  listDeadLetters,
  retryDeadLetter,
} from '../../store/dead-letters.ts'
import { serverNow } from '../../store/server-info.ts'
import { chooseAction } from '../action.ts'
import { troubleOf } from '../await.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { age, idOf, summary } from '../show.ts'
import { headedTable, printable, type Terminal } from '../terminal.ts'
import { wordsOf } from '../text-input.ts'
import { type Session, withTown } from '../with-town.ts'

/** The messages that no worker could use, and those whose task failed for good. */
export const deadLetters: Command = {
  name: 'dead-letters <action> [ids..]',
  describe: 'Messages that could not be used or whose task failed for good: list, show, bring back, drop',
  settings: ['town', 'redis'],
  flags: {
    all: { type: 'boolean', describe: 'retry and drop: all of them' },
    force: { type: 'boolean', describe: 'retry: also where the task was completed or cancelled since' },
    to: { type: 'string', requiresArg: true, describe: 'retry: another agent than the one that had it' },
    ...jsonFlag,
  },
  choices: ['list', 'show', 'retry', 'drop'],
  build: (yargs) =>
    yargs
      .positional('action', { type: 'string', describe: 'list, show, retry or drop' })
      .positional('ids', { type: 'string', array: true, describe: 'ids, as the list shows them' }),
  examples: [
    ['dead-letters list', 'what there is, and why'],
    ['dead-letters retry --all', 'every one goes back to its inbox, with all attempts before it'],
  ],
  run: (invocation) => chooseAction(ACTIONS, wordFlag(invocation.flags, 'action'))(invocation),
}

const ACTIONS: Readonly<Record<string, (invocation: Invocation) => Promise<number>>> = {
  list,
  show,
  retry,
  drop,
}

async function list(invocation: Invocation): Promise<number> {
  return await withTown(invocation, { purpose: 'dead-letters' }, async ({ terminal, redis, keys, json }) => {
    const letters = await listDeadLetters(redis, keys)
    if (json) terminal.json({ town: keys.town, total: letters.length, letters })
    else if (letters.length === 0) terminal.note('There are no dead letters')
    else for (const line of letterTable(terminal, letters, await serverNow(redis))) terminal.line(line)
    return EXIT.done
  })
}

function letterTable(terminal: Terminal, letters: readonly DeadLetter[], now: number): string[] {
  const rows = letters.map(({ id, at, agent, reason, detail, taskId }) => [
    id,
    age(ageOf(at, now)),
    summary(agent),
    taskId === null ? '-' : idOf(taskId),
    summary(reason),
    summary(detail),
  ])
  return headedTable(terminal, ['ID', 'AGE', 'AGENT', 'TASK', 'REASON', 'DETAIL'], rows)
}

async function show(invocation: Invocation): Promise<number> {
  return await withTown(invocation, { purpose: 'dead-letters' }, async (session) => {
    const { terminal, json } = session
    const letters = await chosen(invocation, session)
    for (const [index, letter] of letters.entries()) {
      if (json) terminal.json(letter)
      else for (const line of [...(index > 0 ? [''] : []), ...letterLines(letter)]) terminal.line(line)
    }
    return EXIT.done
  })
}

/** All of a letter, the lines of a value below each other. */
function letterLines(letter: DeadLetter): string[] {
  return Object.entries(letter).map(
    ([name, value]) =>
      `${name.padEnd(8)} ${printable(String(value ?? '-')).replaceAll('\n', `\n${' '.repeat(9)}`)}`,
  )
}

async function retry(invocation: Invocation): Promise<number> {
  return await withTown(invocation, { purpose: 'dead-letters' }, async (session) => {
    const { terminal, redis, keys, json } = session
    const to =
      invocation.flags.to === undefined ? null : await findAgent(redis, keys, String(invocation.flags.to))
    const undo = invocation.flags.force === true
    if (undo && invocation.flags.all === true) {
      const remedy = 'An end is undone by the id of its dead letter'
      throw new WorkerError('usage', 'Expected --force with ids, not with --all', { remedy })
    }
    const letters = await chosen(invocation, session)
    const results = []
    for (const letter of letters) {
      const agentId = to?.id ?? letter.agentId
      const result = await retryDeadLetter(redis, keys, { letter, agentId, undo })
      results.push({ id: letter.id, taskId: letter.taskId, agentId, result })
      if (!json) terminal.line(retrySentence(letter, result, to?.name ?? letter.agent))
    }
    if (json) terminal.json(results)
    const agents = new Set(results.filter(({ result }) => result === 'ok').map(({ agentId }) => agentId))
    for (const id of agents) {
      const agent = await getAgent(redis, keys, id)
      const trouble = agent && troubleOf(await viewAgent(redis, keys, agent))
      if (trouble) terminal.note(`Brought back; ${trouble}`)
    }
    return results.every(({ result }) => result === 'ok') ? EXIT.done : EXIT.taskFailed
  })
}

function retrySentence({ id }: DeadLetter, result: DeadLetterRetry, agent: string): string {
  switch (result) {
    case 'ok':
      return `${id} is back in the inbox of ${summary(agent)}`
    case 'gone':
      return `${id} is not there any more`
    case 'empty':
      return `${id} was left: it holds no message`
    case 'in-hand':
      return `${id} was left: its task is assigned again already`
    case 'completed':
    case 'cancelled':
      return `${id} was left: its task was ${result} since; \`dead-letters retry ${id} --force\` has it run all the same`
    case 'no-agent':
      return `${id} was left: the agent ${summary(agent)} has no record any more; name another one with --to`
  }
}

async function drop(invocation: Invocation): Promise<number> {
  return await withTown(invocation, { purpose: 'dead-letters' }, async (session) => {
    const { terminal, redis, keys, json } = session
    const letters = await chosen(invocation, session)
    const dropped = await dropDeadLetters(
      redis,
      keys,
      letters.map(({ id }) => id),
    )
    if (json) terminal.json({ dropped })
    else terminal.line(`Dropped ${dropped}`)
    return EXIT.done
  })
}

/** The dead letters that are named, or all. Throws `usage` for neither or both, `not-found` for one that is not there. */
async function chosen({ flags }: Invocation, { redis, keys }: Session): Promise<DeadLetter[]> {
  const ids = wordsOf(flags, 'ids')
  const action = wordFlag(flags, 'action')
  const all = flags.all === true && action !== 'show'
  if (all === ids.length > 0) {
    const wanted = action === 'show' ? '<id>' : '<id> or --all'
    throw new WorkerError('usage', `Expected ${wanted} after dead-letters ${action}`, { remedy: LIST })
  }
  if (all) return await listDeadLetters(redis, keys)
  const letters: DeadLetter[] = []
  for (const id of ids) {
    const letter = /^\d+(-\d+)?$/.test(id) ? await getDeadLetter(redis, keys, id) : null
    if (letter === null) throw new WorkerError('not-found', `There is no dead letter ${id}`, { remedy: LIST })
    letters.push(letter)
  }
  return letters
}

const LIST = 'tinytown-worker dead-letters list shows them'
