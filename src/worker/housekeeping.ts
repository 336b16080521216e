import type { Bell } from '../base/bell.ts'
import { sleep } from '../base/clock.ts'

const HOUR_MS = 3_600_000
/** Runs that end quickly have it done once for several of them. */
const PAUSE_MS = 10_000

/** Tidies up now, after each run and once an hour, until `signal` aborts. `tidy` must not throw. */
export async function keepHouse(tools: {
  readonly tidy: () => Promise<void>
  /** Rings when a run has ended. */
  readonly bell: Bell
  readonly signal: AbortSignal
}): Promise<void> {
  const { tidy, bell, signal } = tools
  while (!signal.aborted) {
    const rung = bell.next
    await tidy()
    await sleep(HOUR_MS, signal, rung)
    await sleep(PAUSE_MS, signal)
  }
}
