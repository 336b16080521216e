import { z } from 'zod'
import { time } from './fields.ts'
import type { Id } from './ids.ts'

/** The words that upstream's readers know; an event with another one is invisible to them (Tinytown, events.rs). */
export const EVENT_TYPES = [
  'agent_state_changed',
  'agent_spawned',
  'agent_stopped',
  'agent_interrupted',
  'agent_resumed',
  'agent_completed',
  'agent_failed',
  'task_assigned',
  'task_completed',
  'task_failed',
  'task_delegated',
  'reviewer_handoff',
  'reviewer_approval',
  'conductor_escalation',
  'mission_state_changed',
  'mission_event',
  'mission_help_needed',
  'mission_watch_triggered',
  'mission_work_promoted',
  'mission_work_assigned',
  'mission_work_completed',
  'mission_work_blocked',
] as const
export type EventType = (typeof EVENT_TYPES)[number]

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
  readonly parent_agent_id?: Id
  readonly scope?: string
  readonly spawn_mode?: string
  /** Ours: the reason word of a failure. */
  readonly reason?: string
}

const text = z.string()
const optional = text.nullish().transform((value) => value ?? undefined)
const event = z.looseObject({
  event_type: text,
  agent_id: optional,
  task_id: optional,
  old_state: optional,
  new_state: optional,
  message: text,
  timestamp: time,
  parent_agent_id: optional,
  scope: optional,
  spawn_mode: optional,
  reason: optional,
})

/** Reads the `data` field of a stream entry; null when it is not an event. Fields that nobody knows stay. */
export function decodeEvent(data: string): TownEvent | null {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    return null
  }
  const parsed = event.safeParse(value)
  if (!parsed.success) return null
  return Object.fromEntries(
    Object.entries(parsed.data).filter(([, field]) => field !== undefined),
  ) as unknown as TownEvent
}

/** Writes an event as the `data` field of a stream entry, in upstream's order of fields. */
export function encodeEvent({
  event_type,
  agent_id,
  task_id,
  old_state,
  new_state,
  ...rest
}: TownEvent): string {
  const { message, timestamp, ...more } = rest
  return JSON.stringify({ event_type, agent_id, task_id, old_state, new_state, message, timestamp, ...more })
}
