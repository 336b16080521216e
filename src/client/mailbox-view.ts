import { unreachable } from '../base/unreachable.ts'
import type { Id } from '../domain/ids.ts'
import { decodeMessage, type Message, type MessageBody } from '../domain/message.ts'
import type { Task } from '../domain/task.ts'
import type { Redis } from '../store/connection.ts'
import type { TownKeys } from '../store/keys.ts'
import { readMail } from '../store/mail.ts'
import { serverNow } from '../store/server-info.ts'
import { getTask } from '../store/tasks.ts'
import type { Mailbox } from './find.ts'
import { ageOf } from './summary.ts'

/** Where a message is. `in-flight`: a worker claimed it and has not settled it yet. */
export type MailPlace = 'urgent' | 'inbox' | 'in-flight'

/** A message as it waits, with what it says, or why it cannot be read. */
export type MailView =
  | {
      readonly kind: MessageBody['type']
      readonly place: MailPlace
      readonly message: Message
      /** By the server's clock; null when its time is none. */
      readonly ageMs: number | null
      readonly text: string
    }
  | { readonly kind: 'unreadable'; readonly place: MailPlace; readonly raw: string; readonly error: string }

/** A mailbox and its messages in the order in which a worker takes them, those that it has taken last. */
export interface MailboxView {
  readonly mailbox: Mailbox
  readonly messages: readonly MailView[]
}

/** Looks into a mailbox. Takes nothing. */
export async function viewMailbox(redis: Redis, town: TownKeys, mailbox: Mailbox): Promise<MailboxView> {
  const [{ urgent, inbox, inFlight }, now] = await Promise.all([
    readMail(redis, town, mailbox.id),
    serverNow(redis),
  ])
  const placed = [
    ...urgent.map((raw) => ({ place: 'urgent', raw }) as const),
    ...inbox.map((raw) => ({ place: 'inbox', raw }) as const),
    ...inFlight.map((raw) => ({ place: 'in-flight', raw }) as const),
  ]
  const taskOf = (id: Id) => getTask(redis, town, id)
  const messages = await Promise.all(placed.map((one) => viewMessage(one, { now, taskOf })))
  return { mailbox, messages }
}

async function viewMessage(
  { place, raw }: { place: MailPlace; raw: string },
  about: { now: number; taskOf: (id: Id) => Promise<Task | null> },
): Promise<MailView> {
  const decoded = decodeMessage(raw)
  if (!decoded.ok) return { kind: 'unreadable', place, raw, error: decoded.error }
  const { message } = decoded
  const { body } = message
  const task = body.type === 'task_assign' ? await about.taskOf(body.task_id) : null
  return {
    kind: body.type,
    place,
    message,
    ageMs: ageOf(message.createdAt, about.now),
    text: task ? task.description : textOf(body),
  }
}

function textOf(body: MessageBody): string {
  switch (body.type) {
    case 'task':
      return body.description
    case 'query':
      return body.question
    case 'informational':
      return body.summary
    case 'confirmation':
      return body.ack_type.type === 'rejected' ? `rejected: ${body.ack_type.reason}` : body.ack_type.type
    case 'task_assign':
      return `task ${body.task_id}, which has no record`
    case 'task_done':
      return `task ${body.task_id}: ${body.result}`
    case 'task_failed':
      return `task ${body.task_id}: ${body.error}`
    case 'status_response':
      return body.current_task ? `${body.state}, works on ${body.current_task}` : body.state
    case 'custom':
      return `${body.kind}: ${body.payload}`
    case 'status_request':
    case 'ping':
    case 'pong':
    case 'shutdown':
      return ''
    default:
      return unreachable(body)
  }
}
