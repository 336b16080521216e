import type { Redis } from 'ioredis'
import { type AgentState, readAgentState } from '../domain/agent.ts'
import type { Id } from '../domain/ids.ts'
import { readTaskState, type TaskState } from '../domain/task.ts'
import type { AgentKeys, TownKeys } from './keys.ts'
import { runScript, type Script, texts } from './script.ts'
import { pulse as pulseScript } from './scripts/pulse.ts'

/** The right to write in an agent's name: every script of the worker checks the token first. */
export interface Lease {
  readonly redis: Redis
  readonly town: TownKeys
  readonly agent: AgentKeys
  readonly agentId: Id
  readonly agentName: string
  readonly token: string
  /** Which registration of the agent this is, counted from 1. */
  readonly registration: number
  readonly leaseMs: number
  /** The receipt that this registration left last ('' = none yet): where Redis has another one, it lost data. */
  readonly left: { receipt: string }
}

/** Somebody else registered under this name: nothing may be written any more, the child must end. */
export class LeaseLost extends Error {
  constructor() {
    super('The lease of this agent is lost')
    this.name = 'LeaseLost'
  }
}

/**
 * The registration is gone and has to be made again: Redis lost its data, or read an old snapshot, so that there is nothing left to
 * settle; or somebody pruned the agent while it stood in `error`; or a peer took its worker for dead and gave back what it had in hand.
 */
export class Forgotten extends Error {
  readonly why: 'data-lost' | 'pruned' | 'recovered'

  constructor(why: Forgotten['why'] = 'data-lost') {
    super('Redis does not know this agent any more')
    this.name = 'Forgotten'
    this.why = why
  }
}

/**
 * Runs a script in the agent's name and returns its reply as texts. A lease that only ran out (Redis was away for longer) is
 * taken again first. Throws `LeaseLost` when another worker has taken it, `Forgotten` when Redis lost its data or a peer has recovered it.
 */
export async function runLeased(
  lease: Lease,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<string[]> {
  const run = async () => texts(await runScript(lease.redis, script, keys, [lease.token, ...args]))
  const reply = await run()
  if (reply[0] !== 'lost') return reply
  await pulse(lease, { state: 'idle', taskId: null, alive: false })
  const again = await run()
  if (again[0] === 'lost') throw new LeaseLost()
  return again
}

/** How many messages are in the two lists of an agent. */
export interface Waiting {
  readonly urgent: number
  readonly inbox: number
}

export type Pulse =
  | {
      readonly kind: 'ok'
      readonly state: AgentState
      readonly stopRequested: boolean
      readonly task: TaskState | null
      /** How many messages wait. */
      readonly waiting: Waiting
    }
  | { readonly kind: 'evicted' }

/** What a pulse says: the state to assert, the task in hand, and whether to write the sign of life. */
export interface Beat {
  readonly state: AgentState
  readonly taskId: Id | null
  /** Of the run in hand: once it is settled, the state is not asserted any more. */
  readonly startId?: string
  readonly alive: boolean
}

/** Renews the lease and tells what others wrote. `alive` also writes the sign of life. Throws `LeaseLost` and `Forgotten`. */
export async function pulse(lease: Lease, beat: Beat): Promise<Pulse> {
  const { agent } = lease
  const task = beat.taskId ? lease.town.task(beat.taskId) : agent.record
  const keys = [
    agent.lease,
    agent.record,
    agent.stop,
    task,
    agent.owner,
    agent.urgent,
    agent.inbox,
    agent.receipt,
    agent.spareUrgent,
    agent.spareInbox,
  ]
  const args = [
    lease.token,
    lease.leaseMs,
    beat.state,
    beat.alive ? '1' : '0',
    lease.registration,
    beat.startId ?? '',
    lease.agentId,
  ]
  const reply = texts(await runScript(lease.redis, pulseScript, keys, args))
  const [kind, state, stopping, taskState, urgent, inbox] = reply
  if (kind === 'lost') throw new LeaseLost()
  if (kind === 'forgotten') throw new Forgotten()
  if (kind === 'recovered') throw new Forgotten('recovered')
  if (kind === 'evicted') return { kind }
  return {
    kind: 'ok',
    state: readAgentState(state),
    stopRequested: stopping === '1' || state === 'draining',
    task: taskState ? readTaskState(taskState) : null,
    waiting: { urgent: Number(urgent), inbox: Number(inbox) },
  }
}
