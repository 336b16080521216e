import { backoffMs } from '../base/backoff.ts'
import { sleep } from '../base/clock.ts'
import { messageOf } from '../domain/errors.ts'
import { isMarkedStopped } from './stop-mark.ts'

const AGAIN = { firstMs: 1000, factor: 2, maxMs: 30_000, jitter: 0.3 }

export interface RevivedServer {
  readonly pidFile: string
  /** Starts or adopts it. */
  readonly start: (signal: AbortSignal) => Promise<unknown>
}

export interface ReviveOptions {
  /** Aborts when the server is back, or when nobody needs it any more. */
  readonly signal: AbortSignal
  /** Called once when the server was stopped on purpose. */
  readonly onStopped: () => void
  /** Called each time it could not be started. */
  readonly onFailed: (detail: string) => void
}

/**
 * Starts the town's server again after it died, until it answers or the signal aborts. One that somebody stopped with
 * `redis stop` stays stopped until somebody starts it.
 */
export async function reviveLocalRedis(server: RevivedServer, options: ReviveOptions): Promise<void> {
  const { signal } = options
  let told = false
  for (let tries = 1; await sleep(backoffMs(AGAIN, tries), signal); tries += 1) {
    if (isMarkedStopped(server.pidFile)) {
      if (!told) options.onStopped()
      told = true
      continue
    }
    try {
      await server.start(signal)
      return
    } catch (error) {
      if (!signal.aborted) options.onFailed(messageOf(error))
    }
  }
}
