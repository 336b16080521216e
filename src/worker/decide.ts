import { formatDuration } from '../base/duration.ts'
import { oneLine } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Outcome, Reason, RunFacts } from '../domain/outcome.ts'

/** What is written when a run is over. */
export type Decision =
  | {
      readonly kind: 'settle'
      readonly state: 'completed' | 'failed' | 'cancelled'
      readonly result: string
      readonly truncated: boolean
      readonly reason?: Reason
      readonly facts: RunFacts
      /** One line for the event. */
      readonly eventMessage: string
      /** One line for the activity list, in upstream's words. */
      readonly activity: string
    }
  /** The surroundings are broken: the task goes back and the agent says `error`. */
  | { readonly kind: 'hold'; readonly reason: 'not-installed' | 'config'; readonly detail: string }
  /** The worker ends: the task goes back uncounted. */
  | { readonly kind: 'give-back'; readonly sessionId?: string }
  /** Somebody else has the lease: nothing may be written. */
  | { readonly kind: 'leave-alone' }

/** Decides what to write, from how the run ended. */
export function decide(outcome: Outcome): Decision {
  switch (outcome.kind) {
    case 'completed': {
      const took = formatDuration(outcome.facts.durationMs)
      const words = { eventMessage: oneLine(outcome.result), activity: `✅ completed in ${took}` }
      const { facts, result, truncated } = outcome
      return { kind: 'settle', state: 'completed', result, truncated, facts, ...words }
    }
    case 'failed': {
      const { reason, detail, facts } = outcome
      const words = {
        eventMessage: `${reason}: ${oneLine(detail)}`,
        activity: `❌ failed: ${oneLine(detail, 100)}`,
      }
      return { kind: 'settle', state: 'failed', result: detail, truncated: false, reason, facts, ...words }
    }
    case 'cancelled': {
      const words = { eventMessage: 'cancelled', activity: '🚫 cancelled' }
      const { facts } = outcome
      return {
        kind: 'settle',
        state: 'cancelled',
        result: 'Cancelled',
        truncated: false,
        reason: 'cancelled',
        facts,
        ...words,
      }
    }
    case 'held':
      return { kind: 'hold', reason: outcome.reason, detail: outcome.detail }
    case 'released': {
      if (outcome.reason === 'lease-lost') return { kind: 'leave-alone' }
      return { kind: 'give-back', ...(outcome.sessionId ? { sessionId: outcome.sessionId } : {}) }
    }
    default:
      return unreachable(outcome)
  }
}
