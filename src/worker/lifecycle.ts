import { unreachable } from '../base/unreachable.ts'
import type { AgentState } from '../domain/agent.ts'
import type { Id } from '../domain/ids.ts'
import type { Emit } from '../domain/worker-event.ts'

/** What the worker does now; each phase owns its data. */
export type Phase =
  | { readonly name: 'starting' }
  | { readonly name: 'idle' }
  | { readonly name: 'paused' }
  /** `cancel` ends the run because somebody cancelled the task. */
  | {
      readonly name: 'working'
      readonly taskId: Id
      readonly startId: string
      readonly cancel: AbortController
      /** The run is over, and what it came to is no result that could be lost. */
      readonly isOver?: true
    }
  /** The CLI or its folder is missing: found by a look before the claim, or only by the start of a run. */
  | { readonly name: 'broken'; readonly by: 'look' | 'start'; readonly tries: number }
  /** The circuit is open: the CLI is there and fails. */
  | { readonly name: 'broken'; readonly by: 'circuit' }
  | { readonly name: 'stopped' }

/** The word for a phase in the agent's record. */
export function agentStateOf(phase: Phase): AgentState {
  switch (phase.name) {
    case 'starting':
    case 'idle':
    case 'paused':
    case 'working':
    case 'stopped':
      return phase.name
    case 'broken':
      return 'error'
    default:
      return unreachable(phase)
  }
}

/** Holds the phase and tells every change of it. */
export class Lifecycle {
  readonly #emit: Emit
  #phase: Phase = { name: 'starting' }

  constructor(emit: Emit) {
    this.#emit = emit
  }

  get phase(): Phase {
    return this.#phase
  }

  enter(phase: Phase, why?: string): void {
    const [from, to] = [agentStateOf(this.#phase), agentStateOf(phase)]
    this.#phase = phase
    if (from !== to) this.#emit({ type: 'state', from, to, ...(why ? { why } : {}) })
  }
}
