import { z } from 'zod'
import { hasHalfCharacter, wellFormed } from '../base/text.ts'
import { explain } from './explain.ts'
import { id, time, WHOLE_TEXT_RULE } from './fields.ts'
import { type Id, newId } from './ids.ts'

/** Priorities as upstream writes them. `urgent` and `high` go to the head of the inbox, the others to its tail. */
export const PRIORITIES = ['low', 'normal', 'high', 'urgent'] as const
export type Priority = (typeof PRIORITIES)[number]

const ackType = z.discriminatedUnion('type', [
  z.object({ type: z.literal('received') }),
  z.object({ type: z.literal('acknowledged') }),
  z.object({ type: z.literal('thanks') }),
  z.object({ type: z.literal('approved') }),
  z.object({ type: z.literal('rejected'), reason: z.string() }),
])

const body = z.discriminatedUnion('type', [
  z.object({ type: z.literal('task'), description: z.string() }),
  z.object({ type: z.literal('query'), question: z.string() }),
  z.object({ type: z.literal('informational'), summary: z.string() }),
  z.object({ type: z.literal('confirmation'), ack_type: ackType }),
  z.object({ type: z.literal('task_assign'), task_id: id }),
  z.object({ type: z.literal('task_done'), task_id: z.string(), result: z.string() }),
  z.object({ type: z.literal('task_failed'), task_id: z.string(), error: z.string() }),
  z.object({ type: z.literal('status_request') }),
  z.object({
    type: z.literal('status_response'),
    state: z.string(),
    current_task: z.string().nullish(),
  }),
  z.object({ type: z.literal('ping') }),
  z.object({ type: z.literal('pong') }),
  z.object({ type: z.literal('shutdown') }),
  // The payload of a custom message is a text, itself JSON by custom (Tinytown, message.rs).
  z.object({ type: z.literal('custom'), kind: z.string(), payload: z.string() }),
])

const header = z.object({
  id,
  from: id,
  to: id,
  priority: z.enum(PRIORITIES),
  created_at: time,
  correlation_id: id.nullish(),
})

/** What a confirmation confirms. */
export type AckType = z.infer<typeof ackType>

/** What a text confirms, as `tt send --ack` reads it (Tinytown, main.rs). */
export function ackOf(text: string): AckType {
  const said = text.trim()
  if (/^rejected:/i.test(said)) {
    return { type: 'rejected', reason: said.slice(said.indexOf(':') + 1).trim() || 'No reason provided' }
  }
  if (/^received/i.test(said)) return { type: 'received' }
  if (/^approved/i.test(said)) return { type: 'approved' }
  return { type: /thanks|thank you/i.test(said) ? 'thanks' : 'acknowledged' }
}

/** What a message says: its type and the fields of that type, named as on the wire. */
export type MessageBody = z.infer<typeof body>

/** A Tinytown message. On the wire the body's fields stand beside the header's (serde flatten). */
export interface Message {
  readonly id: Id
  readonly from: Id
  readonly to: Id
  readonly body: MessageBody
  readonly priority: Priority
  /** RFC 3339. */
  readonly createdAt: string
  readonly correlationId?: Id
}

export type Decoded =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly error: string }

/** Reads a message from its wire text. Never throws: an unreadable one comes back as the reason why, in one sentence. */
export function decodeMessage(raw: string): Decoded {
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch {
    return { ok: false, error: 'The message is not JSON' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { ok: false, error: 'The message is not a JSON object' }
  const head = header.safeParse(value)
  if (!head.success) return { ok: false, error: explain('message', head.error, value) }
  const content = body.safeParse(value)
  if (!content.success) return { ok: false, error: explain('message', content.error, value) }
  const { created_at: createdAt, correlation_id: correlationId, ...rest } = head.data
  return {
    ok: true,
    message: { ...rest, body: content.data, createdAt, ...(correlationId ? { correlationId } : {}) },
  }
}

/** Writes a message in upstream's order of fields. Half a character becomes U+FFFD: serde would refuse the whole message. */
export function encodeMessage(message: Message): string {
  return JSON.stringify(onWire(message), (_, value) =>
    typeof value === 'string' ? wellFormed(value) : value,
  )
}

/** A message to be sent, as its receiver reads it, or why it could not. Never throws, whatever it is made of. */
export function proofread(message: Message): Decoded {
  const { body } = message
  if (typeof body !== 'object' || body === null) return { ok: false, error: 'The message has no body' }
  let raw: string
  try {
    raw = JSON.stringify(onWire(message))
  } catch {
    return { ok: false, error: 'The message is not JSON' }
  }
  const read = decodeMessage(raw)
  const broken = read.ok ? brokenText(read.message.body) : undefined
  if (broken === undefined) return read
  return { ok: false, error: `Expected the message field ${broken} to be ${WHOLE_TEXT_RULE}` }
}

/** The field whose text holds half a character. */
function brokenText(said: MessageBody): string | undefined {
  const texts = Object.entries({ ...said, ...(said.type === 'confirmation' && said.ack_type) })
  return texts.find(([, text]) => typeof text === 'string' && hasHalfCharacter(text))?.[0]
}

function onWire(message: Message): object {
  return {
    id: message.id,
    from: message.from,
    to: message.to,
    ...message.body,
    ...(message.body.type === 'status_response' && { current_task: message.body.current_task ?? null }),
    priority: message.priority,
    created_at: message.createdAt,
    correlation_id: message.correlationId ?? null,
  }
}

/** What is needed to make a message; the rest is filled in. */
export interface NewMessage {
  readonly from: Id
  readonly to: Id
  readonly body: MessageBody
  readonly createdAt: string
  readonly priority?: Priority
  readonly correlationId?: Id
}

/** Makes a message with a new id and, unless told otherwise, normal priority. */
export function newMessage(from: NewMessage): Message {
  return { id: newId(), priority: 'normal', ...from }
}
