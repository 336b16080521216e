import { type Backoff, backoffMs } from '../base/backoff.ts'
import type { Reason } from '../domain/outcome.ts'

/**
 * What becomes of a task whose run failed. `again`: it failed by itself, waits and is run again, and the attempt counts. `hold`: what is around the CLI
 * is broken, so that the task goes back uncounted and the agent says `error`; `park`: the same, until the model server's limit is
 * over. `never`: another run would fail in the same way.
 */
type Class = 'again' | 'hold' | 'park' | 'never'

const CLASSES = {
  exit: 'again',
  'no-final-answer': 'again',
  crashed: 'again',
  timeout: 'again',
  stalled: 'again',
  'output-limit': 'again',
  'session-lost': 'again',
  overloaded: 'again',
  'not-installed': 'hold',
  config: 'hold',
  auth: 'hold',
  unreachable: 'hold',
  quota: 'park',
  'rate-limit': 'park',
  'context-too-long': 'never',
  'permission-denied': 'never',
  'bad-task': 'never',
  cancelled: 'never',
  shutdown: 'never',
} as const satisfies Record<Reason, Class>

/** The reasons for which an agent waits for its surroundings. */
export type HoldReason = { [R in Reason]: (typeof CLASSES)[R] extends 'hold' | 'park' ? R : never }[Reason]

/** How often a task is run, and how long it waits before it is run again. */
export interface RetryRules {
  /** Which attempt just failed, counted from 1. */
  readonly attempt: number
  readonly maxAttempts: number
  /** The wait after the first attempt, in milliseconds; it doubles up to five minutes. */
  readonly firstMs: number
  /** A run that was started is the only one. */
  readonly atMostOnce?: boolean
}

export type RetryVerdict =
  | { readonly kind: 'again'; readonly delayMs: number }
  | { readonly kind: 'hold'; readonly reason: HoldReason }
  | { readonly kind: 'final' }

const LONGEST_MS = 5 * 60_000

/** Says what becomes of a task whose run failed for a reason. */
export function retryVerdict(reason: Reason, rules: RetryRules, random?: () => number): RetryVerdict {
  if (isHoldReason(reason)) return { kind: 'hold', reason }
  const isLast = rules.atMostOnce || rules.attempt >= rules.maxAttempts
  if (CLASSES[reason] === 'never' || isLast) return { kind: 'final' }
  const backoff: Backoff = { firstMs: rules.firstMs, factor: 2, maxMs: LONGEST_MS, jitter: 0.2 }
  return { kind: 'again', delayMs: backoffMs(backoff, rules.attempt, random) }
}

/** Whether it was the run that failed: not what is around the CLI, and not for what the task is. */
export function failsByItself(reason: Reason): boolean {
  return CLASSES[reason] === 'again'
}

/** Whether it is a limit, which is over at some time, and not something that somebody has to mend. */
export function isLimit(reason: Reason): boolean {
  return CLASSES[reason] === 'park'
}

function isHoldReason(reason: Reason): reason is HoldReason {
  return CLASSES[reason] === 'hold' || CLASSES[reason] === 'park'
}

const PROBE: Backoff = { firstMs: 1000, factor: 2, maxMs: 30_000, jitter: 0.2 }
const PARK: Backoff = { firstMs: 30_000, factor: 2, maxMs: 10 * 60_000, jitter: 0.2 }

/** A limit that is said to end later is looked at once a day: somebody may have lifted it. */
const LONGEST_PARK_MS = 86_400_000

/** How long to wait before the surroundings are looked at again, for the `tries`th time; a limit that tells its end is waited for. */
export function holdMs(
  hold: { readonly reason: HoldReason; readonly until?: number | undefined },
  tries: number,
  now: number = Date.now(),
): number {
  if (hold.until !== undefined && hold.until > now) return Math.min(hold.until - now, LONGEST_PARK_MS)
  return backoffMs(CLASSES[hold.reason] === 'park' ? PARK : PROBE, tries)
}
