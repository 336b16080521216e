import { unlessAborted } from '../base/abort.ts'
import { eventsOf, nextEntries, type PlacedEvent } from '../store/events.ts'
import type { Watch } from './watch.ts'

/** Shorter than a silent socket may live. */
const BLOCK_MS = 5000

/** Hands over the events of a stream after the entry `from`, as they come. Ends only by the signal, whose reason it throws. */
export async function followEvents(
  { redis, signal }: Pick<Watch, 'redis' | 'signal'>,
  stream: string,
  { from, onEvents }: { from: string; onEvents: (events: readonly PlacedEvent[]) => Promise<void> },
): Promise<never> {
  for (let last = from; ; ) {
    const entries = await unlessAborted(nextEntries(redis, stream, last, BLOCK_MS), signal)
    last = entries.at(-1)?.[0] ?? last
    await onEvents(eventsOf(entries))
  }
}
