import { unreachable } from '../base/unreachable.ts'
import type { ResultPart } from './result.ts'

/** Why a run did not complete: one word, the same in the record, the event, the log and the metric. */
export const REASONS = [
  'exit',
  'no-final-answer',
  'crashed',
  'timeout',
  'stalled',
  'output-limit',
  'not-installed',
  'auth',
  'quota',
  'rate-limit',
  'overloaded',
  'unreachable',
  'context-too-long',
  'session-lost',
  'permission-denied',
  'cancelled',
  'bad-task',
  'config',
  'shutdown',
] as const
export type Reason = (typeof REASONS)[number]

/** The reasons that a CLI itself gives, in what it says or by its exit code. */
export const TOLD_REASONS = [
  'auth',
  'quota',
  'rate-limit',
  'overloaded',
  'unreachable',
  'context-too-long',
  'session-lost',
  'permission-denied',
  'not-installed',
  'config',
  'bad-task',
] as const satisfies readonly Reason[]
export type ToldReason = (typeof TOLD_REASONS)[number]

/** Tokens and money of one run; a field is absent when the CLI does not tell. */
export interface Usage {
  /** All input tokens, cached ones included. */
  readonly inputTokens?: number
  readonly cachedInputTokens?: number
  readonly outputTokens?: number
  readonly costUsd?: number
}

/** What is told of every run, however it ended. */
export interface RunFacts extends Usage {
  readonly sessionId?: string
  readonly toolCalls: number
  readonly durationMs: number
  readonly exitCode?: number
  readonly signal?: string
}

/** How a run ended. `held` = the surroundings are broken and the task did not really run: it stays queued. */
export type Outcome =
  | {
      readonly kind: 'completed'
      readonly result: string
      /** A part of the result is not there. */
      readonly truncated: boolean
      /** Which part of a long result counts; the beginning when absent. */
      readonly part?: ResultPart
      readonly facts: RunFacts
    }
  | {
      readonly kind: 'failed'
      readonly reason: Reason
      readonly detail: string
      readonly facts: RunFacts
      /** When the limit that it ran into is over, in milliseconds since 1970, where the CLI tells it. */
      readonly resetsAt?: number
      /** Another run would end in the same way, whatever the reason. */
      readonly final?: boolean
    }
  | { readonly kind: 'cancelled'; readonly facts: RunFacts }
  | { readonly kind: 'held'; readonly reason: 'not-installed' | 'config'; readonly detail: string }
  | { readonly kind: 'released'; readonly reason: 'shutdown' | 'lease-lost'; readonly facts: RunFacts }

/** The same end without secrets in what it says. */
export function redactOutcome(outcome: Outcome, redact: (text: string) => string): Outcome {
  switch (outcome.kind) {
    case 'completed':
      return { ...outcome, result: redact(outcome.result) }
    case 'failed':
    case 'held':
      return { ...outcome, detail: redact(outcome.detail) }
    case 'cancelled':
    case 'released':
      return outcome
    default:
      return unreachable(outcome)
  }
}
