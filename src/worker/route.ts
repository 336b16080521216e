import { unreachable } from '../base/unreachable.ts'
import { type Id, idWithin } from '../domain/ids.ts'
import type { Message, MessageBody } from '../domain/message.ts'

/** What a message asks of the worker. */
export type Route =
  /** Run the CLI. `description` makes the record of a message that has no task of its own; its sender gets the answer. */
  | { readonly kind: 'run'; readonly taskId: Id; readonly description?: string }
  /** Keep the text for the next prompt. */
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'answer'; readonly body: MessageBody }
  | { readonly kind: 'drain' }
  | { readonly kind: 'drop' }

/** The worker that a message came to, and what it does now. */
interface Now {
  readonly agentId: Id
  readonly state: string
  readonly currentTask: Id | null
}

/** Says what is to be done with a message; `answer` bodies that tell a state are filled from `now`. */
export function routeMessage(message: Message, now: Now): Route {
  const { body } = message
  switch (body.type) {
    case 'task_assign':
      return { kind: 'run', taskId: body.task_id }
    case 'task':
      return { kind: 'run', taskId: ownTaskId(message, now), description: body.description }
    case 'query':
      return { kind: 'run', taskId: ownTaskId(message, now), description: body.question }
    case 'informational':
      return { kind: 'note', text: body.summary }
    case 'confirmation':
      return { kind: 'note', text: confirmationText(body.ack_type) }
    case 'task_done':
      return { kind: 'note', text: `Task ${body.task_id} is done: ${body.result}` }
    case 'task_failed':
      return { kind: 'note', text: `Task ${body.task_id} failed: ${body.error}` }
    case 'custom':
      return { kind: 'note', text: `${body.kind}: ${body.payload}` }
    case 'ping':
      return { kind: 'answer', body: { type: 'pong' } }
    case 'status_request':
      return {
        kind: 'answer',
        body: { type: 'status_response', state: now.state, current_task: now.currentTask },
      }
    case 'shutdown':
      return { kind: 'drain' }
    case 'status_response':
    case 'pong':
      return { kind: 'drop' }
    default:
      return unreachable(body)
  }
}

/** The task of a message that brings its own text. What was told to several agents is a task of its own for each. */
function ownTaskId({ id, to }: Message, { agentId }: Now): Id {
  return to === agentId ? id : idWithin(id, agentId)
}

function confirmationText(ack: Extract<MessageBody, { type: 'confirmation' }>['ack_type']): string {
  return ack.type === 'rejected' ? `Rejected: ${ack.reason}` : `Confirmation: ${ack.type}`
}
