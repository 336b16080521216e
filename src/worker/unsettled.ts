import { z } from 'zod'
import { type Id, parseId } from '../domain/ids.ts'
import { decodeMessage, type Message } from '../domain/message.ts'
import { REASONS } from '../domain/outcome.ts'
import type { Task } from '../domain/task.ts'
import type { Claimed } from '../store/inbox.ts'
import type { Decision } from './decide.ts'

/** A run that is over, and all that its settle needs, also in another process. */
export interface Unsettled {
  readonly agentId: Id
  readonly startId: string
  readonly settleId: string
  readonly claimed: Claimed
  readonly task: Task
  /** RFC 3339, the server's clock. */
  readonly startedAt: string
  readonly attempt: number
  /** How many of the notes stood in its prompt. */
  readonly notesUsed: number
  readonly cliVersion?: string
  readonly end: Extract<Decision, { kind: 'settle' }>
}

const text = z.string()
const count = z.number()
const optional = { text: text.exactOptional(), count: count.exactOptional() }

// The task and the end of the run are read as they were written by this program; what every settle needs is checked.
const unsettled = z.object({
  version: z.literal(1),
  agentId: text,
  startId: text,
  settleId: text,
  claimed: z.object({ raw: text, digest: text }),
  task: z.looseObject({ id: text, description: text, tags: z.array(text) }),
  startedAt: text,
  attempt: count,
  notesUsed: count,
  cliVersion: optional.text,
  end: z.looseObject({
    kind: z.literal('settle'),
    state: z.enum(['completed', 'failed', 'cancelled']),
    result: text,
    truncated: z.boolean(),
    reason: z.enum(REASONS).exactOptional(),
    facts: z.looseObject({ durationMs: count, toolCalls: count, sessionId: optional.text }),
    eventMessage: text,
    activity: text,
  }),
})

/** Writes a run that is over as the text of a file. */
export function encodeUnsettled(run: Unsettled): string {
  return JSON.stringify({ version: 1, ...run })
}

/** Reads it back, with its message; null for anything else, also for what another agent left. */
export function decodeUnsettled(
  written: string,
  agentId: Id,
): { readonly run: Unsettled; readonly message: Message } | null {
  let value: unknown
  try {
    value = JSON.parse(written)
  } catch {
    return null
  }
  const read = unsettled.safeParse(value)
  if (!read.success || read.data.agentId !== agentId || parseId(read.data.task.id) === null) return null
  const decoded = decodeMessage(read.data.claimed.raw)
  if (!decoded.ok) return null
  const { version: _, ...run } = read.data
  return { run: run as unknown as Unsettled, message: decoded.message }
}
