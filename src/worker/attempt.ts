import { anyOf } from '../base/abort.ts'
import { oneLine } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Delivery } from '../domain/delivery.ts'
import { messageOf } from '../domain/errors.ts'
import { type Id, newId } from '../domain/ids.ts'
import { decodeMessage, type Message } from '../domain/message.ts'
import { missionEnding, missionKind } from '../domain/mission.ts'
import type { Outcome } from '../domain/outcome.ts'
import { type FittedPrompt, fitPrompt } from '../domain/prompt.ts'
import { isInHand, type Task, type TaskExtras, type TaskState } from '../domain/task.ts'
import type { Emit } from '../domain/worker-event.ts'
import type { RunEnd } from '../reliability/circuit.ts'
import type { RetryRules } from '../reliability/retry-policy.ts'
import type { Spool } from '../reliability/spool.ts'
import { setAgentState } from '../store/agents.ts'
import { isPassing } from '../store/connection.ts'
import { acknowledgeMessage, type Claimed, pluckMessage, putAsideMessage } from '../store/inbox.ts'
import type { Lease } from '../store/lease.ts'
import { replyErrorCode } from '../store/script.ts'
import {
  getTask,
  releaseTask,
  retryTask,
  type Settled,
  type Settlement,
  type Started,
  settleTask,
  startTask,
} from '../store/tasks.ts'
import type { Control } from './control.ts'
import { type Decision, decide } from './decide.ts'
import { agentStateOf, type Lifecycle } from './lifecycle.ts'
import { LOST_RUN, lostRunReply } from './lost-run.ts'
import { endMissionTask, type MissionTools } from './mission.ts'
import { endReply, letterToConductor, replyTo } from './reply.ts'
import { type Route, routeMessage } from './route.ts'
import type { Trouble } from './run.ts'
import { encodeUnsettled, type Unsettled } from './unsettled.ts'

/** One run of the CLI: the prompt and what the child is told of its task. */
export interface Job {
  readonly taskId: Id
  readonly attempt: number
  readonly prompt: string
  /** Aborts with an `EndWhy` when the run is to be ended from outside. */
  readonly end: AbortSignal
}

/** What an attempt knows of its CLI. */
interface AttemptCli {
  readonly id: string
  /** The longest prompt that it takes, in bytes; Infinity when there is no limit. */
  readonly longestPrompt: number
}

export interface AttemptTools {
  readonly lease: Lease
  readonly lifecycle: Lifecycle
  readonly control: Control
  readonly emit: Emit
  readonly cli: AttemptCli
  /** Asks the CLI for its version, unless it is known of the program as it is now. */
  readonly cliVersion: (signal: AbortSignal) => Promise<string | undefined>
  readonly delivery: Delivery
  /** How often a task is run, and the wait after its first attempt. */
  readonly retries: Pick<RetryRules, 'maxAttempts' | 'firstMs'>
  readonly role: string | undefined
  readonly roleInstructions: string | undefined
  /** Runs the CLI to its end. */
  readonly run: (job: Job) => Promise<Outcome>
  /** Where the output of a task is kept on this machine; undefined when it is not. */
  readonly logPath: (taskId: Id) => string | undefined
  /** How the task of a mission is reported. */
  readonly mission: MissionTools
  /** Holds a result that Redis does not take. */
  readonly spool: Spool
  /** Repeats a write that the server refuses for a reason that passes by itself. */
  readonly write: <T>(write: () => Promise<T>) => Promise<T>
}

/** What came of a message. `rounds`: how many the agent has completed now; `end`: how the run ended. `held`: the surroundings are broken and the task went back. */
export type Handled =
  | { readonly kind: 'ran'; readonly rounds?: number; readonly end: RunEnd }
  | { readonly kind: 'no-run' }
  | { readonly kind: 'drain' }
  | { readonly kind: 'held'; readonly trouble: Trouble }

/** Does what a claimed message asks for, to the end: afterwards it is not in flight any more, unless the lease is lost. */
export async function handleMessage(claimed: Claimed, tools: AttemptTools): Promise<Handled> {
  const decoded = decodeMessage(claimed.raw)
  if (!decoded.ok) return await putAside(claimed, decoded.error, tools)
  try {
    return await followRoute(claimed, decoded.message, tools)
  } catch (error) {
    // What Redis refuses for good, it would refuse at every next start as well: the message is put aside, the others go on.
    if (replyErrorCode(error) === null || isPassing(error)) throw error
    return await putAside(claimed, `Redis refused it: ${messageOf(error)}`, tools)
  }
}

/** Types of messages that are answered also while a run is in hand; all others wait for its end. */
const ANSWERED_AT_ONCE = ['ping', 'status_request', 'shutdown'] as const

/** Takes one message that needs no run past those that wait, and answers it. False: there is none. */
export async function answerAtOnce(
  look: { head: number; tail: number },
  tools: AttemptTools,
): Promise<boolean> {
  const { lease, control } = tools
  const claimed = await pluckMessage(lease, ANSWERED_AT_ONCE, look)
  if (claimed === null) return false
  const handled = await handleMessage(claimed, tools)
  if (handled.kind === 'drain') control.drain('shutdown message')
  return true
}

async function followRoute(claimed: Claimed, message: Message, tools: AttemptTools): Promise<Handled> {
  const { phase } = tools.lifecycle
  const { agentId } = tools.lease
  const currentTask = phase.name === 'working' ? phase.taskId : null
  const now = { agentId, state: agentStateOf(phase), currentTask }
  const route = routeMessage(message, now)
  if (route.kind === 'run') return await attempt(claimed, message, route, tools)
  const was = await answer(claimed, message, route, tools)
  return { kind: route.kind === 'drain' && was !== 'duplicate' ? 'drain' : 'no-run' }
}

async function putAside(claimed: Claimed, detail: string, tools: AttemptTools): Promise<Handled> {
  const { lease, write, emit } = tools
  const deadLetterId = await write(() => putAsideMessage(lease, claimed, { reason: 'bad-task', detail }))
  if (deadLetterId !== null) emit({ type: 'message-put-aside', deadLetterId, detail })
  return { kind: 'no-run' }
}

async function answer(
  claimed: Claimed,
  message: Message,
  route: Exclude<Route, { kind: 'run' }>,
  tools: AttemptTools,
): Promise<'ok' | 'gone' | 'duplicate'> {
  const { lease, write, emit } = tools
  const kind = message.body.type
  const { from, id } = message
  const end = {
    ...remembered(message, tools),
    ...(route.kind === 'note' && { note: route.text }),
    ...(route.kind === 'answer' && { reply: replyTo(message, route.body, lease.agentId) }),
  }
  const was = await write(() => acknowledgeMessage(lease, claimed, end))
  if (was === 'duplicate') emit({ type: 'message-duplicate', kind, from, messageId: id })
  else if (route.kind === 'note') emit({ type: 'message-noted', kind, from })
  else if (route.kind === 'drop') emit({ type: 'message-dropped', kind, from })
  // Whoever takes up what is in flight may have answered it already.
  else if (route.kind === 'answer' && was === 'ok') emit({ type: 'message-answered', kind, to: from })
  return was
}

/** Where a message may be handled once, its id is remembered with what it comes to. */
function remembered({ id }: Message, { delivery }: AttemptTools): { messageId?: Id } {
  return delivery === 'at-least-once' ? {} : { messageId: id }
}

async function attempt(
  claimed: Claimed,
  message: Message,
  route: Extract<Route, { kind: 'run' }>,
  tools: AttemptTools,
): Promise<Handled> {
  const { lease, lifecycle, write } = tools
  const { taskId, description } = route
  const atMostOnce = tools.delivery === 'at-most-once'
  if (description?.trim() === '') return await putAside(claimed, 'The message has no text', tools)
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

interface Work {
  readonly claimed: Claimed
  readonly message: Message
  readonly route: Extract<Route, { kind: 'run' }>
  readonly started: Pick<Extract<Started, { kind: 'started' }>, 'task' | 'startedAt' | 'attempt'>
  readonly startId: string
}

interface StartedWork extends Work {
  readonly started: Extract<Started, { kind: 'started' }>
}

/** What is known of a run beside its outcome. */
interface Told {
  /** How many of the notes stood in its prompt. */
  readonly notesUsed: number
  readonly cliVersion?: string | undefined
}

type Done = Work & Told

/** The run of an earlier worker, which is the only one that there may be, died with it. */
async function failLostRun(work: Work, tools: AttemptTools): Promise<Handled> {
  const { claimed, message, started } = work
  const { task, attempt: number } = started
  const settlement = {
    ...LOST_RUN,
    ...{ digest: claimed.digest, taskId: task.id, settleId: newId(), notesUsed: 0, extras: {} },
    ...remembered(message, tools),
    bury: LOST_RUN.result,
    eventMessage: `${LOST_RUN.reason}: ${LOST_RUN.result}`,
    activity: `❌ failed: ${LOST_RUN.reason}`,
  }
  const replyAs = (stands: Task | null): Pick<Settlement, 'reply'> => {
    if (stands) return replyOf(work, LOST_RUN, { letter: undefined, stands }, tools.lease)
    const reply = lostRunReply({ agentId: tools.lease.agentId, task }, work)
    return reply ? { reply } : {}
  }
  await settleAndTell(settlement, replyAs, tools)
  tools.emit({ type: 'task-lost', taskId: task.id, attempt: number, detail: LOST_RUN.result })
  return { kind: 'no-run' }
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
  tools.emit({ type: 'task-started', taskId: task.id, attempt: number, summary: oneLine(task.description) })
  if (task.description.trim() === '') {
    const facts = { toolCalls: 0, durationMs: 0 }
    const detail = 'The task has no text'
    return { outcome: { kind: 'failed', reason: 'bad-task', detail, facts }, notesUsed: 0 }
  }
  const { prompt, notesUsed } = promptOf(work, tools)
  const end = anyOf(cancelled, tools.control.halting)
  const [outcome, cliVersion] = await Promise.all([
    tools.run({ taskId: task.id, attempt: number, prompt, end }),
    tools.cliVersion(end),
  ])
  return { outcome, notesUsed, cliVersion }
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

async function conclude(work: Done, decision: Decision, tools: AttemptTools): Promise<Handled> {
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
      const { sessionId } = decision
      await giveBack(work, { ...brokenBy(decision), ...(sessionId ? { sessionId } : {}) }, tools)
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
  const retried = await tools.write(() => retryTask(tools.lease, retry))
  // Somebody else ended the task, or has it: the settle says so.
  if (retried === null) return await settle(work, otherwise, tools)
  const { maxAttempts } = tools.retries
  const detail = otherwise.result
  tools.emit({ type: 'task-retried', taskId, attempt: started.attempt, maxAttempts, reason, detail, delayMs })
  return retried
}

async function settle(
  work: Done,
  end: Extract<Decision, { kind: 'settle' }>,
  tools: AttemptTools,
): Promise<{ rounds?: number }> {
  const { claimed, startId, started, notesUsed, cliVersion } = work
  const { task, startedAt, attempt } = started
  const settleId = newId()
  const text = encodeUnsettled({
    agentId: tools.lease.agentId,
    ...{ startId, settleId, claimed, task, startedAt, attempt, notesUsed, end },
    ...(cliVersion ? { cliVersion } : {}),
  })
  const write = () => writeEnd(work, end, { settleId, tools })
  return roundsOf(await tools.spool.during({ taskId: task.id, startId, text }, write))
}

/** Settles a run that another process made. A task that is not this agent's to settle any more is left alone: `left`. */
export async function settleUnsettled(
  { run, message }: { run: Unsettled; message: Message },
  tools: AttemptTools,
): Promise<Settled> {
  const { claimed, startId, settleId, task, startedAt, attempt, notesUsed, cliVersion, end } = run
  const { agentId } = tools.lease
  const route = routeMessage(message, { agentId, state: 'starting', currentTask: null })
  if (route.kind !== 'run') return { kind: 'left', why: 'gone' }
  // A mission learns of a task only while it is this agent's.
  const read = async (id: Id) => {
    const found = await tools.mission.read(id)
    return found && isInHand(found, agentId) ? found : null
  }
  const work = {
    claimed,
    message,
    route,
    startId,
    started: { task, startedAt, attempt },
    notesUsed,
    cliVersion,
  }
  const mission = { ...tools.mission, read }
  return await writeEnd(work, end, { settleId, spooled: true, tools: { ...tools, mission } })
}

async function writeEnd(
  work: Done,
  end: Extract<Decision, { kind: 'settle' }>,
  { settleId, spooled = false, tools }: { settleId: string; spooled?: boolean; tools: AttemptTools },
): Promise<Settled> {
  const { started, claimed } = work
  const taskId = started.task.id
  const { state, letter } = await endMissionTask(started.task, end, tools.mission)
  const settlement = {
    digest: claimed.digest,
    taskId,
    settleId,
    spooled,
    state,
    result: end.result,
    notesUsed: work.notesUsed,
    ...remembered(work.message, tools),
    extras: extrasOf(work, end, tools),
    eventMessage:
      state === 'running' ? 'left running: it could not be reported to the mission' : end.eventMessage,
    activity: state === 'running' ? '⏳ left running for the conductor' : end.activity,
    ...(end.reason ? { reason: end.reason } : {}),
    ...(end.bury === undefined ? {} : { bury: end.bury }),
  }
  const settled = await settleAndTell(
    settlement,
    (stands) => replyOf(work, end, { letter, stands }, tools.lease),
    tools,
  )
  if (state === 'running' && settled.kind === 'ok') {
    tools.emit({ type: 'task-left-running', taskId, letter: letter ?? '' })
    return settled
  }
  if (settled.kind === 'left') return settled
  tools.emit({
    type: 'task-settled',
    taskId,
    attempt: started.attempt,
    state: end.state,
    durationMs: Math.round(end.facts.durationMs),
    result: end.result,
    ...(end.reason ? { reason: end.reason } : {}),
    ...overruledBy(settled, end.state),
  })
  return settled
}

function roundsOf(settled: Settled): { rounds?: number } {
  return 'rounds' in settled && settled.rounds !== undefined ? { rounds: settled.rounds } : {}
}

/** The answer that goes out tells the end that the record has: where that is somebody else's, it is read first. */
async function settleAndTell(
  settlement: Omit<Settlement, 'reply'>,
  replyTo: (stands: Task | null) => Pick<Settlement, 'reply'>,
  { lease, write }: AttemptTools,
): Promise<Settled> {
  let stands: Task | null = null
  for (;;) {
    const reply = replyTo(stands)
    const settled = await write(() => settleTask(lease, { ...settlement, ...reply }))
    if (settled.kind !== 'reread') return settled
    stands = await write(() => getTask(lease.redis, lease.town, settlement.taskId))
  }
}

function overruledBy(
  settled: Exclude<Settled, { kind: 'left' }>,
  wanted: 'completed' | 'failed' | 'cancelled',
): {
  overruled?: 'gone' | TaskState
} {
  if (settled.kind === 'ok') return {}
  if (settled.kind === 'gone') return { overruled: 'gone' }
  return settled.state === wanted ? {} : { overruled: settled.state }
}

/** The message that goes out with the settle: to the conductor of a mission, or to whoever asked. */
function replyOf(
  work: Work,
  end: { state: TaskState; result: string },
  { letter, stands }: { letter: string | undefined; stands: Task | null },
  { agentId }: Lease,
): Pick<Settlement, 'reply'> {
  // Somebody else ended the task: there is nothing for the conductor to do.
  if (letter !== undefined && stands === null) return { reply: letterToConductor(letter, agentId) }
  const told = stands ? { state: stands.state, result: stands.result ?? stands.state } : end
  const reply = endReply(work, told, agentId)
  return reply ? { reply: { ...reply, ...(stands ? { tellsOf: stands.state } : {}) } } : {}
}

function extrasOf(work: Done, end: Extract<Decision, { kind: 'settle' }>, tools: AttemptTools): TaskExtras {
  const { message, started } = work
  // Both times were written by the server or, for a message of `tt`, by its machine; a wrong clock there must not go below 0.
  const queueMs = Math.max(0, Math.round(Date.parse(started.startedAt) - Date.parse(message.createdAt)))
  const { durationMs, ...facts } = end.facts
  const log = tools.logPath(started.task.id)
  return {
    ...facts,
    durationMs: Math.round(durationMs),
    queueMs,
    ...(log ? { log } : {}),
    ...(work.cliVersion ? { cliVersion: work.cliVersion } : {}),
    ...(end.truncated ? { resultTruncated: true } : {}),
  }
}

async function giveBack(
  work: Work,
  back: Pick<Parameters<typeof releaseTask>[1], 'message' | 'lastError' | 'sessionId' | 'parkedUntil'> & {
    agentState: 'error' | 'draining'
  },
  tools: AttemptTools,
): Promise<void> {
  const { lease, write, emit } = tools
  const taskId = work.started.task.id
  const { claimed, message } = work
  const about = { digest: claimed.digest, taskId, releaseId: newId(), ...remembered(message, tools) }
  const release = { ...about, counted: true, ...back }
  await write(() => releaseTask(lease, release))
  emit({ type: 'task-released', taskId, why: back.message })
}
