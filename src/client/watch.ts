import { anyOf, unlessAborted } from '../base/abort.ts'
import { LONGEST_MS } from '../config/schemas.ts'
import { decodeEvent, type TownEvent } from '../domain/event.ts'
import type { Redis } from '../store/connection.ts'
import { type Entry, fieldOf, lastEntryId, nextOfStreams, type StreamPlaces } from '../store/events.ts'
import type { TownKeys } from '../store/keys.ts'

/**
 * What a wait needs. The connection is the wait's own: it may be blocked for some seconds after the wait ended by `signal` or by
 * its time.
 */
export interface Watch {
  readonly redis: Redis
  readonly town: TownKeys
  readonly signal: AbortSignal
  /** How long to wait at most, in milliseconds; without it there is no limit. */
  readonly timeoutMs?: number
}

/** Not every change has an event (`tt` writes none), so records are read again so often. Shorter than a silent socket may live. */
const LOOK_MS = 5000

/** What a wake-up brought: the town's events, and the entries of the other streams that are watched. */
export interface Wake {
  readonly events: readonly TownEvent[]
  readonly entries: Readonly<Record<string, readonly Entry[]>>
}

/** The limit of a wait: aborts when the caller's signal does or the time is over. */
export interface Limit {
  readonly signal: AbortSignal
  /** True when the time was over first. */
  readonly timedOut: () => boolean
}

/** The limit of this wait, which begins now. */
export function limitOf({ signal, timeoutMs }: Watch): Limit {
  // Node takes no longer time for a timer: it would fire at once.
  if (timeoutMs === undefined || timeoutMs > LONGEST_MS) return { signal, timedOut: () => false }
  const deadline = AbortSignal.timeout(timeoutMs)
  return {
    signal: anyOf(signal, deadline),
    timedOut: () => deadline.aborted && !signal.aborted,
  }
}

/** The town's events and other streams, as they come. */
export class Stream {
  readonly #watch: Watch
  readonly #limit: Limit
  #places: StreamPlaces

  private constructor(watch: Watch, limit: Limit, places: StreamPlaces) {
    this.#watch = watch
    this.#limit = limit
    this.#places = places
  }

  /** Begins to watch: from now on no event is missed. */
  static async open(watch: Watch, limit: Limit): Promise<Stream> {
    const { events } = watch.town
    const last = await unlessAborted(lastEntryId(watch.redis, events), limit.signal)
    return new Stream(watch, limit, { [events]: last })
  }

  /** Watches one more stream, from the entry after `from`; one that is watched already stays where it is. */
  add(stream: string, from: string): void {
    this.#places = { [stream]: from, ...this.#places }
  }

  /** Waits until something comes, a few seconds at most. Throws the signal's reason when the limit is reached. */
  next(blockMs = LOOK_MS): Promise<Wake> {
    return this.#read(blockMs)
  }

  /** What is there already, without waiting. */
  rest(): Promise<Wake> {
    return this.#read(1)
  }

  async #read(blockMs: number): Promise<Wake> {
    const { redis, town } = this.#watch
    const { next, entries } = await unlessAborted(
      nextOfStreams(redis, this.#places, blockMs),
      this.#limit.signal,
    )
    this.#places = next
    const events = (entries[town.events] ?? []).flatMap(([, fields]) => {
      const event = decodeEvent(fieldOf(fields, 'data'))
      return event ? [event] : []
    })
    return { events, entries }
  }
}

/** Decides when a record is worth reading again: when an event tells of it, and every few seconds. */
export function lookAgain(concerns: (event: TownEvent) => boolean): (wake: Wake) => boolean {
  let last = Number.NEGATIVE_INFINITY
  return ({ events }) => {
    const due = events.some(concerns) || performance.now() - last >= LOOK_MS * 0.9
    if (due) last = performance.now()
    return due
  }
}

/** Runs a wait to its end, or tells that its time was over. */
export async function withinLimit<T>(limit: Limit, wait: () => Promise<T>): Promise<T | 'timeout'> {
  try {
    return await wait()
  } catch (error) {
    if (limit.timedOut()) return 'timeout'
    throw error
  }
}
