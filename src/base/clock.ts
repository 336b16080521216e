import { performance } from 'node:perf_hooks'

/** Milliseconds of a clock that only goes forward; for durations, never for dates. */
export function monotonicMs(): number {
  return performance.now()
}

/** A timer for longer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Waits `ms` milliseconds or until one of the signals aborts, whichever comes first. Returns true when it waited in full. */
export function sleep(ms: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<boolean> {
  const given = signals.filter((signal) => signal !== undefined)
  if (given.some(({ aborted }) => aborted)) return Promise.resolve(false)
  return new Promise((resolve) => {
    const end = (full: boolean) => {
      clearTimeout(timer)
      for (const signal of given) signal.removeEventListener('abort', onAbort)
      resolve(full)
    }
    const onAbort = () => end(false)
    let left = ms
    const wait = (): NodeJS.Timeout => {
      const slice = Math.min(left, LONGEST_TIMER_MS)
      left -= slice
      return setTimeout(() => {
        if (left > 0) timer = wait()
        else end(true)
      }, slice)
    }
    let timer = wait()
    for (const signal of given) signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** What comes within the time; undefined when it is late. A failure in time is thrown, a later one is nobody's. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const patience = new AbortController()
  const late = sleep(ms, patience.signal).then(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    patience.abort()
  }
}
