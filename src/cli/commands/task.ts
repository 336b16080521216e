import { formatDuration } from '../../base/duration.ts'
import { viewAgent } from '../../client/summary.ts'
import type { Agent } from '../../domain/agent.ts'
import type { Task } from '../../domain/task.ts'
import { getAgent } from '../../store/agents.ts'
import { nextAttemptAt } from '../../store/delayed.ts'
import { serverNow } from '../../store/server-info.ts'
import { findTask } from '../../store/tasks.ts'
import { troubleOf } from '../await.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { clockTime, shownResult, summary } from '../show.ts'
import { styledState, type Terminal, table } from '../terminal.ts'
import { type Session, withTown } from '../with-town.ts'

/** Shows all that is known of a task. */
export const task: Command = {
  name: 'task <id>',
  describe: 'Show all that is known of a task, with its whole result',
  settings: ['town', 'redis'],
  flags: jsonFlag,
  build: (yargs) =>
    yargs.positional('id', { type: 'string', describe: 'The id, or the first four digits of it or more' }),
  run: (invocation) =>
    withTown(invocation, { purpose: 'task' }, async (session) => {
      const { flags, terminal, redis, keys, json } = session
      const found = await findTask(redis, keys, wordFlag(flags, 'id'))
      const agent = found.assignedTo ? await getAgent(redis, keys, found.assignedTo) : null
      const wait = agent && found.state === 'assigned' ? await waitOf(session, found, agent) : NO_WAIT
      const { dueAt, obstacle } = wait
      const nextAttemptAt = dueAt === null ? {} : { nextAttemptAt: new Date(dueAt).toISOString() }
      if (json) terminal.json({ ...found, ...nextAttemptAt, agent: agent?.name ?? null })
      else
        for (const line of taskLines(terminal, found, [
          ['Reason', found.reason],
          ['Agent', agent?.name ?? found.assignedTo],
          ['Waits', obstacle ?? undefined],
          ['Next try', dueAt === null ? undefined : nextTry(dueAt, await serverNow(redis))],
        ]))
          terminal.line(line)
      return EXIT.done
    }),
}

type Fact = readonly [name: string, value: string | undefined]

/** What a task waits for that is assigned and does not run. */
interface TaskWaits {
  /** When its next attempt is due, by the clock of the server. */
  readonly dueAt: number | null
  /** What keeps its agent from it. */
  readonly obstacle: string | null
}

const NO_WAIT: TaskWaits = { dueAt: null, obstacle: null }

async function waitOf({ redis, keys }: Session, { id: taskId }: Task, agent: Agent): Promise<TaskWaits> {
  const [dueAt, view] = await Promise.all([
    nextAttemptAt(redis, keys, { agentId: agent.id, taskId }),
    viewAgent(redis, keys, agent),
  ])
  return { dueAt, obstacle: troubleOf(view) }
}

function nextTry(dueAt: number, now: number): string {
  const ms = dueAt - now
  return ms > 0 ? `in ${formatDuration(ms)}, at ${clockTime(Date.now() + ms)}` : 'due now'
}

function taskLines(terminal: Terminal, found: Task, first: readonly Fact[]): string[] {
  const facts = [...first, ...factsOf(found)].flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[terminal.style('bold', name), summary(value, 500)]],
  )
  const [, ...lines] = table(
    ['', ''],
    [
      [terminal.style('bold', 'Task'), found.id],
      [terminal.style('bold', 'State'), styledState(terminal, found.state)],
      ...facts,
    ],
  )
  const texts: [string, string][] = [['Task', found.description]]
  if (found.result !== undefined)
    texts.push([found.resultTruncated ? 'Result (cut)' : 'Result', found.result])
  return [
    ...lines,
    ...texts.flatMap(([title, text]) => [
      '',
      terminal.style('bold', `${title}:`),
      shownResult(terminal, text),
    ]),
  ]
}

function factsOf(found: Task): Fact[] {
  return [
    ['CLI', [found.cli, found.cliVersion].filter(Boolean).join(' ')],
    ['Attempts', text(found.attempts)],
    ['Exit code', text(found.exitCode)],
    ['Signal', found.signal],
    ['Created', found.createdAt],
    ['Started', found.startedAt],
    ['Ended', found.completedAt],
    ['Waited', duration(found.queueMs)],
    ['Took', duration(found.durationMs)],
    ['Tool calls', text(found.toolCalls)],
    ['Tokens', tokensOf(found)],
    ['Cost', found.costUsd === undefined ? undefined : `$${found.costUsd.toFixed(4)}`],
    ['Session', found.sessionId],
    ['Tags', found.tags.join(', ')],
    ['Parent', found.parentId],
    ['Log', found.log],
  ]
}

function tokensOf({ inputTokens, cachedInputTokens, outputTokens }: Task): string | undefined {
  if (inputTokens === undefined && outputTokens === undefined) return undefined
  const cached = cachedInputTokens === undefined ? '' : ` (${cachedInputTokens} cached)`
  return `${inputTokens ?? '?'} in${cached}, ${outputTokens ?? '?'} out`
}

function text(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value)
}

function duration(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : formatDuration(ms)
}
