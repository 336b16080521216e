import type { Redis } from 'ioredis'
import { type Id, SUPERVISOR_ID } from '../domain/ids.ts'
import type { Reason } from '../domain/outcome.ts'
import { Forgotten, type Lease, runLeased } from './lease.ts'
import { acknowledge as acknowledgeScript } from './scripts/acknowledge.ts'
import { claim as claimScript } from './scripts/claim.ts'
import { pluck as pluckScript } from './scripts/pluck.ts'
import { putAside as putAsideScript } from './scripts/put-aside.ts'
import { clientId, unblock } from './unblock.ts'

/** A claimed message: its text, and the digest of its bytes, by which it is known from now on. */
export interface Claimed {
  readonly raw: string
  readonly digest: string
}

/** With a message with which so many workers died there is something wrong. */
const POISON_DEATHS = 5

/** A message in flight that is not handed over any more. */
export interface Poison {
  readonly digest: string
  /** How many workers died with it in hand. */
  readonly deaths: number
}

/**
 * What a claim found. `poison`: it is to be put aside. `evicted`: somebody deleted the agent's record. `restarted`: the rounds in the
 * record are 0 again and nothing else is lost, so that another worker runs for this agent.
 */
export type Claim =
  | ({ readonly kind: 'message'; readonly rounds: number } & Claimed)
  | { readonly kind: 'empty'; readonly rounds: number; readonly delayed: number }
  | ({ readonly kind: 'poison' } & Poison)
  | { readonly kind: 'paused' | 'stopping' | 'evicted' | 'restarted' }

/**
 * Takes the next message into the in-flight list, or says why not; `delayed` is how many wait for their next attempt. `roundsBefore` is what the record said of the rounds at the claim
 * before; `due` says where in the inbox goes what has waited for it long enough. Throws `LeaseLost`, and `Forgotten` where Redis lost data.
 */
export async function claimMessage(
  lease: Lease,
  roundsBefore = 0,
  due: 'head' | 'tail' = 'head',
): Promise<Claim> {
  const { agent } = lease
  const lists = [agent.lease, agent.inFlight, agent.urgent, agent.inbox]
  const keys = [...lists, agent.record, agent.stop, agent.delayed, agent.deaths, agent.receipt]
  const args = [lease.agentId, roundsBefore, due, POISON_DEATHS, lease.left.receipt]
  const [kind, rounds, raw = '', digest = ''] = await runLeased(lease, claimScript, keys, args)
  if (kind === 'message') return { kind, rounds: Number(rounds), raw, digest }
  if (kind === 'empty') return { kind, rounds: Number(rounds), delayed: Number(raw) }
  if (kind === 'forgotten') throw new Forgotten()
  if (kind === 'poison') return { kind, deaths: Number(rounds), digest: raw }
  return { kind: kind as Exclude<Claim['kind'], 'message' | 'empty' | 'poison'> }
}

/** A message to be answered is short; a longer one is not read to find out. */
const LONGEST_PLUCKED = 4096

/**
 * Takes a message of one of `types` past those that wait before it, into the in-flight list; null when there is none among the
 * first of both lists and the last `tail` of the inbox. Throws `LeaseLost`.
 */
export async function pluckMessage(
  lease: Lease,
  types: readonly string[],
  { head, tail }: { head: number; tail: number },
): Promise<Claimed | null> {
  const { agent } = lease
  const keys = [agent.lease, agent.inFlight, agent.urgent, agent.inbox]
  const args = [types.join(','), head, tail, LONGEST_PLUCKED]
  const [kind, raw = '', digest = ''] = await runLeased(lease, pluckScript, keys, args)
  return kind === 'message' ? { raw, digest } : null
}

/**
 * Waits until the inbox has a message, at most `seconds` or until one of the signals aborts, on a connection of its own. What comes is in flight then and
 * the next claim hands it over, also when the reply of this wait is lost. A user who may not ask for CLIENT ID waits to the end.
 */
export async function waitForMessage(
  blocking: Redis,
  lease: Lease,
  seconds: number,
  ...signals: readonly AbortSignal[]
): Promise<boolean> {
  if (signals.some(({ aborted }) => aborted)) return false
  const { inbox, inFlight } = lease.agent
  const id = clientId(blocking)
  const waited = blocking.blmove(inbox, inFlight, 'LEFT', 'RIGHT', seconds)
  // Unblocking by id gets a definite answer; closing the connection would leave open whether a message was moved.
  const onAbort = async () => await unblock(lease.redis, await id)
  for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true })
  try {
    return (await waited) !== null
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', onAbort)
    await id
  }
}

/**
 * `gone`: the message was in flight no more. `duplicate`: one with its id, which is remembered, was handled before. `no-notes`: nothing was
 * written, as there is something else where the notes belong.
 */
export type Acknowledged =
  /** `forgotten`: how many older notes had to go, as too many wait. */
  | { readonly kind: 'ok'; readonly forgotten: number }
  | { readonly kind: 'gone' | 'duplicate' }
  | { readonly kind: 'no-notes'; readonly type: string }

/** Ends a claimed message without a run: keeps a note for the next prompt, or pushes an answer, or only drops it. */
export async function acknowledgeMessage(
  lease: Lease,
  { digest }: Claimed,
  end: { note?: string; reply?: { to: Id; raw: string }; messageId?: Id } = {},
): Promise<Acknowledged> {
  const { agent, town } = lease
  const replyInbox = town.agent(end.reply?.to ?? SUPERVISOR_ID).inbox
  const keys = [agent.lease, agent.inFlight, agent.notes, replyInbox, agent.handled]
  const [kind, found = ''] = await runLeased(lease, acknowledgeScript, keys, [
    digest,
    end.note ?? '',
    end.reply?.raw ?? '',
    end.messageId ?? '',
  ])
  if (kind === 'ok') return { kind, forgotten: Number(found) }
  if (kind === 'no-notes') return { kind, type: found }
  return { kind: kind === 'duplicate' ? kind : 'gone' }
}

/**
 * Moves a claimed message that cannot be run, or with which too many workers died, to the dead letters; a task of it has failed.
 * Returns its id there; null when it was in flight no more.
 */
export async function putAsideMessage(
  lease: Lease,
  { digest }: Pick<Claimed, 'digest'>,
  why: { reason: Reason; detail: string },
): Promise<string | null> {
  const { agent, town } = lease
  const keys = [agent.lease, agent.inFlight, town.deadLetters, agent.deaths, town.events, agent.events]
  const args = [digest, lease.agentId, lease.agentName, why.reason, why.detail, town.taskPrefix]
  const [kind, id = ''] = await runLeased(lease, putAsideScript, keys, args)
  return kind === 'ok' ? id : null
}
