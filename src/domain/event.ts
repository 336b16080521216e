import type { Id } from './ids.ts'

/** An event of the town stream. `data` on the wire is this object as JSON; absent fields are left out (Tinytown, events.rs). */
export interface TownEvent {
  /** A word of upstream (`task_completed`); its readers skip one that they do not know. */
  readonly event_type: string
  readonly agent_id?: Id
  readonly task_id?: Id
  /** Upstream writes the states of events with a capital: `Idle`. */
  readonly old_state?: string
  readonly new_state?: string
  readonly message: string
  /** RFC 3339. */
  readonly timestamp: string
  /** Ours: the reason word of a failure. */
  readonly reason?: string
}

/** Reads the `data` field of a stream entry; null when it is not an event. */
export function decodeEvent(data: string): TownEvent | null {
  try {
    const value = JSON.parse(data) as Partial<TownEvent> | null
    if (typeof value?.event_type !== 'string' || typeof value.message !== 'string') return null
    return value as TownEvent
  } catch {
    return null
  }
}
