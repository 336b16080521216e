import type { Delivery } from '../domain/delivery.ts'
import type { Id } from '../domain/ids.ts'
import type { Message } from '../domain/message.ts'
import type { Outcome } from '../domain/outcome.ts'
import type { Emit } from '../domain/worker-event.ts'
import type { RunEnd } from '../reliability/circuit.ts'
import type { RetryRules } from '../reliability/retry-policy.ts'
import type { Spool } from '../reliability/spool.ts'
import type { Claimed } from '../store/inbox.ts'
import type { Lease } from '../store/lease.ts'
import type { Started } from '../store/tasks.ts'
import type { Control } from './control.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { MissionTools } from './mission.ts'
import type { Route } from './route.ts'
import type { Trouble } from './run.ts'

/** One run of the CLI: the prompt and what the child is told of its task. */
export interface Job {
  readonly taskId: Id
  readonly attempt: number
  readonly prompt: string
  /** Aborts with an `EndWhy` when the run is to be ended from outside. */
  readonly end: AbortSignal
}

/** What an attempt knows of its CLI. */
interface AttemptCli {
  readonly id: string
  /** The longest prompt that it takes, in bytes; Infinity when there is no limit. */
  readonly longestPrompt: number
}

export interface AttemptTools {
  readonly lease: Lease
  readonly lifecycle: Lifecycle
  readonly control: Control
  readonly emit: Emit
  /** Takes the secrets out of a text, before anything of it is cut. */
  readonly redact: (text: string) => string
  readonly cli: AttemptCli
  /** Asks the CLI for its version, unless it is known of the program as it is now. */
  readonly cliVersion: (signal: AbortSignal) => Promise<string | undefined>
  readonly delivery: Delivery
  /** How often a task is run, and the wait after its first attempt. */
  readonly retries: Pick<RetryRules, 'maxAttempts' | 'firstMs'>
  readonly role: string | undefined
  readonly roleInstructions: string | undefined
  /** Runs the CLI to its end. */
  readonly run: (job: Job) => Promise<Outcome>
  /** Where the output of a task is kept on this machine; undefined when it is not. */
  readonly logPath: (taskId: Id) => string | undefined
  /** How the task of a mission is reported. */
  readonly mission: MissionTools
  /** Holds a result that Redis does not take. */
  readonly spool: Spool
  /** Repeats a write that the server refuses for a reason that passes by itself. */
  readonly write: <T>(write: () => Promise<T>) => Promise<T>
  /** The same, and stands in `error` while it refuses for another reason. Throws the refusal when the worker is to end. */
  readonly writeEnd: <T>(write: () => Promise<T>) => Promise<T>
}

/** What came of a message. `rounds`: how many the agent has completed now; `end`: how the run ended. `held`: the surroundings are broken and the task went back. */
export type Handled =
  | { readonly kind: 'ran'; readonly rounds?: number; readonly end: RunEnd }
  | { readonly kind: 'no-run' }
  | { readonly kind: 'drain' }
  | { readonly kind: 'held'; readonly trouble: Trouble }

export interface Work {
  readonly claimed: Claimed
  readonly message: Message
  readonly route: Extract<Route, { kind: 'run' }>
  readonly started: Pick<Extract<Started, { kind: 'started' }>, 'task' | 'startedAt' | 'attempt'>
  readonly startId: string
}

export interface StartedWork extends Work {
  readonly started: Extract<Started, { kind: 'started' }>
}

/** What is known of a run beside its outcome. */
export interface Told {
  /** How many of the notes stood in its prompt. */
  readonly notesUsed: number
  readonly cliVersion?: string | undefined
}

export type Done = Work & Told

/** Where a message may be handled once, its id is remembered with what it comes to. */
export function remembered({ id }: Message, { delivery }: AttemptTools): { messageId?: Id } {
  return delivery === 'at-least-once' ? {} : { messageId: id }
}

/** How long the message waited for this start, in milliseconds. */
export function queueMsOf({ message, started }: Pick<Work, 'message' | 'started'>): number {
  // Both times were written by the server or, for a message of `tt`, by its machine; a wrong clock there must not go below 0.
  return Math.max(0, Math.round(Date.parse(started.startedAt) - Date.parse(message.createdAt)))
}
