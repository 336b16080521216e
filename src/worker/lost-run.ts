import { decodeMessage, type Message } from '../domain/message.ts'
import { missionKind } from '../domain/mission.ts'
import type { LostRun, LostRunEnd } from '../store/peers.ts'
import { failureLetter } from './mission.ts'
import { endReply, letterToConductor, type Reply } from './reply.ts'
import { type Route, routeMessage } from './route.ts'

/** What becomes of a task that is run at most once and whose run was lost with its worker. */
export const LOST_RUN = {
  state: 'failed',
  reason: 'crashed',
  result: 'The worker died in the middle of the run; at most once means that it is not run again',
} as const

/** What goes out when such a task fails: to the conductor of a mission, else to whoever sent its text. */
export function lostRunReply(
  { agentId, task }: Pick<LostRun, 'agentId' | 'task'>,
  asked: { message: Message; route: Extract<Route, { kind: 'run' }> } | null,
): Reply | null {
  if (missionKind(task.tags) !== null) return letterToConductor(failureLetter(task, LOST_RUN), agentId)
  return asked && endReply(asked, LOST_RUN, agentId)
}

/** The end of a run at most once that was lost with the worker of another agent. */
export function endOfLostRun(lost: LostRun): LostRunEnd {
  const now = { agentId: lost.agentId, state: 'error', currentTask: null }
  for (const { raw, digest } of lost.claimed) {
    const decoded = decodeMessage(raw)
    if (!decoded.ok) continue
    const { message } = decoded
    const route = routeMessage(message, now)
    if (route.kind === 'run' && route.taskId === lost.task.id)
      return { digest, ...ending(lostRunReply(lost, { message, route })) }
  }
  return ending(lostRunReply(lost, null))
}

function ending(reply: Reply | null): LostRunEnd {
  return { result: LOST_RUN.result, ...(reply && { reply }) }
}
