import { formatDuration } from '../base/duration.ts'
import { oneLine } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Outcome, Reason, RunFacts } from '../domain/outcome.ts'
import { type HoldReason, isLimit, type RetryRules, retryVerdict } from '../reliability/retry-policy.ts'

/** What is written when a run is over. */
export type Decision =
  | {
      readonly kind: 'settle'
      readonly state: 'completed' | 'failed' | 'cancelled'
      readonly result: string
      readonly truncated: boolean
      readonly reason?: Reason
      readonly facts: RunFacts
      /** Why the message is kept in the dead letters. */
      readonly bury?: string
      /** One line for the event. */
      readonly eventMessage: string
      /** One line for the activity list, in upstream's words. */
      readonly activity: string
    }
  /** It waits for its next attempt. `otherwise` is its end where somebody else has the task by now. */
  | {
      readonly kind: 'retry'
      readonly delayMs: number
      readonly reason: Reason
      readonly facts: RunFacts
      readonly eventMessage: string
      readonly activity: string
      readonly otherwise: Extract<Decision, { kind: 'settle' }>
    }
  /** The surroundings are broken: the task goes back uncounted and the agent says `error`. */
  | {
      readonly kind: 'hold'
      readonly reason: HoldReason
      readonly detail: string
      /** When it is worth another look, in milliseconds since 1970. */
      readonly until?: number
      readonly sessionId?: string
    }
  /** The surroundings are broken, and a task that runs at most once has failed of it: the agent says `error`. */
  | {
      readonly kind: 'fail-and-hold'
      readonly end: Extract<Decision, { kind: 'settle' }>
      readonly hold: Extract<Decision, { kind: 'hold' }>
    }
  /** The worker ends: the task goes back uncounted. */
  | { readonly kind: 'give-back'; readonly sessionId?: string }
  /** Somebody else has the lease: nothing may be written. */
  | { readonly kind: 'leave-alone' }

/** Decides what to write, from how the run ended. */
export function decide(outcome: Outcome, rules: RetryRules): Decision {
  switch (outcome.kind) {
    case 'completed': {
      const took = formatDuration(outcome.facts.durationMs)
      const words = { eventMessage: oneLine(outcome.result), activity: `✅ completed in ${took}` }
      const { facts, result, truncated } = outcome
      return { kind: 'settle', state: 'completed', result, truncated, facts, ...words }
    }
    case 'failed':
      return decideFailed(outcome, rules)
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
      const { reason, facts } = outcome
      if (reason === 'lease-lost') return { kind: 'leave-alone' }
      if (rules.atMostOnce) return failure({ reason, detail: ENDED_AT_MOST_ONCE, facts })
      return { kind: 'give-back', ...(facts.sessionId ? { sessionId: facts.sessionId } : {}) }
    }
    default:
      return unreachable(outcome)
  }
}

const ENDED_AT_MOST_ONCE =
  'The worker ended in the middle of the run; at most once means that it is not run again'

function decideFailed(
  { reason, detail, facts, resetsAt, final }: Extract<Outcome, { kind: 'failed' }>,
  rules: RetryRules,
): Decision {
  if (final) return failure({ reason, detail, facts })
  const verdict = retryVerdict(reason, rules)
  if (verdict.kind === 'hold') {
    const until = resetsAt !== undefined && isLimit(reason) ? { until: resetsAt } : {}
    const session = facts.sessionId ? { sessionId: facts.sessionId } : {}
    const words = `${reason}: ${detail}`
    const hold = { kind: 'hold', reason: verdict.reason, detail: words, ...until, ...session } as const
    return rules.atMostOnce ? { kind: 'fail-and-hold', end: failure({ reason, detail, facts }), hold } : hold
  }
  const end = failure({ reason, detail, facts })
  if (verdict.kind === 'final') return end
  const { delayMs } = verdict
  const again = `attempt ${rules.attempt} of ${rules.maxAttempts}, again in ${formatDuration(delayMs)}`
  return {
    kind: 'retry',
    delayMs,
    reason,
    facts,
    eventMessage: `${reason}: ${oneLine(detail)} (${again})`,
    activity: `🔁 ${reason}, again in ${formatDuration(delayMs)}`,
    otherwise: end,
  }
}

/** The end of a run that failed for good. */
function failure({
  reason,
  detail,
  facts,
}: Pick<Extract<Outcome, { kind: 'failed' }>, 'reason' | 'detail' | 'facts'>): Extract<
  Decision,
  { kind: 'settle' }
> {
  return {
    kind: 'settle',
    state: 'failed',
    result: detail,
    truncated: false,
    reason,
    facts,
    bury: detail,
    eventMessage: `${reason}: ${oneLine(detail)}`,
    activity: `❌ failed: ${oneLine(detail, 100)}`,
  }
}
