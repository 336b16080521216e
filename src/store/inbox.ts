import type { Redis } from 'ioredis'
import { type Id, SUPERVISOR_ID } from '../domain/ids.ts'
import type { Reason } from '../domain/outcome.ts'
import { type Lease, runLeased } from './lease.ts'
import { acknowledge as acknowledgeScript } from './scripts/acknowledge.ts'
import { claim as claimScript } from './scripts/claim.ts'
import { putAside as putAsideScript } from './scripts/put-aside.ts'

/** What a claim found. `evicted`: somebody deleted the agent's record. */
export type Claim =
  | { readonly kind: 'message'; readonly raw: string }
  | { readonly kind: 'empty' | 'paused' | 'stopping' | 'evicted' }

/** Takes the next message into the in-flight list, or says why not. Throws `LeaseLost`. */
export async function claimMessage(lease: Lease): Promise<Claim> {
  const { agent } = lease
  const keys = [agent.lease, agent.inFlight, agent.urgent, agent.inbox, agent.record, agent.stop]
  const [kind, raw = ''] = await runLeased(lease, claimScript, keys, [])
  if (kind === 'message') return { kind, raw }
  return { kind: kind as Exclude<Claim['kind'], 'message'> }
}

/**
 * Waits until the inbox has a message, at most `seconds` or until `signal` aborts, on a connection of its own. What comes is in flight then and the
 * next claim hands it over, also when the reply of this wait is lost.
 */
export async function waitForMessage(
  blocking: Redis,
  lease: Lease,
  seconds: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (signal.aborted) return false
  const { inbox, inFlight } = lease.agent
  const clientId = blocking.client('ID')
  const waited = blocking.blmove(inbox, inFlight, 'LEFT', 'RIGHT', seconds)
  // Unblocking by id gets a definite answer; closing the connection would leave open whether a message was moved.
  const unblock = () => void clientId.then((id) => lease.redis.client('UNBLOCK', id)).catch(() => undefined)
  signal.addEventListener('abort', unblock, { once: true })
  try {
    return (await waited) !== null
  } finally {
    signal.removeEventListener('abort', unblock)
    await clientId.catch(() => undefined)
  }
}

/** Ends a claimed message without a run: keeps a note for the next prompt, or pushes an answer, or only drops it. */
export async function acknowledgeMessage(
  lease: Lease,
  raw: string,
  end: { note?: string; reply?: { to: Id; raw: string } } = {},
): Promise<void> {
  const { agent, town } = lease
  const replyInbox = town.agent(end.reply?.to ?? SUPERVISOR_ID).inbox
  const keys = [agent.lease, agent.inFlight, agent.notes, replyInbox]
  await runLeased(lease, acknowledgeScript, keys, [raw, end.note ?? '', end.reply?.raw ?? ''])
}

/** Moves a claimed message that cannot be run to the dead letters. Returns its id there. */
export async function putAsideMessage(
  lease: Lease,
  raw: string,
  why: { reason: Reason; detail: string },
): Promise<string> {
  const keys = [lease.agent.lease, lease.agent.inFlight, lease.town.deadLetters]
  const args = [raw, lease.agentId, lease.agentName, why.reason, why.detail]
  const [, id = ''] = await runLeased(lease, putAsideScript, keys, args)
  return id
}
