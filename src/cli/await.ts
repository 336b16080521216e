import type { AgentView } from '../client/summary.ts'
import { type AgentWait, waitForAgent } from '../client/wait-agent.ts'
import { type TaskLook, type TaskWait, waitForTask } from '../client/wait-task.ts'
import * as schema from '../config/schemas.ts'
import type { Agent } from '../domain/agent.ts'
import type { Id } from '../domain/ids.ts'
import { isTerminal } from '../domain/task.ts'
import { EXIT } from './exit-codes.ts'
import { agentJson, idOf, shownResult, summary, taskSentence, untilText } from './show.ts'
import { printable, type Terminal } from './terminal.ts'
import type { Session } from './with-town.ts'

export interface AwaitOptions {
  readonly timeoutMs?: number
  /** Also show what the CLI says, beside the result. */
  readonly follow?: boolean
}

/** Waits for a task and prints how it ended: its result, or on stderr why there is none. Returns the exit code. */
export async function awaitTask(session: Session, taskId: Id, options: AwaitOptions): Promise<number> {
  const { terminal, redis, keys: town, signal } = session
  const { follow, ...limit } = options
  const mark = terminal.style('gray', '│')
  const end = await untilInterrupted(session, `the task goes on: tinytown-worker wait ${idOf(taskId)}`, () =>
    waitForTask({
      redis,
      town,
      signal,
      taskId,
      ...limit,
      onLook: taskTeller(terminal),
      ...(follow
        ? { onOutput: ({ text }) => terminal.note(printable(text).replace(/^/gm, `${mark} `)) }
        : {}),
    }),
  )
  return tellTaskEnd(session, taskId, end)
}

function tellTaskEnd({ terminal, json }: Session, taskId: Id, end: TaskWait): number {
  if (end.kind !== 'ended') {
    const timedOut = end.kind === 'timeout'
    if (json) terminal.json({ id: taskId, timedOut })
    terminal.note(
      timedOut
        ? `Task ${idOf(taskId)} has not ended in this time; it goes on`
        : `Task ${idOf(taskId)} was deleted`,
    )
    return EXIT.taskFailed
  }
  const { task } = end
  const { result = '' } = task
  const done = task.state === 'completed'
  if (json) terminal.json(task)
  else if (done) {
    terminal.progress(taskSentence(task))
    terminal.line(shownResult(terminal, result))
  } else terminal.note(result ? `${taskSentence(task)}: ${printable(result)}` : taskSentence(task))
  return done ? EXIT.done : EXIT.taskFailed
}

/** Waits until an agent has nothing to do and says so. Returns the exit code. */
export async function awaitAgent(session: Session, agent: Agent, options: AwaitOptions): Promise<number> {
  const { terminal, redis, keys: town, signal } = session
  const end = await untilInterrupted(session, `${agent.name} goes on`, () =>
    waitForAgent({ redis, town, signal, agentId: agent.id, ...options, onLook: agentTeller(terminal) }),
  )
  return tellAgentEnd(session, agent, end)
}

/** Says how a wait for an agent ended. Returns the exit code. */
export function tellAgentEnd({ terminal, json }: Session, agent: Agent, end: AgentWait): number {
  const view = 'view' in end ? end.view : null
  if (json)
    terminal.json({
      ...(view ? agentJson(view) : { id: agent.id, name: agent.name }),
      timedOut: end.kind === 'timeout',
    })
  const sentence = agentEndSentence(agent.name, end)
  if (end.kind === 'idle' || end.kind === 'stopped') {
    if (!json) terminal.line(sentence)
    return EXIT.done
  }
  terminal.note(sentence)
  return EXIT.taskFailed
}

function agentEndSentence(name: string, end: AgentWait): string {
  switch (end.kind) {
    case 'idle':
      return `${name} has nothing to do`
    case 'stopped':
      return end.view.waiting > 0
        ? `${name} is stopped; ${messages(end.view.waiting)} for its next start`
        : `${name} is stopped`
    case 'error':
      return errorSentence(end.view)
    case 'gone':
      return `${name} was deleted`
    case 'timeout':
      return `${name} is not done in this time; it goes on`
  }
}

function messages(count: number): string {
  return count === 1 ? '1 message waits' : `${count} messages wait`
}

/** Ctrl-C ends the wait, not what is waited for. */
async function untilInterrupted<T>(
  { terminal, signal }: Session,
  what: string,
  wait: () => Promise<T>,
): Promise<T> {
  try {
    return await wait()
  } catch (error) {
    if (signal.aborted) terminal.note(`Not waiting any more; ${what}`)
    throw error
  }
}

/** Tells each step of a task to a person, and to everybody what keeps it from being done. */
function taskTeller(terminal: Terminal): (look: TaskLook) => void {
  const step = changes(terminal.progress)
  const trouble = changes(terminal.note)
  return ({ task, agent }) => {
    const who = agent ? ` (${agent.agent.name})` : ''
    step(task.state === 'running' || task.state === 'assigned' ? `${taskSentence(task)}${who}` : '')
    trouble((!isTerminal(task.state) && agent && troubleOf(agent)) || '')
  }
}

function agentTeller(terminal: Terminal): (view: AgentView) => void {
  const step = changes(terminal.progress)
  const trouble = changes(terminal.note)
  return (view) => {
    const { agent, waiting, queues, task } = view
    const later = queues.delayed > 0 ? `, ${queues.delayed} more for the next attempt` : ''
    const hand = task ? `, works on ${idOf(task.id)} ${summary(task.summary)}` : ''
    step(`${agent.name} is ${agent.state}${hand}; ${messages(waiting)}${later}`)
    // An agent that stopped or is in error ends the wait, which tells it.
    const goesOn = waiting > 0 && agent.state !== 'stopped' && agent.state !== 'error'
    trouble((goesOn && troubleOf(view)) || '')
  }
}

/** Tells a sentence when it differs from the last one; '' tells nothing. */
function changes(tell: (sentence: string) => void): (sentence: string) => void {
  let last = ''
  return (sentence) => {
    if (sentence !== '' && sentence !== last) tell(sentence)
    last = sentence
  }
}

/** What keeps an agent from doing what waits for it, and what to do about it; null when nothing does. */
export function troubleOf({ agent, running }: AgentView): string | null {
  const { name } = agent
  const start = startHint(agent)
  if (agent.state === 'error') return errorSentence({ agent, running })
  if (agent.state === 'stopped' || agent.state === 'cold' || !running)
    return `${name} is not running: ${start}`
  if (agent.state === 'draining')
    return `${name} is stopping; what waits is done when it runs again: ${start}`
  if (agent.state === 'paused') return `${name} is paused: it takes no task until it is resumed`
  return null
}

/** What is wrong, until when, and how not to wait for that. */
function errorSentence({ agent, running }: Pick<AgentView, 'agent' | 'running'>): string {
  const why = summary(agent.lastError ?? 'no reason is recorded', 500)
  const next = running ? `to have it look again now: tinytown-worker resume ${agent.name}` : startHint(agent)
  return `${agent.name} is in error${untilText(agent)}: ${why}; ${next}`
}

/** How to start a worker for an agent. One that `tt` named may have a name that no worker takes. */
export function startHint({ name, cli }: Agent): string {
  if (!schema.agentName.safeParse(name).success)
    return `start it with tt: no worker can be named ${JSON.stringify(summary(name))}`
  return `start it with tinytown-worker --name ${name}${cli ? ` --cli ${summary(cli, 40)}` : ''}`
}
