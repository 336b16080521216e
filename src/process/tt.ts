import { formatDuration } from '../base/duration.ts'
import { cutBytes, oneLine } from '../base/text.ts'
import type { ProcessEnd } from './agent-process.ts'
import { askProgram } from './ask.ts'
import { findProgram } from './which.ts'

const TIMEOUT_MS = 60_000
const MAX_OUTPUT = 64 * 1024
/** Bytes. The longest argument of a command on Linux is 128 KiB. */
const LONGEST_RESULT = 100 * 1024

export interface TtCall {
  readonly townRoot: string
  /** Given to `tt` as REDIS_URL, so that it reaches the same server; null when there is no URL that it understands. */
  readonly redisUrl: string | null
  readonly env: NodeJS.ProcessEnv
  readonly taskId: string
  readonly result: string
  /** Ends it: the worker is to end at once. */
  readonly signal?: AbortSignal
}

/** Reports a task through `tt task complete`, which tells the mission as well. Null when it went well, else why not. */
export async function completeWithTt({
  townRoot,
  redisUrl,
  env,
  taskId,
  result,
  signal,
}: TtCall): Promise<string | null> {
  const program = await findProgram('tt', { path: env.PATH, cwd: townRoot })
  if (program === null) return 'tt is not in PATH'
  if (redisUrl === null) return 'tt reaches no Redis behind Sentinels or in a Cluster'
  const args = ['--town', townRoot, 'task', 'complete', taskId, `--result=${cutResult(result)}`]
  const defined = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const { end, output } = await askProgram({
    ...{ program, args, cwd: townRoot, signal },
    env: { ...Object.fromEntries(defined), REDIS_URL: redisUrl },
    limitMs: TIMEOUT_MS,
    maxOutput: MAX_OUTPUT,
  })
  const trouble = troubleOf(end)
  return trouble && `tt task complete failed: ${oneLine(output || trouble, 500)}`
}

function troubleOf(end: ProcessEnd): string | null {
  if (end.kind === 'not-started') return end.message
  if (end.endedBy === 'timeout') return `it did not end within ${formatDuration(TIMEOUT_MS)}`
  if (end.endedBy !== null) return 'it was ended, as the worker ends'
  if (end.signal !== null) return `it was ended by ${end.signal}`
  return end.exitCode === 0 ? null : `exit code ${end.exitCode}`
}

function cutResult(result: string): string {
  const { text, cut } = cutBytes(result, LONGEST_RESULT)
  return cut ? `${text}\n[… cut: the result has ${Buffer.byteLength(result)} bytes]` : result
}
