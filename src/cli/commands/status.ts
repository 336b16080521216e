import { summarizeTown, type TownSummary } from '../../client/summary.ts'
import { watchTown } from '../../client/watch-town.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag } from '../flags.ts'
import { openScreen } from '../screen.ts'
import { agentJson, agentTable, waitingText } from '../show.ts'
import { styledState, type Terminal, table } from '../terminal.ts'
import { type Session, withTown } from '../with-town.ts'
import { NO_AGENTS } from './list.ts'

/** The town at a glance. */
export const status: Command = {
  name: 'status',
  describe: 'Show the town: its Redis, agents, tasks and what waits',
  settings: ['town', 'redis'],
  flags: {
    watch: { type: 'boolean', describe: 'Go on: show the town again whenever something changes' },
    ...jsonFlag,
  },
  examples: [['status --watch --json', 'a line of JSON per change, for a program']],
  run(invocation) {
    const watches = invocation.flags.watch === true
    return withTown(invocation, { purpose: 'status', lasting: watches }, async (session) => {
      if (watches) return await watch(session)
      const { terminal, redis, keys, json } = session
      const summary = await summarizeTown(redis, keys)
      if (json) terminal.json(statusJson(session, summary))
      else for (const line of statusLines(session, summary)) terminal.line(line)
      if (!json && summary.agents.length === 0) terminal.note(NO_AGENTS)
      return EXIT.done
    })
  },
}

/** In place on a terminal, where ages go on; elsewhere what changed, once per change. */
async function watch(session: Session): Promise<never> {
  const { terminal, redis, keys: town, signal, json } = session
  const watched = { redis, town, signal }
  if (json) {
    return await watchTown(
      watched,
      onChange(session, (summary) => terminal.json(statusJson(session, summary))),
    )
  }
  if (!terminal.isTerminal) {
    const print = (summary: TownSummary) => {
      for (const line of [...statusLines(session, summary), '']) terminal.line(line)
    }
    return await watchTown(watched, onChange(session, print))
  }
  const screen = openScreen(process.stdout)
  try {
    return await watchTown(watched, (summary) => screen.draw(statusLines(session, summary)))
  } finally {
    screen.close()
  }
}

/** Hands on what differs in more than its ages. */
function onChange(session: Session, tell: (summary: TownSummary) => void): (summary: TownSummary) => void {
  let last = ''
  return (summary) => {
    const now = JSON.stringify(statusJson(session, summary), (key, value) =>
      AGES.has(key) ? undefined : value,
    )
    if (now !== last) tell(summary)
    last = now
  }
}

const AGES: ReadonlySet<string> = new Set(['heartbeatAgeMs', 'lastHeartbeat'])

function statusJson({ context, keys }: Session, summary: TownSummary): object {
  const { server, agents, agentsByState, tasksByState, waiting, delayed, deadLetters } = summary
  return {
    town: keys.town,
    folder: context.place.root,
    redis: { address: context.target.address.shown, ...server },
    agentsByState,
    tasksByState,
    waiting,
    delayed,
    deadLetters,
    agents: agents.map(agentJson),
  }
}

function statusLines(session: Session, summary: TownSummary): string[] {
  const { context, terminal, keys } = session
  const { server, agents, deadLetters } = summary
  const { root, file } = context.place
  const facts: [string, string][] = [
    ['Town', keys.town],
    ['Folder', file === null ? `${root} (no tinytown.toml)` : root],
    ['Redis', `${context.target.address.shown}, ${server.version}, persistence: ${server.persistence}`],
    ['Agents', counts(terminal, summary.agentsByState)],
    ['Tasks', counts(terminal, summary.tasksByState)],
    ['Waiting', waitingText(summary.waiting, summary.delayed)],
    ['Dead letters', deadLetters > 0 ? terminal.style('red', String(deadLetters)) : '0'],
  ]
  const [, ...lines] = table(
    ['', ''],
    facts.map(([name, value]) => [terminal.style('bold', name), value]),
  )
  return agents.length === 0 ? lines : [...lines, '', ...agentTable(terminal, agents)]
}

function counts(terminal: Terminal, byState: Readonly<Record<string, number>>): string {
  const found = Object.entries(byState).filter(([, count]) => count > 0)
  const total = found.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return '0'
  return `${total}: ${found.map(([state, count]) => `${count} ${styledState(terminal, state)}`).join(', ')}`
}
