import { decodeMessage, type Message } from '../domain/message.ts'
import { isLasting } from '../store/connection.ts'
import { type Claimed, pluckMessage } from '../store/inbox.ts'
import { answer, putAside } from './answer.ts'
import { attempt } from './attempt.ts'
import { agentStateOf } from './lifecycle.ts'
import { routeMessage } from './route.ts'
import type { AttemptTools, Handled } from './work.ts'

/**
 * Does what a claimed message asks for, to the end: afterwards it is not in flight any more, unless the lease is lost. What Redis
 * refuses is thrown, and the message stays in flight: it is not its fault.
 */
export async function handleMessage(claimed: Claimed, tools: AttemptTools): Promise<Handled> {
  const decoded = decodeMessage(claimed.raw)
  if (!decoded.ok) {
    // The sentence quotes the beginning of a value: of a secret that would be a part which nobody finds any more.
    const told = decodeMessage(tools.redact(claimed.raw))
    return await putAside(claimed, told.ok ? decoded.error : told.error, tools)
  }
  return await followRoute(claimed, decoded.message, tools)
}

/** Types of messages that are answered also while a run is in hand; all others wait for its end. */
const ANSWERED_AT_ONCE = ['ping', 'status_request', 'shutdown'] as const

/** Takes one message that needs no run past those that wait, and answers it. False: there is none, or Redis refuses it. */
export async function answerAtOnce(
  look: { head: number; tail: number },
  tools: AttemptTools,
): Promise<boolean> {
  const { lease, control } = tools
  try {
    const claimed = await pluckMessage(lease, ANSWERED_AT_ONCE, look)
    if (claimed === null) return false
    const handled = await handleMessage(claimed, tools)
    if (handled.kind === 'drain') control.drain('shutdown message')
    return true
  } catch (error) {
    // The next claim meets the same, and says so.
    if (isLasting(error)) return false
    throw error
  }
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
