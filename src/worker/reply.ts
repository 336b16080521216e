import { type Id, SUPERVISOR_ID } from '../domain/ids.ts'
import { encodeMessage, type Message, type MessageBody, newMessage } from '../domain/message.ts'
import type { TaskState } from '../domain/task.ts'
import type { Route } from './route.ts'

/** A message that is to go out, and to whom. */
export interface Reply {
  readonly to: Id
  readonly raw: string
}

/** The answer of an agent to a message. */
export function replyTo(message: Message, body: MessageBody, agentId: Id): Reply {
  const to = message.from
  const createdAt = new Date().toISOString()
  const reply = newMessage({ from: agentId, to, body, createdAt, correlationId: message.id })
  return { to, raw: encodeMessage(reply) }
}

/** What an agent tells the conductor of a mission. */
export function letterToConductor(letter: string, agentId: Id): Reply {
  const body = { type: 'query', question: letter } as const
  const createdAt = new Date().toISOString()
  const message = newMessage({ from: agentId, to: SUPERVISOR_ID, body, createdAt })
  return { to: SUPERVISOR_ID, raw: encodeMessage(message) }
}

/**
 * The answer to whoever sent the text of a run; null for a task that was assigned, whose record its giver reads, and for a message to
 * oneself, whose answer would be a note in the next prompt.
 */
export function endReply(
  { message, route }: { message: Message; route: Extract<Route, { kind: 'run' }> },
  end: { state: TaskState; result: string },
  agentId: Id,
): Reply | null {
  if (route.description === undefined || message.from === agentId) return null
  return replyTo(message, endBody(message, route.taskId, end), agentId)
}

function endBody(message: Message, taskId: Id, end: { state: TaskState; result: string }): MessageBody {
  if (end.state !== 'completed') return { type: 'task_failed', task_id: taskId, error: end.result }
  if (message.body.type === 'query') return { type: 'informational', summary: end.result }
  return { type: 'task_done', task_id: taskId, result: end.result }
}
