import {
  type CircuitBreakerPolicy,
  CircuitState as Cockatiel,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhenResult,
  type IBackoff,
  type IHalfOpenAfterBackoffContext,
} from 'cockatiel'
import { type Backoff, backoffMs } from '../base/backoff.ts'
import { monotonicMs } from '../base/clock.ts'
import { type Deferred, deferred } from '../base/deferred.ts'
import type { CircuitState } from '../domain/agent.ts'
import type { Id } from '../domain/ids.ts'
import type { Reason } from '../domain/outcome.ts'
import { failsByItself } from './retry-policy.ts'

/** How the run of a task ended: without `failure` it completed. */
export interface RunEnd {
  readonly taskId: Id
  readonly failure?: { readonly reason: Reason; readonly detail: string }
}

export interface CircuitRules {
  /** So many different tasks that fail one after another open the circuit; 0: it stays closed. */
  readonly failures: number
  /** How long it is open at first, in milliseconds; it doubles with every probe that fails, up to ten minutes. */
  readonly firstMs: number
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: () => number
  readonly random?: () => number
}

const LONGEST_MS = 10 * 60_000

const WORDS = {
  [Cockatiel.Closed]: 'closed',
  [Cockatiel.Open]: 'open',
  [Cockatiel.HalfOpen]: 'half-open',
  [Cockatiel.Isolated]: 'open',
} as const satisfies Record<Cockatiel, CircuitState>

/**
 * Says whether a CLI is worth another task. Closed: it is. Open: different tasks failed by themselves one after another, so that it
 * is the CLI that fails; nothing is to be claimed for `waitMs`. Half-open: the next task that completes closes it, the next that fails
 * by itself opens it for longer. What says nothing of the CLI (a bad task, a cancel) changes nothing.
 */
export class Circuit {
  readonly #rules: CircuitRules
  readonly #backoff: Backoff
  readonly #policy: CircuitBreakerPolicy
  readonly #failed = new Set<Id>()
  #last: RunEnd['failure']
  #dueAt = Number.NEGATIVE_INFINITY
  /** What the half-open circuit waits for. */
  #probe: { readonly completed: Deferred<boolean>; readonly over: Promise<unknown> } | null = null

  constructor(rules: CircuitRules) {
    this.#rules = rules
    this.#backoff = { firstMs: rules.firstMs, factor: 2, maxMs: LONGEST_MS, jitter: 0.2 }
    this.#policy = circuitBreaker(
      handleWhenResult((completed) => completed === false),
      {
        breaker: new ConsecutiveBreaker(rules.failures),
        halfOpenAfter: { next: ({ attempt }) => this.#openFor(attempt) },
      },
    )
  }

  get state(): CircuitState {
    return WORDS[this.#policy.state]
  }

  /** How long nothing is to be claimed, in milliseconds; 0 when a task may be. */
  get waitMs(): number {
    return this.state === 'open' ? Math.max(0, Math.ceil(this.#dueAt - this.#now())) : 0
  }

  /** How many different tasks failed since the last one that completed, and how the last run of them failed. */
  get row(): { readonly failures: number; readonly last: RunEnd['failure'] } {
    return { failures: this.#failed.size, last: this.#last }
  }

  /** Half-opens a circuit that was open for long enough; true when it did. */
  halfOpen(): boolean {
    if (this.state !== 'open' || this.waitMs > 0) return false
    const completed = deferred<boolean>()
    this.#probe = { completed, over: this.#policy.execute(() => completed.promise) }
    return true
  }

  /** Has an open circuit wait no longer: somebody has mended the CLI, or wants to see. */
  stopWaiting(): void {
    this.#dueAt = Math.min(this.#dueAt, this.#now())
  }

  /** Takes in how a run ended. */
  async record({ taskId, failure }: RunEnd): Promise<void> {
    if (this.#rules.failures === 0 || (failure && !failsByItself(failure.reason))) return
    const known = this.#failed.has(taskId)
    if (failure) this.#failed.add(taskId)
    else this.#failed.clear()
    this.#last = failure
    // A task that fails again and again is bad by itself, as long as others do not fail.
    if (failure && known && this.#probe === null) return
    await this.#tell(failure === undefined)
  }

  async #tell(completed: boolean): Promise<void> {
    const probe = this.#probe
    if (probe === null) {
      await this.#policy.execute(() => completed)
      return
    }
    probe.completed.resolve(completed)
    await probe.over
    this.#probe = null
  }

  /** cockatiel compares times of a clock that somebody may set; what it compares with is made of one that only goes forward. */
  #openFor(attempt: number): IBackoff<IHalfOpenAfterBackoffContext> {
    this.#dueAt = this.#now() + backoffMs(this.#backoff, attempt, this.#rules.random)
    const isDue = () => this.#now() >= this.#dueAt
    return {
      get duration() {
        return isDue() ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
      },
      next: (context) => this.#openFor(context.attempt),
    }
  }

  #now(): number {
    return (this.#rules.now ?? monotonicMs)()
  }
}
