import { formatDuration } from '../../base/duration.ts'
import type { Task } from '../../domain/task.ts'
import { getAgent } from '../../store/agents.ts'
import { findTask } from '../../store/tasks.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { shownResult, summary } from '../show.ts'
import { styledState, type Terminal, table } from '../terminal.ts'
import { withTown } from '../with-town.ts'

/** Shows all that is known of a task. */
export const task: Command = {
  name: 'task <id>',
  describe: 'Show all that is known of a task, with its whole result',
  settings: ['town', 'redis'],
  flags: jsonFlag,
  build: (yargs) =>
    yargs.positional('id', { type: 'string', describe: 'The id, or the first four digits of it or more' }),
  run: (invocation) =>
    withTown(invocation, { purpose: 'task' }, async ({ flags, terminal, redis, keys, json }) => {
      const found = await findTask(redis, keys, wordFlag(flags, 'id'))
      const agent = found.assignedTo ? await getAgent(redis, keys, found.assignedTo) : null
      if (json) terminal.json({ ...found, agent: agent?.name ?? null })
      else for (const line of taskLines(terminal, found, agent?.name)) terminal.line(line)
      return EXIT.done
    }),
}

function taskLines(terminal: Terminal, found: Task, agentName: string | undefined): string[] {
  const facts = factsOf(found, agentName).flatMap(([name, value]) =>
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

function factsOf(found: Task, agentName: string | undefined): [string, string | undefined][] {
  return [
    ['Reason', found.reason],
    ['Agent', agentName ?? found.assignedTo],
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
