import { unlessAborted } from '../base/abort.ts'
import type { Id } from '../domain/ids.ts'
import type { Redis } from '../store/connection.ts'
import { lastEntryId, nextEvents, type PlacedEvent } from '../store/events.ts'
import type { TownKeys } from '../store/keys.ts'
import { checkedId, checkedPlace } from './arguments.ts'
import type { Connections } from './connections.ts'

export interface EventStreamOptions {
  /** Only the events of this agent. */
  readonly agentId?: Id
  /** The place after which to begin: `0-0` for all that is kept. Without it, only what comes from now on. */
  readonly from?: string
  readonly signal?: AbortSignal
}

const BLOCK_MS = 5000

/** The events of a stream as they come. */
export function streamEvents(
  link: { redis: Redis; town: TownKeys; connections: Connections },
  { agentId, from, signal }: EventStreamOptions,
): AsyncGenerator<PlacedEvent, never, undefined> {
  const { redis, town, connections } = link
  const stream = agentId === undefined ? town.events : town.agent(checkedId('agent', agentId)).events
  const after = from === undefined ? undefined : checkedPlace(from)
  const until = connections.until(signal)
  // Asked for at once, so that nothing is missed between the call and the first step of the loop.
  const start = connections.run(async () => after ?? (await lastEntryId(redis, stream)))
  start.catch(() => undefined)
  return follow()

  async function* follow(): AsyncGenerator<PlacedEvent, never, undefined> {
    until.throwIfAborted()
    const blocking = await connections.run(() => connections.make('events'))
    try {
      for (let place = await unlessAborted(start, until); ; ) {
        const reading = nextEvents(blocking, stream, { from: place, blockMs: BLOCK_MS })
        const { next, events } = await connections.run(() => unlessAborted(reading, until))
        place = next
        yield* events
      }
    } finally {
      connections.drop(blocking)
    }
  }
}
