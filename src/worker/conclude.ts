import { unreachable } from '../base/unreachable.ts'
import { newId } from '../domain/ids.ts'
import type { RunEnd } from '../reliability/circuit.ts'
import { setAgentState } from '../store/agents.ts'
import { releaseTask, retryTask } from '../store/tasks.ts'
import type { Decision } from './decide.ts'
import type { Trouble } from './run.ts'
import { extrasOf, settle } from './settle.ts'
import { type AttemptTools, type Done, type Handled, remembered, type Work } from './work.ts'

export async function conclude(work: Done, decision: Decision, tools: AttemptTools): Promise<Handled> {
  const { lifecycle } = tools
  const hasResult = decision.kind === 'settle' || decision.kind === 'fail-and-hold'
  if (lifecycle.phase.name === 'working' && !hasResult) lifecycle.enter({ ...lifecycle.phase, isOver: true })
  const taskId = work.started.task.id
  switch (decision.kind) {
    case 'settle':
      return {
        kind: 'ran',
        end: { taskId, ...failureOf(decision) },
        ...(await settle(work, decision, tools)),
      }
    case 'retry':
      return {
        kind: 'ran',
        end: { taskId, ...failureOf(decision.otherwise) },
        ...(await again(work, decision, tools)),
      }
    case 'hold': {
      const { reason, sessionId } = decision
      await giveBack(work, { ...brokenBy(decision), reason, ...(sessionId ? { sessionId } : {}) }, tools)
      return { kind: 'held', trouble: troubleOf(decision) }
    }
    case 'fail-and-hold': {
      await settle(work, decision.end, tools)
      const { agentState: state, ...why } = brokenBy(decision.hold)
      const error = { state, ...why, keep: ['paused', 'draining'] } as const
      await tools.write(() => setAgentState(tools.lease, error))
      return { kind: 'held', trouble: troubleOf(decision.hold) }
    }
    case 'give-back': {
      const { sessionId } = decision
      const message = 'the worker ends; the task was given back'
      await giveBack(work, { agentState: 'draining', message, ...(sessionId ? { sessionId } : {}) }, tools)
      return { kind: 'no-run' }
    }
    case 'leave-alone':
      return { kind: 'no-run' }
    default:
      return unreachable(decision)
  }
}

function failureOf({ reason, result }: Extract<Decision, { kind: 'settle' }>): Pick<RunEnd, 'failure'> {
  return reason ? { failure: { reason, detail: result } } : {}
}

/** What the agent's record says while its surroundings are broken. */
function brokenBy({ detail, until }: Extract<Decision, { kind: 'hold' }>) {
  const parked = until === undefined ? {} : { parkedUntil: new Date(until).toISOString() }
  return { agentState: 'error', lastError: detail, message: detail, ...parked } as const
}

function troubleOf({ reason, detail, until }: Extract<Decision, { kind: 'hold' }>): Trouble {
  return { reason, detail, ...(until === undefined ? {} : { until }) }
}

async function again(
  work: Done,
  decision: Extract<Decision, { kind: 'retry' }>,
  tools: AttemptTools,
): Promise<{ rounds?: number }> {
  const { started, claimed } = work
  const { delayMs, reason, eventMessage, activity, otherwise } = decision
  const taskId = started.task.id
  const retry = {
    digest: claimed.digest,
    taskId,
    retryId: newId(),
    delayMs,
    reason,
    extras: extrasOf(work, otherwise, tools),
    eventMessage,
    activity,
  }
  const retried = await tools.writeEnd(() => retryTask(tools.lease, retry))
  // Somebody else ended the task, or has it: the settle says so.
  if (retried === null) return await settle(work, otherwise, tools)
  const { maxAttempts } = tools.retries
  const detail = otherwise.result
  tools.emit({ type: 'task-retried', taskId, attempt: started.attempt, maxAttempts, reason, detail, delayMs })
  return retried
}

async function giveBack(
  work: Work,
  back: Pick<
    Parameters<typeof releaseTask>[1],
    'message' | 'reason' | 'lastError' | 'sessionId' | 'parkedUntil'
  > & {
    agentState: 'error' | 'draining'
  },
  tools: AttemptTools,
): Promise<void> {
  const { lease, writeEnd, emit } = tools
  const taskId = work.started.task.id
  const { claimed, message } = work
  const about = { digest: claimed.digest, taskId, releaseId: newId(), ...remembered(message, tools) }
  const release = { ...about, counted: true, ...back }
  await writeEnd(() => releaseTask(lease, release))
  const { message: why, reason } = back
  emit({ type: 'task-released', taskId, why, ...(reason ? { reason } : {}) })
}
