import type { Id } from './ids.ts'

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

/**
 * An agent as its record says. Times are RFC 3339 texts. The last group are this worker's extra fields; upstream keeps
 * them when it rewrites a record.
 */
export interface Agent {
  readonly id: Id
  readonly name: string
  readonly nickname?: string
  readonly roleId?: string
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
  readonly lastError?: string
}

/** Reads a state word; an unknown one counts as `starting`, as upstream reads it. */
export function readAgentState(word: string | undefined): AgentState {
  return AGENT_STATES.find((state) => state === word) ?? 'starting'
}
