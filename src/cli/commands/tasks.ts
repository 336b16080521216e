import * as schema from '../../config/schemas.ts'
import { TASK_STATES, type Task } from '../../domain/task.ts'
import { findAgent, listAgents } from '../../store/agents.ts'
import { serverNow } from '../../store/server-info.ts'
import { listTasks } from '../../store/tasks.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag } from '../flags.ts'
import { namesOf } from '../names.ts'
import { taskTable } from '../show.ts'
import { type Session, withTown } from '../with-town.ts'

const DEFAULT_LIMIT = 20

/** Lists tasks. */
export const tasks: Command = {
  name: 'tasks',
  describe: 'List tasks, the newest first',
  settings: ['town', 'redis'],
  flags: {
    state: { type: 'string', requiresArg: true, describe: `Only those that are ${TASK_STATES.join(', ')}` },
    agent: { type: 'string', requiresArg: true, describe: 'Only those of this agent' },
    limit: {
      type: 'string',
      requiresArg: true,
      describe: `At most so many; 0 shows all [default: ${DEFAULT_LIMIT}]`,
    },
    ...jsonFlag,
  },
  examples: [['tasks --state failed --agent worker-1', 'what went wrong']],
  run: runTasks,
}

async function runTasks(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const state = flagValue(flags, 'state', schema.oneOf(TASK_STATES))
  const limit = flagValue(flags, 'limit', schema.wholeNumber(0)) ?? DEFAULT_LIMIT
  const reference = flagValue(flags, 'agent', schema.text)
  return await withTown(invocation, { purpose: 'tasks' }, async (session) => {
    const { redis, keys, terminal, json } = session
    const agentId = reference === undefined ? undefined : (await findAgent(redis, keys, reference)).id
    const found = (await listTasks(redis, keys)).filter(
      (task) =>
        (state === undefined || task.state === state) &&
        (agentId === undefined || task.assignedTo === agentId),
    )
    const shown = limit === 0 ? found : found.slice(0, limit)
    if (json) terminal.json({ town: keys.town, total: found.length, tasks: shown })
    else await print(session, found.length, shown)
    return EXIT.done
  })
}

async function print(session: Session, total: number, shown: readonly Task[]): Promise<void> {
  const { terminal, redis, keys } = session
  if (total === 0) {
    terminal.note('No such tasks. Assign one: tinytown-worker assign worker-1 "..."')
    return
  }
  const about = { now: await serverNow(redis), agentName: namesOf(await listAgents(redis, keys)) }
  for (const line of taskTable(terminal, shown, about)) terminal.line(line)
  if (shown.length < total)
    terminal.note(`${shown.length} of ${total} tasks; --limit ${total} shows them all`)
}
