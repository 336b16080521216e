import type { Redis } from 'ioredis'
import { AGENT_STATES, type AgentState, readAgentState, TERMINAL_AGENT_STATES } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import type { Id } from '../domain/ids.ts'
import type { TownKeys } from './keys.ts'
import { runScript, texts } from './script.ts'
import { steer as steerScript } from './scripts/steer.ts'

/** `tt kill` lets its stop flag live as long (Tinytown, channel.rs). */
const STOP_FLAG_SECONDS = 3600

/** What applies to an agent, depending on whether a worker is alive. */
interface Rule {
  readonly refusedIn: readonly AgentState[]
  readonly state: AgentState
  readonly event: 'agent_state_changed' | 'agent_stopped' | 'agent_interrupted' | 'agent_resumed'
}

/** One of the things that an agent can be asked for. Texts and refusals are those of Tinytown (services/agents.rs). */
interface Order {
  readonly live: Rule
  readonly dead: Rule
  readonly stopFlag: number | ''
  readonly message: string
  readonly activity: string
}

const STOPPED = { refusedIn: TERMINAL_AGENT_STATES, state: 'stopped', event: 'agent_stopped' } as const
const PAUSED = { refusedIn: TERMINAL_AGENT_STATES, state: 'paused', event: 'agent_interrupted' } as const
const RESUMED = {
  refusedIn: AGENT_STATES.filter((state) => state !== 'paused'),
  state: 'idle',
  event: 'agent_resumed',
} as const

const STOP: Order = {
  live: { refusedIn: [], state: 'draining', event: 'agent_state_changed' },
  dead: { ...STOPPED, refusedIn: ['stopped', 'cold'] },
  stopFlag: STOP_FLAG_SECONDS,
  message: 'stop requested',
  activity: '🛑 Stop requested',
}
const CLOSE: Order = {
  live: { ...STOPPED, state: 'draining' },
  dead: STOPPED,
  stopFlag: STOP_FLAG_SECONDS,
  message: 'Agent closing (draining then stop)',
  activity: '🔻 Closing (draining then stop)',
}
const INTERRUPT: Order = {
  live: PAUSED,
  dead: PAUSED,
  stopFlag: '',
  message: 'Agent interrupted (paused)',
  activity: '⏸️ Interrupted (paused)',
}
const RESUME: Order = {
  live: RESUMED,
  dead: RESUMED,
  stopFlag: 0,
  message: 'Agent resumed',
  activity: '▶️ Resumed',
}

/** It stays in error until its worker has looked; the state is also the word that wakes it. Without a worker nobody looks. */
const LOOK: Order = {
  live: {
    refusedIn: AGENT_STATES.filter((state) => state !== 'error'),
    state: 'error',
    event: 'agent_state_changed',
  },
  dead: { refusedIn: AGENT_STATES, state: 'error', event: 'agent_state_changed' },
  stopFlag: 0,
  message: 'Agent asked to look again',
  activity: '▶️ Asked to look again',
}

/** What asking an agent came to. `refused`: its state does not allow it. */
export type Steered =
  | { readonly kind: 'done'; readonly before: AgentState; readonly state: AgentState }
  | { readonly kind: 'refused'; readonly state: AgentState }

/** Asks an agent to take nothing more until it is resumed; its run goes on. Throws `not-found` when its record is gone. */
export function interruptAgent(redis: Redis, town: TownKeys, id: Id): Promise<Steered> {
  return steer(redis, town, id, INTERRUPT)
}

/**
 * Lets a paused agent go on, and has one in error look at once whether it can. Throws `not-found` when its record is gone.
 */
export async function resumeAgent(redis: Redis, town: TownKeys, id: Id): Promise<Steered> {
  const answer = await steer(redis, town, id, RESUME)
  const isBroken = answer.kind === 'refused' && answer.state === 'error'
  return isBroken ? await steer(redis, town, id, LOOK) : answer
}

/**
 * Asks an agent to finish its run and stop, unless it is at its end. Without a live worker it is stopped at once. Throws
 * `not-found` when its record is gone.
 */
export function closeAgent(redis: Redis, town: TownKeys, id: Id): Promise<Steered> {
  return steer(redis, town, id, CLOSE)
}

/**
 * What asking an agent to stop came to. `draining`: a live worker finishes its run first. `stopped`: no worker was there, so the
 * record says it at once. `ended`: it had stopped before.
 */
export type StopAnswer = 'draining' | 'stopped' | 'ended'

/** Asks an agent to stop, in whatever state it is. Throws `not-found` when its record is gone. */
export async function requestStop(redis: Redis, town: TownKeys, id: Id): Promise<StopAnswer> {
  return stopAnswer(await steer(redis, town, id, STOP))
}

/** The same for what `closeAgent` came to, where it was not refused. */
export function stopAnswer({ kind, state }: Steered): StopAnswer {
  if (kind === 'refused') return 'ended'
  return state === 'draining' ? 'draining' : 'stopped'
}

async function steer(redis: Redis, town: TownKeys, id: Id, order: Order): Promise<Steered> {
  const agent = town.agent(id)
  const keys = [agent.lease, agent.record, agent.stop, agent.activity, town.events, agent.events]
  const rules = [order.live, order.dead].flatMap(({ refusedIn, state, event }) => [
    refusedIn.join(','),
    state,
    event,
  ])
  const args = [id, order.stopFlag, order.message, order.activity, agent.wake, ...rules]
  const [kind, before, state] = texts(await runScript(redis, steerScript, keys, args))
  if (kind === 'no-agent') {
    throw new WorkerError('not-found', `The agent ${id} is not in town ${town.town} any more`)
  }
  if (kind === 'refused') return { kind, state: readAgentState(before) }
  return { kind: 'done', before: readAgentState(before), state: readAgentState(state) }
}
