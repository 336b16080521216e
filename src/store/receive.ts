import type { Redis } from 'ioredis'
import { unlessAborted } from '../base/abort.ts'
import { monotonicMs } from '../base/clock.ts'
import type { Id } from '../domain/ids.ts'
import { decodeMessage, type Message } from '../domain/message.ts'
import type { Reason } from '../domain/outcome.ts'
import { abandonRedis } from './connection.ts'
import type { TownKeys } from './keys.ts'
import { runScript, texts } from './script.ts'
import { take as takeScript } from './scripts/take.ts'
import { clientId, unblock } from './unblock.ts'

/** Whose messages, and from which list. */
export interface Mailbox {
  readonly agentId: Id
  readonly list: 'inbox' | 'urgent'
}

/** The same word that a worker gives an unreadable message. */
const UNREADABLE: Reason = 'bad-task'

/**
 * Takes the first message that can be read; null when there is none. Those before it that cannot be read go to the dead letters,
 * each in one step with being taken. Throws the reason of `late` when it aborts first.
 */
export async function takeMessage(
  redis: Redis,
  town: TownKeys,
  box: Mailbox,
  late: AbortSignal = NEVER,
): Promise<Message | null> {
  const list = town.agent(box.agentId)[box.list]
  for (;;) {
    // As bytes: what is no UTF-8 would be another text when it is sent back.
    const raw = await unlessAborted(redis.lindexBuffer(list, 0), late)
    if (raw === null) return null
    const decoded = decodeMessage(raw.toString())
    const taking = take(redis, town, box, { raw, popped: false, ...(decoded.ok ? {} : decoded) })
    const message = taking.then((taken) => (taken && decoded.ok ? raw : null))
    if ((await unlessLate(message, late, (text) => redis.lpush(list, text))) && decoded.ok)
      return decoded.message
  }
}

const NEVER = new AbortController().signal

/** What was taken, unless it is late: then it is put back as soon as it comes. */
async function unlessLate(
  taking: Promise<Buffer | null>,
  late: AbortSignal,
  putBack: (raw: Buffer) => Promise<unknown>,
): Promise<Buffer | null> {
  taking.then((raw) => (raw && late.aborted ? putBack(raw) : null)).catch(() => undefined)
  return await unlessAborted(taking, late)
}

/** Returns whether it was there to be taken. */
async function take(
  redis: Redis,
  town: TownKeys,
  { agentId, list }: Mailbox,
  message: { raw: Buffer; popped: boolean; error?: string },
): Promise<boolean> {
  const { error = '', popped, raw } = message
  const agent = town.agent(agentId)
  const args = [raw, agentId, error && UNREADABLE, error, popped ? '1' : '0']
  const [kind] = texts(
    await runScript(redis, takeScript, [agent[list], town.deadLetters, agent.record], args),
  )
  return kind === 'ok'
}

/** A socket that is silent for eight seconds counts as dead (connection.ts), so no command blocks for longer than this. */
const BLOCK_MS = 5000
/** The same for a connection that nobody can unblock: it is soon done by itself. */
const SHORT_BLOCK_MS = 500

/** Two connections: one for commands, one that a pop may block. */
export interface Receiver {
  readonly redis: Redis
  readonly blocking: Redis
  readonly town: TownKeys
}

/** How long to wait for a message. */
export interface Patience {
  /** By the monotonic clock. */
  readonly endsAt: number
  /** Ends the wait; what Redis hands over at this moment is still received. */
  readonly signal: AbortSignal
  /** Gives up a Redis that has not answered by now. */
  readonly late: AbortSignal
}

/** How long a Redis may take to say what it handed over when the wait is over. One that is away says nothing. */
export const ANSWER_MS = 1000

/**
 * Waits for a message in the inbox; null when none came in time. Throws the reason of the signal when it aborts, and loses nothing
 * by it, and that of `late`.
 */
export async function receiveMessage(
  receiver: Receiver,
  agentId: Id,
  patience: Patience,
): Promise<Message | null> {
  const { redis, town } = receiver
  const { endsAt, signal, late } = patience
  const box = { agentId, list: 'inbox' } as const
  for (;;) {
    signal.throwIfAborted()
    const waiting = await takeMessage(redis, town, box, late)
    if (waiting) return waiting
    const leftMs = endsAt - monotonicMs()
    if (leftMs <= 0) return null
    const raw = await pop(receiver, town.agent(agentId).inbox, patience)
    if (raw === null) continue
    const decoded = decodeMessage(raw.toString())
    if (decoded.ok) return decoded.message
    await unlessAborted(take(redis, town, box, { raw, popped: true, error: decoded.error }), late)
  }
}

async function pop(
  { redis, blocking }: Receiver,
  list: string,
  { endsAt, signal, late }: Patience,
): Promise<Buffer | null> {
  // Whoever may not ask for the number of a connection cannot unblock it.
  const id = await unlessAborted(clientId(blocking), late)
  signal.throwIfAborted()
  const blockMs = Math.min(endsAt - monotonicMs(), id === null ? SHORT_BLOCK_MS : BLOCK_MS)
  // Zero would block for ever.
  const popped = blocking
    .blpopBuffer(list, Math.max(0.01, blockMs / 1000))
    .then((reply) => reply?.[1] ?? null)
  // Unblocking by id gets a definite answer; closing the connection would leave open whether a message was popped.
  const onAbort = () => void unblock(redis, id)
  const onLate = () => abandonRedis(blocking)
  signal.addEventListener('abort', onAbort, { once: true })
  late.addEventListener('abort', onLate, { once: true })
  try {
    return await unlessLate(popped, late, (raw) => redis.lpush(list, raw))
  } catch (error) {
    late.throwIfAborted()
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    late.removeEventListener('abort', onLate)
  }
}
