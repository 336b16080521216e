import type { AgentState } from '../domain/agent.ts'
import type { Id } from '../domain/ids.ts'
import type { WorkerEvent } from '../domain/worker-event.ts'

/** What an agent of this process does now, as its events tell it. Times are RFC 3339 texts. */
export interface AgentStatus {
  readonly name: string
  /** Known once it is registered. */
  readonly agentId?: Id
  readonly registered: boolean
  /** Nothing more is claimed: the worker ends. */
  readonly draining: boolean
  readonly state: AgentState
  /** Since when it is in this state. */
  readonly since: string
  readonly task?: {
    readonly taskId: Id
    readonly attempt: number
    readonly summary: string
    readonly startedAt: string
  }
  /** Why it takes no tasks. */
  readonly trouble?: string
}

/** An agent of which nothing is known yet. */
export function newStatus(name: string, now: string): AgentStatus {
  return { name, registered: false, draining: false, state: 'starting', since: now }
}

/** The status after an event; the same one when the event changes nothing. */
export function nextStatus(status: AgentStatus, event: WorkerEvent, now: string): AgentStatus {
  switch (event.type) {
    case 'registered': {
      const { name, agentId } = event
      return { ...newStatus(name, now), agentId, registered: true, draining: status.draining }
    }
    case 'state': {
      const { task, ...rest } = status
      const kept = event.to === 'working' && task ? { task } : {}
      return { ...rest, ...kept, state: event.to, since: now }
    }
    case 'task-started': {
      const { taskId, attempt, summary } = event
      return { ...status, task: { taskId, attempt, summary, startedAt: now } }
    }
    case 'draining':
      return { ...status, draining: true }
    case 'surroundings-broken':
    case 'circuit-opened':
      return { ...status, trouble: event.detail }
    case 'surroundings-mended':
    case 'circuit-half-open':
    case 'circuit-closed': {
      const { trouble: _, ...rest } = status
      return rest
    }
    case 'forgotten':
    case 'lease-lost':
    case 'evicted':
    case 'left-without-redis':
    case 'stopped': {
      const { task: _, ...rest } = status
      return { ...rest, registered: false }
    }
    default:
      return status
  }
}
