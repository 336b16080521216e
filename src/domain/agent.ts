import type { Delivery } from './delivery.ts'
import { type Id, newId } from './ids.ts'

/** The states of an agent. `cold` is read, never written. An unknown word is read as `starting` (Tinytown, channel.rs). */
export const AGENT_STATES = [
  'cold',
  'starting',
  'idle',
  'working',
  'paused',
  'draining',
  'stopped',
  'error',
] as const
export type AgentState = (typeof AGENT_STATES)[number]

/** States that `tt` takes as the end of an agent. */
export const TERMINAL_AGENT_STATES: readonly AgentState[] = ['stopped', 'error', 'cold']

/** Whether a worker gives its CLI tasks: `open` = none, as different ones failed in a row; `half-open` = one, to see. */
export const CIRCUIT_STATES = ['closed', 'open', 'half-open'] as const
export type CircuitState = (typeof CIRCUIT_STATES)[number]

/** What an agent is, and how it came to be, in the words of upstream (Tinytown, agent.rs). */
export const AGENT_TYPES = ['worker', 'supervisor'] as const
export type AgentType = (typeof AGENT_TYPES)[number]
export const SPAWN_MODES = ['fresh', 'forkedcontext', 'resumed'] as const
export type SpawnMode = (typeof SPAWN_MODES)[number]

/**
 * An agent as its record says. Times are RFC 3339 texts. The last group are this worker's extra fields; upstream keeps
 * them when it rewrites a record.
 */
export interface Agent {
  readonly id: Id
  readonly name: string
  readonly nickname?: string
  readonly roleId?: string
  readonly agentType?: AgentType
  readonly spawnMode?: SpawnMode
  readonly parentAgentId?: Id
  readonly state: AgentState
  readonly cli: string
  readonly currentTask?: Id
  readonly createdAt: string
  readonly lastHeartbeat: string
  readonly lastActiveAt: string
  readonly tasksCompleted: number
  readonly roundsCompleted: number
  readonly host?: string
  readonly pid?: number
  readonly workerVersion?: string
  readonly circuit?: CircuitState
  readonly delivery?: Delivery
  readonly lastError?: string
  /** Until when it waits for the end of a model server's limit. RFC 3339. */
  readonly parkedUntil?: string
}

/** Reads a state word; an unknown one counts as `starting`, as upstream reads it. */
export function readAgentState(word: string | undefined): AgentState {
  return AGENT_STATES.find((state) => state === word) ?? 'starting'
}

/** What is needed to make an agent's record; the rest is filled in. */
export interface NewAgent {
  readonly name: string
  readonly cli: string
  readonly nickname?: string
  readonly roleId?: string
  readonly parentAgentId?: Id
  /** RFC 3339. Without it the time of this machine. */
  readonly createdAt?: string
}

/** Makes an agent with a new id, in the state `starting`. It stands in no town before its record is written. */
export function newAgent({ createdAt = new Date().toISOString(), ...from }: NewAgent): Agent {
  return {
    id: newId(),
    agentType: 'worker',
    spawnMode: 'fresh',
    state: 'starting',
    ...from,
    createdAt,
    lastHeartbeat: createdAt,
    lastActiveAt: createdAt,
    tasksCompleted: 0,
    roundsCompleted: 0,
  }
}
