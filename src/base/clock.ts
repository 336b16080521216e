import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds of a clock that only goes forward; for durations, never for dates. */
export function monotonicMs(): number {
  return performance.now()
}

/** Waits `ms` milliseconds or until `signal` aborts, whichever comes first; never throws. Returns true when it waited in full. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted) return false
  try {
    await delay(ms, undefined, signal ? { signal } : {})
    return true
  } catch {
    return false
  }
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
