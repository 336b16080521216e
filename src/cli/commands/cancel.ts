import { waitUntilLetGo } from '../../client/wait-agent.ts'
import * as schema from '../../config/schemas.ts'
import type { Agent } from '../../domain/agent.ts'
import type { Task } from '../../domain/task.ts'
import { getAgent } from '../../store/agents.ts'
import { type Cancelled, cancelTask, findTask } from '../../store/tasks.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag, limitOfWait, timeoutFlag, wordFlag } from '../flags.ts'
import { idOf } from '../show.ts'
import { type Session, withTown } from '../with-town.ts'

const DEFAULT_REASON = 'Cancelled'

/** Cancels a task. */
export const cancel: Command = {
  name: 'cancel <task>',
  describe: 'Cancel a task: its run is ended at once, or it is never run; exits with 1 when it had ended',
  settings: ['town', 'redis'],
  flags: {
    reason: {
      type: 'string',
      requiresArg: true,
      describe: `What the record says of it [default: ${DEFAULT_REASON}]`,
    },
    wait: { type: 'boolean', describe: 'Wait until its agent has let go of it' },
    ...timeoutFlag,
    ...jsonFlag,
  },
  build: (yargs) =>
    yargs.positional('task', { type: 'string', describe: 'The id, or the first four digits of it or more' }),
  examples: [['cancel 5ba22b1d --reason "not needed any more" --wait', 'until nothing of its run is left']],
  run: runCancel,
}

async function runCancel(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const waits = flags.wait === true
  const limit = limitOfWait(flags, waits)
  const reason = flagValue(flags, 'reason', schema.text) ?? DEFAULT_REASON
  return await withTown(invocation, { purpose: 'cancel', lasting: waits }, async (session) => {
    const { redis, keys } = session
    const task = await findTask(redis, keys, wordFlag(flags, 'task'))
    const answer = await cancelTask(redis, keys, task.id, reason)
    const agent = await agentOf(session, task, answer)
    const isCancelled = answer.kind === 'cancelled' || answer.state === 'cancelled'
    const letGo = waits && isCancelled && agent ? await untilLetGo(session, agent, task, limit) : null
    tell(session, { task, answer, agent, letGo })
    return isCancelled && letGo !== false ? EXIT.done : EXIT.taskFailed
  })
}

async function agentOf({ redis, keys }: Session, task: Task, answer: Cancelled): Promise<Agent | null> {
  // The task may have been given to somebody between two looks.
  const id = answer.kind === 'cancelled' ? answer.agentId : task.assignedTo
  return id ? await getAgent(redis, keys, id) : null
}

async function untilLetGo(
  { redis, keys: town, signal }: Session,
  agent: Agent,
  task: Task,
  limit: { timeoutMs?: number },
): Promise<boolean> {
  const end = await waitUntilLetGo({ redis, town, signal, agentId: agent.id, ...limit }, task.id)
  return end.kind !== 'timeout'
}

interface Cancellation {
  readonly task: Task
  readonly answer: Cancelled
  readonly agent: Agent | null
  /** Null when nobody waited for it. */
  readonly letGo: boolean | null
}

function tell({ terminal, json }: Session, cancellation: Cancellation): void {
  const { task, answer, agent, letGo } = cancellation
  const { kind } = answer
  if (json) {
    const state = kind === 'cancelled' ? 'cancelled' : answer.state
    const before = kind === 'cancelled' ? answer.before : answer.state
    const who = { agent: agent?.name ?? null, agentId: agent?.id ?? null }
    terminal.json({ id: task.id, state, answer: kind, before, ...who, ...(letGo === null ? {} : { letGo }) })
  } else if (kind === 'ended' && answer.state !== 'cancelled') {
    const id = idOf(task.id)
    terminal.note(`Task ${id} is ${answer.state} already; tinytown-worker task ${id} shows how it ended`)
  } else terminal.line(sentenceOf(cancellation))
  if (letGo === false) terminal.note(`${agent?.name} has not let go of it in this time`)
}

function sentenceOf({ task, answer, agent, letGo }: Cancellation): string {
  const id = idOf(task.id)
  if (answer.kind === 'ended') return `Task ${id} was cancelled already`
  if (!agent) return `Task ${id} is cancelled; nobody had it`
  if (answer.before !== 'running') return `Task ${id} is cancelled; it waited for ${agent.name}`
  return `Task ${id} is cancelled; its run by ${agent.name} ${letGo ? 'has ended' : 'is being ended'}`
}
