import { followEvents } from '../../client/follow-events.ts'
import * as schema from '../../config/schemas.ts'
import type { TownEvent } from '../../domain/event.ts'
import type { Id } from '../../domain/ids.ts'
import { findAgent, listAgents } from '../../store/agents.ts'
import { lastEntryId, type PlacedEvent, recentEvents } from '../../store/events.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag } from '../flags.ts'
import { namesOf } from '../names.ts'
import { idOf, summary } from '../show.ts'
import type { Terminal } from '../terminal.ts'
import { type Session, withTown } from '../with-town.ts'

const DEFAULT_LINES = 20

/** Shows what happened. */
export const events: Command = {
  name: 'events',
  describe: 'Show what happened in the town: starts, changes of state, ends of tasks',
  settings: ['town', 'redis'],
  flags: {
    follow: { alias: 'f', type: 'boolean', describe: 'Go on as more comes' },
    agent: { type: 'string', requiresArg: true, describe: 'Only those of this agent' },
    lines: {
      alias: 'n',
      type: 'string',
      requiresArg: true,
      describe: `Begin with so many of the newest [default: ${DEFAULT_LINES}]`,
    },
    ...jsonFlag,
  },
  examples: [
    ['events -f', 'everything, as it happens'],
    ['events -f -n 0 --agent worker-1 --json', 'only what is new of one agent, for a program'],
  ],
  run: runEvents,
}

async function runEvents(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const follow = flags.follow === true
  const count = flagValue(flags, 'lines', schema.wholeNumber(0)) ?? DEFAULT_LINES
  const reference = flagValue(flags, 'agent', schema.text)
  return await withTown(invocation, { purpose: 'events', lasting: follow }, async (session) => {
    const { redis, keys, signal, terminal, json } = session
    const agent = reference === undefined ? null : await findAgent(redis, keys, reference)
    const stream = agent ? keys.agent(agent.id).events : keys.events
    // What comes after this entry is followed; what comes before is shown at once: nothing twice, nothing left out.
    const from = await lastEntryId(redis, stream)
    const found = await recentEvents(redis, stream, count, from)
    const onEvents = printer(session)
    await onEvents(found)
    if (follow) return await followEvents({ redis, signal }, stream, { from, onEvents })
    if (found.length === 0 && !json) terminal.note('Nothing has happened that is kept')
    return EXIT.done
  })
}

function printer({ terminal, redis, keys, json }: Session): (found: readonly PlacedEvent[]) => Promise<void> {
  if (json) {
    return async (found) => {
      for (const { at, event } of found) terminal.json({ at, ...event })
    }
  }
  const asked = new Set<Id | undefined>([undefined])
  let nameOf = namesOf([])
  return async (found) => {
    // An agent may be newer than this command.
    if (found.some(({ event }) => !asked.has(event.agent_id))) nameOf = namesOf(await listAgents(redis, keys))
    for (const { event } of found) {
      asked.add(event.agent_id)
      terminal.line(lineOf(terminal, event, nameOf))
    }
  }
}

function lineOf(terminal: Terminal, event: TownEvent, nameOf: (id: Id) => string): string {
  const { event_type: type, agent_id: agentId, task_id: taskId, old_state: before, new_state: after } = event
  const change = before && after && before !== after ? `${before} -> ${after}: ` : after ? `${after}: ` : ''
  return [
    terminal.style('gray', timeOf(event.timestamp)),
    summary(type).padEnd(19),
    (agentId ? nameOf(agentId) : '-').padEnd(12),
    taskId ? idOf(taskId) : '-'.padEnd(8),
    summary(`${change}${event.message}`, 200),
  ].join('  ')
}

/** To the second, in UTC. */
function timeOf(timestamp: string): string {
  const at = Date.parse(timestamp)
  return Number.isNaN(at) ? '-'.padEnd(20) : `${new Date(at).toISOString().slice(0, 19)}Z`
}
