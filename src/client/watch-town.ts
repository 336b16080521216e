import { unlessAborted } from '../base/abort.ts'
import { monotonicMs, sleep } from '../base/clock.ts'
import { summarizeTown, type TownSummary } from './summary.ts'
import { limitOf, lookAgain, Stream, type Watch } from './watch.ts'

/** A town is read again at most so often, however much happens. */
const GAP_MS = 250
/** So often ages are told anew. */
const TICK_MS = 1000

/**
 * Hands over the town at a glance: at once, whenever something happens, and every second with its ages as they are by then.
 * What has no event shows after a few seconds. Ends only by the signal, whose reason it throws.
 */
export async function watchTown(watch: Watch, onSummary: (summary: TownSummary) => void): Promise<never> {
  const { redis, town, signal } = watch
  const look = async () => ({
    at: monotonicMs(),
    summary: await unlessAborted(summarizeTown(redis, town), signal),
  })
  const stream = await Stream.open(watch, limitOf(watch))
  const due = lookAgain(() => true)
  let seen = await look()
  for (;;) {
    onSummary(aged(seen.summary, monotonicMs() - seen.at))
    const wake = await stream.next(TICK_MS)
    if (!due(wake)) continue
    await sleep(Math.max(0, seen.at + GAP_MS - monotonicMs()), signal)
    seen = await look()
  }
}

/** The same some time later, as far as time alone changes it. */
function aged(summary: TownSummary, ms: number): TownSummary {
  const agents = summary.agents.map((view) => ({
    ...view,
    heartbeatAgeMs: view.heartbeatAgeMs === null ? null : Math.round(view.heartbeatAgeMs + ms),
  }))
  return { ...summary, agents }
}
