import type { Redis } from 'ioredis'
import { monotonicMs } from '../base/clock.ts'
import type { Id } from '../domain/ids.ts'
import { decodeMessage, type Message } from '../domain/message.ts'
import type { Reason } from '../domain/outcome.ts'
import { abandonRedis } from './connection.ts'
import type { TownKeys } from './keys.ts'
import { runScript, texts } from './script.ts'
import { take as takeScript } from './scripts/take.ts'

/** Whose messages, and from which list. */
export interface Mailbox {
  readonly agentId: Id
  readonly list: 'inbox' | 'urgent'
}

/** The same word that a worker gives an unreadable message. */
const UNREADABLE: Reason = 'bad-task'

/**
 * Takes the first message that can be read; null when there is none. Those before it that cannot be read go to the dead letters,
 * each in one step with being taken.
 */
export async function takeMessage(redis: Redis, town: TownKeys, box: Mailbox): Promise<Message | null> {
  const list = town.agent(box.agentId)[box.list]
  for (;;) {
    // As bytes: what is no UTF-8 would be another text when it is sent back.
    const raw = await redis.lindexBuffer(list, 0)
    if (raw === null) return null
    const decoded = decodeMessage(raw.toString())
    const taken = await take(redis, town, box, { raw, popped: false, ...(decoded.ok ? {} : decoded) })
    if (taken && decoded.ok) return decoded.message
  }
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

/** A socket that is silent for ten seconds counts as dead (connection.ts), so no command blocks for longer than this. */
const BLOCK_MS = 5000

/** Two connections: one for commands, one that a pop may block. */
export interface Receiver {
  readonly redis: Redis
  readonly blocking: Redis
  readonly town: TownKeys
}

/**
 * Waits at most `timeoutMs` for a message in the inbox; null when none came. Throws the signal's reason when it aborts, and loses
 * nothing by it.
 */
export async function receiveMessage(
  receiver: Receiver,
  agentId: Id,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<Message | null> {
  const { redis, town } = receiver
  const box = { agentId, list: 'inbox' } as const
  const end = monotonicMs() + timeoutMs
  for (;;) {
    signal.throwIfAborted()
    const waiting = await takeMessage(redis, town, box)
    if (waiting) return waiting
    const leftMs = end - monotonicMs()
    if (leftMs <= 0) return null
    const raw = await pop(receiver, town.agent(agentId).inbox, {
      blockMs: Math.min(leftMs, BLOCK_MS),
      signal,
    })
    if (raw === null) continue
    const decoded = decodeMessage(raw.toString())
    if (decoded.ok) return decoded.message
    await take(redis, town, box, { raw, popped: true, error: decoded.error })
  }
}

/** How long a pop that is not wanted any more may take to say what it popped. A Redis that is away says nothing. */
const ANSWER_MS = 1000

async function pop(
  { redis, blocking }: Receiver,
  list: string,
  { blockMs, signal }: { blockMs: number; signal: AbortSignal },
): Promise<Buffer | null> {
  signal.throwIfAborted()
  const clientId = blocking.client('ID')
  // Zero would block for ever.
  const popped = blocking.blpopBuffer(list, Math.max(0.01, blockMs / 1000))
  let giveUp: NodeJS.Timeout | undefined
  // Unblocking by id gets a definite answer; closing the connection would leave open whether a message was popped.
  const onAbort = () => {
    giveUp = setTimeout(() => abandonRedis(blocking), ANSWER_MS)
    clientId.then((id) => redis.client('UNBLOCK', id)).catch(() => undefined)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return (await popped)?.[1] ?? null
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    clearTimeout(giveUp)
    clientId.catch(() => undefined)
  }
}
