import type { Redis } from 'ioredis'
import type { Id } from '../domain/ids.ts'
import type { Task } from '../domain/task.ts'
import type { Claimed } from './inbox.ts'
import { agentKeyParts, type TownKeys } from './keys.ts'
import { pairs, readTask } from './records.ts'
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
  /** Tasks that were run at most once, and have failed now. */
  readonly lost: readonly Id[]
}

/** A run at most once that was lost with its worker, and what this agent had in flight. */
export interface LostRun {
  readonly agentId: Id
  readonly task: Pick<Task, 'id' | 'description' | 'tags'>
  readonly claimed: readonly Claimed[]
}

/** What is written of it. */
export interface LostRunEnd {
  readonly result: string
  /** Of its message, which goes to the dead letters; absent when none of those in flight is. */
  readonly digest?: string
  readonly reply?: { readonly to: Id; readonly raw: string }
}

/**
 * Gives back what a dead agent had in flight; null when it lives, has nothing there any more, or its record is gone. A task that was
 * run at most once ends as `endOf` says.
 */
export async function recoverPeer(
  redis: Redis,
  town: TownKeys,
  agentId: Id,
  endOf: (lost: LostRun) => LostRunEnd,
): Promise<Recovered | null> {
  const agent = town.agent(agentId)
  const own = [agent.lease, agent.inFlight, agent.inbox, agent.record, agent.owner]
  const keys = [...own, town.events, agent.events, agent.delayed, town.deadLetters]
  keys.push(agent.deaths)
  const ends = new Map<Id, object>()
  for (;;) {
    const became = ends.size === 0 ? 'is back in the inbox' : 'at most once has failed'
    const told = [
      `The worker died, its lease ran out; what it had in hand ${became}`,
      `the worker died; what it had in hand ${became}`,
    ]
    const args = [agentId, town.taskPrefix, ...told, JSON.stringify(Object.fromEntries(ends))]
    const reply = texts(await runScript(redis, recoverScript, keys, args))
    const [kind, first = '', name = ''] = reply
    if (kind === 'ok') return { agentId, name, messages: Number(first), lost: [...ends.keys()] }
    if (kind !== 'lost-run') return null
    const { result, digest, reply: answer } = endOf(readLostRun(agentId, reply))
    const letter = answer && { inbox: town.agent(answer.to).inbox, answer: answer.raw }
    ends.set(first, { result, digest, ...letter })
  }
}

function readLostRun(agentId: Id, [, taskId = '', count = '0', ...rest]: readonly string[]): LostRun {
  const task = readTask(pairs(rest.slice(0, Number(count)))) ?? { description: '', tags: [] }
  const claimed: Claimed[] = []
  for (let at = Number(count); at < rest.length; at += 2)
    claimed.push({ raw: rest[at] ?? '', digest: rest[at + 1] ?? '' })
  return { agentId, task: { ...task, id: taskId }, claimed }
}
