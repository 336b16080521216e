import { anyOf } from '../base/abort.ts'
import { within } from '../base/clock.ts'
import { oneLine } from '../base/text.ts'
import { newId } from '../domain/ids.ts'
import type { Message } from '../domain/message.ts'
import { missionEnding, missionKind } from '../domain/mission.ts'
import type { Outcome } from '../domain/outcome.ts'
import { type FittedPrompt, fitPrompt } from '../domain/prompt.ts'
import type { Claimed } from '../store/inbox.ts'
import { type Started, startTask } from '../store/tasks.ts'
import { putAside } from './answer.ts'
import { conclude } from './conclude.ts'
import { decide } from './decide.ts'
import type { Route } from './route.ts'
import { failLostRun } from './settle.ts'
import {
  type AttemptTools,
  type Handled,
  queueMsOf,
  remembered,
  type StartedWork,
  type Told,
  type Work,
} from './work.ts'

/** How long a run that is over waits for the version of its CLI; the next one has it. */
const VERSION_PATIENCE_MS = 500

export async function attempt(
  claimed: Claimed,
  message: Message,
  route: Extract<Route, { kind: 'run' }>,
  tools: AttemptTools,
): Promise<Handled> {
  const { lease, lifecycle, write } = tools
  const { taskId, description } = route
  const atMostOnce = tools.delivery === 'at-most-once'
  if (description?.trim() === '') return await putAside(claimed, 'The message has no text', tools)
  tools.emit({ type: 'task-claimed', taskId })
  const start = {
    digest: claimed.digest,
    taskId,
    startId: newId(),
    cli: tools.cli.id,
    ...(description ? { description } : {}),
    ...remembered(message, tools),
    atMostOnce,
  }
  const started = await write(() => startTask(lease, start))
  if (started.kind === 'lost-run') {
    return await failLostRun({ claimed, message, route, started, startId: start.startId }, tools)
  }
  if (started.kind !== 'started') return await skip({ claimed, message, route }, started, tools)
  const work: StartedWork = { claimed, message, route, started, startId: start.startId }
  const cancel = new AbortController()
  lifecycle.enter({ name: 'working', taskId, startId: start.startId, cancel })
  let handled: Handled = { kind: 'no-run' }
  try {
    const { outcome, ...told } = await runTask(work, cancel.signal, tools)
    const rules = { ...tools.retries, attempt: started.attempt, atMostOnce }
    handled = await conclude({ ...work, ...told }, decide(outcome, rules), tools)
    return handled
  } finally {
    if (handled.kind !== 'held') lifecycle.enter({ name: 'idle' })
  }
}

async function skip(
  { claimed, message, route: { taskId } }: Pick<Work, 'claimed' | 'message' | 'route'>,
  why: Exclude<Started, { kind: 'started' | 'lost-run' }>,
  tools: AttemptTools,
): Promise<Handled> {
  if (why.kind === 'missing') return await putAside(claimed, `The task ${taskId} has no record`, tools)
  if (why.kind === 'unreadable') {
    return await putAside(claimed, `The key of task ${taskId} holds no record: ${why.type}`, tools)
  }
  if (why.kind === 'duplicate') {
    const { from, id, body } = message
    tools.emit({ type: 'message-duplicate', kind: body.type, from, messageId: id })
    return { kind: 'no-run' }
  }
  const words = why.kind === 'ended' ? `it is ${why.state} already` : `the agent ${why.agentId} runs it`
  tools.emit({ type: 'task-skipped', taskId, why: words })
  return { kind: 'no-run' }
}

async function runTask(
  work: StartedWork,
  cancelled: AbortSignal,
  tools: AttemptTools,
): Promise<Told & { outcome: Outcome }> {
  const { task, attempt: number } = work.started
  const taskId = task.id
  const summary = oneLine(tools.redact(task.description))
  tools.emit({ type: 'task-started', taskId, attempt: number, summary, queueMs: queueMsOf(work) })
  if (task.description.trim() === '') {
    const facts = { toolCalls: 0, durationMs: 0 }
    const detail = 'The task has no text'
    return { outcome: { kind: 'failed', reason: 'bad-task', detail, facts }, notesUsed: 0 }
  }
  const { prompt, notesUsed } = promptOf(work, tools)
  const end = anyOf(cancelled, tools.control.halting)
  const asked = tools.cliVersion(end)
  const outcome = await tools.run({ taskId, attempt: number, prompt, end })
  const why = 'reason' in outcome ? { reason: outcome.reason } : {}
  const facts = 'facts' in outcome ? { facts: outcome.facts } : {}
  tools.emit({ type: 'run-ended', taskId, attempt: number, outcome: outcome.kind, ...why, ...facts })
  return { outcome, notesUsed, cliVersion: await within(VERSION_PATIENCE_MS, asked) }
}

function promptOf(
  { started: { task, notes, notesLeft } }: StartedWork,
  { role, roleInstructions, cli }: AttemptTools,
): FittedPrompt {
  const mission = missionKind(task.tags)
  const parts = {
    description: task.description,
    tags: task.tags,
    notes,
    notesLeft,
    ...(role ? { role } : {}),
    ...(roleInstructions ? { roleInstructions } : {}),
    ...(mission ? { ending: missionEnding(mission) } : {}),
  }
  return fitPrompt(parts, cli.longestPrompt)
}
