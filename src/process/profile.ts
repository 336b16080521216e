import type { ToldReason, Usage } from '../domain/outcome.ts'

/** What a run tells while it goes on; made from one line of a CLI's output by its profile's parser. */
export type AgentEvent =
  | { readonly type: 'session'; readonly id: string; readonly model?: string }
  /** Something the agent said; where a CLI does not state its answer, the last one is the answer. */
  | { readonly type: 'message'; readonly text: string }
  /** `detail`: the command line, the file, the query, in one line of at most 500 characters. */
  | { readonly type: 'tool-started'; readonly id: string; readonly name: string; readonly detail: string }
  /** `id`: that of its start. claude does not repeat the name. */
  | { readonly type: 'tool-finished'; readonly id: string; readonly name?: string; readonly ok: boolean }
  | { readonly type: 'usage'; readonly usage: Usage }
  /** The CLI's own statement of its answer. */
  | { readonly type: 'final'; readonly text: string }
  | ({ readonly type: 'error'; readonly fatal: boolean } & ToldError)
  /** Retries and warnings: shown, never judged, and no sign of life: a CLI without a network retries for ever. */
  | {
      readonly type: 'notice'
      readonly text: string /** After which it tries again. */
      readonly error?: ToldError
    }
  /** When the limit that refuses the run is over, in milliseconds since 1970; null: none refuses it any more. */
  | { readonly type: 'limit'; readonly resetsAt: number | null }
  /** The terminal event: the turn is over. */
  | { readonly type: 'end'; readonly ok: boolean }

/** What a CLI says of its failure. */
export interface ToldError {
  readonly message: string
  /** The HTTP status of the model server, when a structured field tells it. */
  readonly status?: number
  /** The CLI's own word for it, when a structured field tells it. */
  readonly code?: string
}

/** One row of a profile's table of failures, tried in order on fatal `error` events only. */
interface FailureRule {
  readonly reason: ToldReason
  readonly match: RegExp | ((error: ToldError) => boolean)
}

/** The same for a CLI that gave up before it printed events: tried on what it wrote to stderr. */
interface StderrRule {
  readonly reason: ToldReason
  readonly match: RegExp
}

/** How to ask without a network call whether a CLI is logged in. */
export interface LoginCheck {
  /** A variable of these being set is a login. */
  readonly env: readonly string[]
  /** A file of these being there is a login; `~` is the home folder. */
  readonly files: readonly string[]
  readonly command?: {
    readonly args: readonly string[]
    readonly loggedIn: (answer: { readonly exitCode: number; readonly output: string }) => boolean
  }
  readonly remedy: string
}

/** Everything that is particular to one coding CLI: plain data and a pure line parser. */
export interface Profile {
  /** The word after `--cli`. */
  readonly id: string
  readonly title: string
  readonly command: { readonly program: string; readonly args: readonly string[] }
  readonly prompt: {
    readonly via: 'stdin' | 'argument' | 'file'
    readonly flag?: string
    readonly maxBytes?: number
  }
  /** `pass`: names, or beginnings of names that end in `*`, taken over from the daemon's environment. */
  readonly env: { readonly pass: readonly string[]; readonly set: Readonly<Record<string, string>> }
  /** How it tells its version; null: it is not asked, as an unknown program may take the question for work. */
  readonly version: { readonly args: readonly string[]; readonly tested: readonly string[] } | null
  readonly login: LoginCheck | null
  /** The variable without which it refuses to run as root, and what to do. */
  readonly asRoot?: { readonly variable: string; readonly remedy: string }
  /** The command that installs it. */
  readonly install: string
  /** Tinytown's own preset command lines for this CLI, which this profile replaces. */
  readonly upstreamCommands: readonly string[]
  /** Null: plain text, everything on stdout is the answer. */
  readonly parseLine: ((line: string) => readonly AgentEvent[]) | null
  /** True: a run without an `end` event did not finish. */
  readonly terminalEvent: boolean
  readonly failures: readonly FailureRule[]
  /** When the limit is over that an error message tells of, in milliseconds since 1970; for quota and rate-limit. */
  readonly resetsAt?: (
    message: string,
    moment: { readonly now: number; readonly timeZone: string },
  ) => number | undefined
  /** What exit codes mean where no event says why the run failed. */
  readonly exitCodes?: Readonly<Record<number, ToldReason>>
  /** Only for a run that failed without a terminal event, and without an exit code that tells; anything else on stderr is talk. */
  readonly stderrFailures?: readonly StderrRule[]
  /** How long the process may take to exit after its terminal event, in milliseconds. */
  readonly exitGraceMs: number
  readonly workdir?: string
  readonly timeoutMs?: number
}
