/** The kinds of failure that a user can do something about. `cli/exit-codes.ts` maps each to an exit code. */
export type ErrorCode =
  | 'usage'
  | 'config'
  | 'not-found'
  | 'wrong-state'
  | 'redis-missing'
  | 'redis-failed'
  | 'redis-unreachable'
  | 'redis-refused'
  | 'redis-auth'
  | 'name-in-use'
  | 'not-installed'
  | 'no-permission'
  | 'service-failed'
  | 'agent-error'
  | 'timeout'
  | 'closed'
  | 'internal'

/**
 * The one error class that is thrown for expected trouble: the message names the thing, the rule, the value and where it
 * came from; the remedy, where there is one, says what to do next.
 */
export class WorkerError extends Error {
  readonly code: ErrorCode
  readonly remedy: string | undefined

  constructor(code: ErrorCode, message: string, options: { remedy?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'WorkerError'
    this.code = code
    this.remedy = options.remedy
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Returns the error as it is when it is an expected one, else wraps it as `internal`. */
export function asWorkerError(error: unknown): WorkerError {
  return error instanceof WorkerError
    ? error
    : new WorkerError('internal', messageOf(error), { cause: error })
}
