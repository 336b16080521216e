import { messageOf, WorkerError } from '../domain/errors.ts'
import { replyErrorCode } from './script.ts'

// By their words: these errors of ioredis have no code, and a connection that a user brings may be of another copy of it.
const LOST =
  /^(?:Connection is closed|Reached the max retries|Stream isn't writeable|Command (?:timed out|aborted)|Socket timeout|connect E)/

/** What a command failed with: `redis-unreachable` where nobody answered it, else the error as it is. */
export function asUnreachable(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof WorkerError || replyErrorCode(error) !== null)
    return error
  if (!('syscall' in error) && !LOST.test(error.message)) return error
  return new WorkerError('redis-unreachable', `Redis does not answer: ${messageOf(error)}`, {
    remedy: 'Try again once it runs; what was written may have been done, or not',
    cause: error,
  })
}
