import { type Id, newId } from '../domain/ids.ts'
import type { Message } from '../domain/message.ts'
import { isInHand, type Task, type TaskExtras, type TaskState } from '../domain/task.ts'
import type { Lease } from '../store/lease.ts'
import { getTask, type Settled, type Settlement, settleTask } from '../store/tasks.ts'
import type { Decision } from './decide.ts'
import { LOST_RUN, lostRunReply } from './lost-run.ts'
import { endMissionTask, type MissionTools } from './mission.ts'
import { endReply, letterToConductor } from './reply.ts'
import { routeMessage } from './route.ts'
import { encodeUnsettled, type Unsettled } from './unsettled.ts'
import { type AttemptTools, type Done, type Handled, queueMsOf, remembered, type Work } from './work.ts'

export async function settle(
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
  const settled = await tools.spool.during({ taskId: task.id, startId, text }, (aside) => {
    const report: MissionTools['report'] = (id, result) => aside(() => tools.mission.report(id, result))
    return writeEnd(work, end, { settleId, tools: { ...tools, mission: { ...tools.mission, report } } })
  })
  return roundsOf(settled)
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

/** The run of an earlier worker, which is the only one that there may be, died with it. */
export async function failLostRun(work: Work, tools: AttemptTools): Promise<Handled> {
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

async function writeEnd(
  work: Done,
  end: Extract<Decision, { kind: 'settle' }>,
  { settleId, spooled = false, tools }: { settleId: string; spooled?: boolean; tools: AttemptTools },
): Promise<Settled> {
  const { started, claimed } = work
  const taskId = started.task.id
  const told = { ...started.task, description: tools.redact(started.task.description) }
  const { state, letter } = await endMissionTask(told, end, tools.mission)
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
  { lease, write, writeEnd }: AttemptTools,
): Promise<Settled> {
  let stands: Task | null = null
  for (;;) {
    const reply = replyTo(stands)
    const settled = await writeEnd(() => settleTask(lease, { ...settlement, ...reply }))
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

export function extrasOf(
  work: Done,
  end: Extract<Decision, { kind: 'settle' }>,
  tools: AttemptTools,
): TaskExtras {
  const { started } = work
  const { durationMs, ...facts } = end.facts
  const log = tools.logPath(started.task.id)
  return {
    ...facts,
    durationMs: Math.round(durationMs),
    queueMs: queueMsOf(work),
    ...(log ? { log } : {}),
    ...(work.cliVersion ? { cliVersion: work.cliVersion } : {}),
    ...(end.truncated ? { resultTruncated: true } : {}),
  }
}
