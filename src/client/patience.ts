import { monotonicMs } from '../base/clock.ts'
import { LONGEST_MS } from '../config/schemas.ts'
import { ANSWER_MS, type Patience } from '../store/receive.ts'

/** The patience of a wait for a message that begins now. `release` stands after the wait. */
export function patienceFor(timeoutMs: number, signal: AbortSignal): Patience & { release(): void } {
  const late = new AbortController()
  const giveUp = () => late.abort()
  const longest = timeoutMs + ANSWER_MS
  // Node takes no longer time for a timer: it would fire at once.
  let timer = longest > LONGEST_MS ? undefined : setTimeout(giveUp, longest)
  const onAbort = () => {
    clearTimeout(timer)
    timer = setTimeout(giveUp, ANSWER_MS)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  return {
    endsAt: monotonicMs() + timeoutMs,
    signal,
    late: late.signal,
    release() {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    },
  }
}
