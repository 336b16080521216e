import type { Redis } from 'ioredis'
import type { Id } from '../domain/ids.ts'
import { agentKeyParts, type TownKeys } from './keys.ts'
import { runScript, texts } from './script.ts'
import { lookAfter as lookAfterScript } from './scripts/look-after.ts'
import { recover as recoverScript } from './scripts/recover.ts'

/**
 * How long a worker whose lease ran out may stay silent with something in flight before its peers take it for dead: longer than a
 * client needs to find a Redis again that was away (2 s).
 */
const GRACE_MS = 2500
/** The town is looked through once in so long, however many workers ask. */
const TURN_MS = 500

/** What a look at the town found: dead agents, and when to look again because of one that is silent; null = none is. */
export interface PeerLook {
  readonly dead: readonly Id[]
  readonly againMs: number | null
}

/** Looks which agents have something in flight and no live worker for longer than the grace. */
export async function lookAtPeers(
  redis: Redis,
  town: TownKeys,
  { graceMs = GRACE_MS, turnMs = TURN_MS }: { graceMs?: number; turnMs?: number } = {},
): Promise<PeerLook> {
  const parts = [...agentKeyParts(town, 'lease'), ...agentKeyParts(town, 'inFlight'), town.agentPrefix]
  const reply = await runScript(
    redis,
    lookAfterScript,
    [town.seen, town.watched],
    [...parts, graceMs, turnMs, ...agentKeyParts(town, 'delayed')],
  )
  const [againMs, ...dead] = texts(reply)
  return { dead, againMs: againMs ? Number(againMs) : null }
}

/** A dead agent whose messages are back in its inbox. */
export interface Recovered {
  readonly agentId: Id
  readonly name: string
  readonly messages: number
}

/** Gives back what a dead agent had in flight; null when it lives, has nothing there any more, or its record is gone. */
export async function recoverPeer(redis: Redis, town: TownKeys, agentId: Id): Promise<Recovered | null> {
  const agent = town.agent(agentId)
  const own = [agent.lease, agent.inFlight, agent.inbox, agent.record, agent.owner]
  const told = [
    'The worker died, its lease ran out; what it had in hand is back in the inbox',
    'the worker died; what it had in hand is back in the inbox',
  ]
  const reply = await runScript(
    redis,
    recoverScript,
    [...own, town.events, agent.events, agent.delayed, agent.deaths],
    [agentId, town.taskPrefix, ...told],
  )
  const [kind, messages, name = ''] = texts(reply)
  return kind === 'ok' ? { agentId, name, messages: Number(messages) } : null
}
