/** An exponential backoff: the first wait, the factor, the longest wait, and how much of it is random. */
export interface Backoff {
  readonly firstMs: number
  readonly factor: number
  readonly maxMs: number
  /** 0 = none, 0.5 = the wait lies between half of it and all of it. */
  readonly jitter: number
}

/**
 * The wait in milliseconds before try `attempt` (1 = the first repetition). With jitter it is drawn between
 * `(1 - jitter)` of the full wait and the full wait, so it is never longer than `maxMs`.
 */
export function backoffMs(backoff: Backoff, attempt: number, random: () => number = Math.random): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * backoff.factor ** Math.max(0, attempt - 1))
  return Math.round(full * (1 - backoff.jitter * random()))
}
