import type { Redis } from 'ioredis'
import { decodeEvent, encodeEvent, type TownEvent } from '../domain/event.ts'
import type { TownKeys } from './keys.ts'

/** An event with its place in the stream. */
export interface PlacedEvent {
  readonly at: string
  readonly event: TownEvent
}

/** An entry of a stream: its id, then field and value in turn. */
export type Entry = [id: string, fields: string[]]

/** The value of one field of a stream entry, or ''. */
export function fieldOf(fields: readonly string[], name: string): string {
  const at = fields.indexOf(name)
  return at === -1 ? '' : (fields[at + 1] ?? '')
}

/** The id of the last entry of a stream, `0-0` when it has none: where following starts. */
export async function lastEntryId(redis: Redis, stream: string): Promise<string> {
  const [last] = (await redis.xrevrange(stream, '+', '-', 'COUNT', 1)) as Entry[]
  return last?.[0] ?? '0-0'
}

/** The newest `count` events of a stream, oldest first; with `upTo` those that are not after that entry. */
export async function recentEvents(
  redis: Redis,
  stream: string,
  count: number,
  upTo = '+',
): Promise<PlacedEvent[]> {
  if (count === 0) return []
  const entries = (await redis.xrevrange(stream, upTo, '-', 'COUNT', count)) as Entry[]
  return eventsOf(entries.reverse())
}

/** Waits at most `blockMs` for the events of a stream after `from`. Returns them, and the place to go on from. */
export async function nextEvents(
  redis: Redis,
  stream: string,
  { from, blockMs }: { from: string; blockMs: number },
): Promise<{ next: string; events: PlacedEvent[] }> {
  const entries = await nextEntries(redis, stream, from, blockMs)
  return { next: entries.at(-1)?.[0] ?? from, events: eventsOf(entries) }
}

/** How many events are kept, roughly, as upstream keeps them (Tinytown, events.rs). */
const KEPT = { town: 1000, agent: 100 } as const

/** Adds an event to the town's stream, and to the streams of its agent and of that one's parent. Returns its place in the first. */
export async function addEvent(redis: Redis, town: TownKeys, event: TownEvent): Promise<string> {
  const fields = ['event_type', event.event_type, 'data', encodeEvent(event)]
  const agents = new Set([event.agent_id, event.parent_agent_id].filter((id) => id !== undefined))
  const batch = redis.multi().xadd(town.events, 'MAXLEN', '~', KEPT.town, '*', ...fields)
  for (const id of agents) batch.xadd(town.agent(id).events, 'MAXLEN', '~', KEPT.agent, '*', ...fields)
  const [[error, place] = [null, '']] = (await batch.exec()) ?? []
  if (error) throw error
  return String(place)
}

/** Waits at most `blockMs` for the entries of a stream after `from`. */
export async function nextEntries(
  redis: Redis,
  stream: string,
  from: string,
  blockMs: number,
): Promise<Entry[]> {
  const reply = await redis.xread('COUNT', 500, 'BLOCK', blockMs, 'STREAMS', stream, from)
  return (reply?.[0]?.[1] as Entry[] | undefined) ?? []
}

/** Places in streams, by the key of the stream. */
export type StreamPlaces = Readonly<Record<string, string>>

/** Waits at most `blockMs` for entries of any of several streams. Returns them by stream, and the places to go on from. */
export async function nextOfStreams(
  redis: Redis,
  places: StreamPlaces,
  blockMs: number,
): Promise<{ next: StreamPlaces; entries: Readonly<Record<string, readonly Entry[]>> }> {
  const from = [...Object.keys(places), ...Object.values(places)]
  const reply = (await redis.xread('COUNT', 500, 'BLOCK', blockMs, 'STREAMS', ...from)) as
    | [stream: string, entries: Entry[]][]
    | null
  const entries = Object.fromEntries(reply ?? [])
  const last = Object.entries(entries).map(([stream, list]) => [stream, list.at(-1)?.[0] ?? places[stream]])
  return { next: { ...places, ...Object.fromEntries(last) }, entries }
}

/** The events that entries hold; what is none is left out. */
export function eventsOf(entries: readonly Entry[]): PlacedEvent[] {
  return entries.flatMap(([at, fields]) => {
    const event = decodeEvent(fieldOf(fields, 'data'))
    return event ? [{ at, event }] : []
  })
}
