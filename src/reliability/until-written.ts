import { type Backoff, backoffMs } from '../base/backoff.ts'
import { sleep } from '../base/clock.ts'

const RETRY: Backoff = { firstMs: 200, factor: 2, maxMs: 5000, jitter: 0.3 }

/**
 * Repeats a write until the server takes it, as long as it refuses for a reason that passes by itself (loading, read-only,
 * out of memory). Any other failure is thrown; so is the last one when `signal` aborts.
 */
export async function untilWritten<T>(
  write: () => Promise<T>,
  options: {
    passes: (error: unknown) => boolean
    onRefused: (error: unknown, retryMs: number) => void
    signal?: AbortSignal
  },
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await write()
    } catch (error) {
      if (!options.passes(error) || options.signal?.aborted) throw error
      const retryMs = backoffMs(RETRY, attempt)
      options.onRefused(error, retryMs)
      await sleep(retryMs, options.signal)
    }
  }
}
