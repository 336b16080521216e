import { messageOf, WorkerError } from '../domain/errors.ts'
import { isPassing } from '../store/connection.ts'
import { replyErrorCode } from '../store/script.ts'

/** What to do about an error that Redis replied, by its first word. */
const REMEDIES: Readonly<Record<string, string>> = {
  OOM: 'It is at its memory limit: raise maxmemory (CONFIG SET maxmemory), or delete what is not needed any more',
  LOADING: 'It still reads its data: try again in a moment',
  READONLY: 'It is a replica now: give the address of the primary',
  MISCONF: 'It cannot write its data to the disk: make room there, and see its log',
  BUSY: 'A script keeps it busy: try again in a moment',
  MASTERDOWN: 'It has lost its primary: try again in a moment',
  CLUSTERDOWN: 'Its cluster is not complete: try again in a moment',
  WRONGTYPE:
    'A key of the town holds something else than it should. Find it with: redis-cli --scan --pattern "tt:*"; then remove it or give it another name',
  NOPERM:
    'Let the user of the login work on the keys and channels of the town: ACL SETUSER <user> ~tt:* &tt:* +@all',
  NOAUTH: 'Give the login in REDIS_URL',
}
const TRY_AGAIN = 'Try again in a moment'
const SEE_LOG = 'See the log of Redis; tinytown-worker doctor checks the connection'

/**
 * Makes an expected error of what Redis answered to a command, or of a connection that went away under it: `redis-failed` when it
 * passes by itself, else `redis-refused`. Anything else stays as it is.
 */
export function explainRedis(error: unknown): unknown {
  const code = replyErrorCode(error)?.replace(/^-/, '')
  if (code !== undefined) {
    const passes = isPassing(error)
    const remedy = REMEDIES[code] ?? (passes ? TRY_AGAIN : SEE_LOG)
    const message = `Redis refused a command: ${messageOf(error)}`
    return new WorkerError(passes ? 'redis-failed' : 'redis-refused', message, { remedy, cause: error })
  }
  if (!isLostConnection(error)) return error
  const message = `Redis went away during the command: ${messageOf(error)}`
  return new WorkerError('redis-unreachable', message, { remedy: TRY_AGAIN, cause: error })
}

// What ioredis fails the commands of a connection with that it gave up.
function isLostConnection(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return error.name === 'MaxRetriesPerRequestError' || error.message === 'Connection is closed.'
}
