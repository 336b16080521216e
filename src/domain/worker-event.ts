import type { AgentState } from './agent.ts'
import type { Id } from './ids.ts'
import type { Reason } from './outcome.ts'
import type { TaskState } from './task.ts'

/** What a worker tells of itself while it works. Made below, read by the log and by whoever shows it. */
export type WorkerEvent =
  | { readonly type: 'registered'; readonly agentId: Id; readonly name: string; readonly isNew: boolean }
  | { readonly type: 'state'; readonly from: AgentState; readonly to: AgentState; readonly why?: string }
  | { readonly type: 'task-started'; readonly taskId: Id; readonly attempt: number; readonly summary: string }
  | { readonly type: 'task-output'; readonly taskId: Id; readonly text: string }
  | {
      readonly type: 'task-settled'
      readonly taskId: Id
      readonly attempt: number
      readonly state: 'completed' | 'failed' | 'cancelled'
      readonly durationMs: number
      readonly result: string
      readonly reason?: Reason
      /** Somebody else ended the task meanwhile: this end stands, or `gone` when the record was deleted. */
      readonly overruled?: TaskState | 'gone'
    }
  | {
      readonly type: 'task-retried'
      readonly taskId: Id
      readonly attempt: number
      readonly maxAttempts: number
      readonly reason: Reason
      readonly detail: string
      readonly delayMs: number
    }
  | { readonly type: 'task-left-running'; readonly taskId: Id; readonly letter: string }
  | { readonly type: 'task-released'; readonly taskId: Id; readonly why: string }
  | { readonly type: 'task-skipped'; readonly taskId: Id; readonly why: string }
  /** It was run at most once, and the run died with its worker: it has failed. */
  | { readonly type: 'task-lost'; readonly taskId: Id; readonly attempt: number; readonly detail: string }
  | { readonly type: 'message-put-aside'; readonly deadLetterId: string; readonly detail: string }
  | { readonly type: 'message-noted'; readonly kind: string; readonly from: Id }
  /** Too many messages wait for a prompt: the oldest went. */
  | { readonly type: 'message-forgotten'; readonly count: number }
  | { readonly type: 'message-answered'; readonly kind: string; readonly to: Id }
  /** Its id was handled before. */
  | {
      readonly type: 'message-duplicate'
      readonly kind: string
      readonly from: Id
      readonly messageId: Id
    }
  | { readonly type: 'message-dropped'; readonly kind: string; readonly from: Id }
  | {
      readonly type: 'surroundings-broken'
      readonly reason: Reason
      readonly detail: string
      readonly retryMs: number
    }
  | { readonly type: 'surroundings-mended' }
  /** `retryMs`: when one task is tried; absent where the worker does not wait for that. */
  | {
      readonly type: 'circuit-opened'
      readonly detail: string
      readonly retryMs?: number
    }
  | { readonly type: 'circuit-half-open' }
  | { readonly type: 'circuit-closed' }
  | { readonly type: 'paused' }
  | { readonly type: 'resumed' }
  | { readonly type: 'draining'; readonly why: string }
  | { readonly type: 'halting'; readonly why: string }
  | { readonly type: 'evicted' }
  | { readonly type: 'lease-lost' }
  | { readonly type: 'forgotten'; readonly why: 'data-lost' | 'pruned' | 'recovered' }
  /** A peer was dead; what it had in hand is back in its inbox. */
  | {
      readonly type: 'peer-recovered'
      readonly agentId: Id
      readonly name: string
      readonly messages: number
      /** Tasks that were run at most once, and have failed. */
      readonly lost: readonly Id[]
    }
  | { readonly type: 'left-without-redis'; readonly detail: string }
  | { readonly type: 'redis-waiting'; readonly address: string; readonly detail: string }
  | { readonly type: 'redis-lost'; readonly detail: string }
  | { readonly type: 'redis-back' }
  | { readonly type: 'redis-stopped' }
  | { readonly type: 'redis-not-started'; readonly detail: string }
  | { readonly type: 'redis-refused'; readonly detail: string; readonly retryMs: number }
  /** A result that Redis does not have yet lies on disk. */
  | { readonly type: 'result-spooled'; readonly taskId: Id; readonly path: string }
  /** A spooled result was not written: its task is gone, ended, elsewhere, or nobody can read it. */
  | { readonly type: 'result-kept'; readonly why: string; readonly path: string }
  /** It stays there; the next start tries it again. */
  | { readonly type: 'spool-unread'; readonly path: string; readonly detail: string }
  | { readonly type: 'spool-failed'; readonly path: string; readonly detail: string }
  | { readonly type: 'log-file-failed'; readonly path: string; readonly detail: string }
  | { readonly type: 'result-file-failed'; readonly path: string; readonly detail: string }
  | { readonly type: 'old-files-removed'; readonly count: number; readonly bytes: number }
  | { readonly type: 'old-files-stay'; readonly detail: string }
  | { readonly type: 'leftovers-ended'; readonly taskId: Id; readonly count: number }
  | { readonly type: 'stopped'; readonly givenBack: number }

/** Where the parts of a worker tell what happens. */
export type Emit = (event: WorkerEvent) => void
