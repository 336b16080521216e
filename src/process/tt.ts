import { execa } from 'execa'
import { cutBytes, oneLine } from '../base/text.ts'
import { findProgram } from './which.ts'

const TIMEOUT_MS = 60_000
/** Bytes. The longest argument of a command on Linux is 128 KiB. */
const LONGEST_RESULT = 100 * 1024

export interface TtCall {
  readonly townRoot: string
  /** Given to `tt` as REDIS_URL, so that it reaches the same server; null when there is no URL that it understands. */
  readonly redisUrl: string | null
  readonly env: NodeJS.ProcessEnv
  readonly taskId: string
  readonly result: string
}

/** Reports a task through `tt task complete`, which tells the mission as well. Null when it went well, else why not. */
export async function completeWithTt({
  townRoot,
  redisUrl,
  env,
  taskId,
  result,
}: TtCall): Promise<string | null> {
  const program = await findProgram('tt', { path: env.PATH, cwd: townRoot })
  if (program === null) return 'tt is not in PATH'
  if (redisUrl === null) return 'tt reaches no Redis behind Sentinels or in a Cluster'
  const args = ['--town', townRoot, 'task', 'complete', taskId, `--result=${cutResult(result)}`]
  const end = await execa(program, args, {
    cwd: townRoot,
    env: { ...env, REDIS_URL: redisUrl },
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    reject: false,
    timeout: TIMEOUT_MS,
    maxBuffer: 64 * 1024,
  })
  if (!end.failed) return null
  // The short message quotes the command, and with it the whole result.
  return `tt task complete failed: ${oneLine(end.all || end.originalMessage || `exit code ${end.exitCode}`, 500)}`
}

function cutResult(result: string): string {
  const { text, cut } = cutBytes(result, LONGEST_RESULT)
  return cut ? `${text}\n[… cut: the result has ${Buffer.byteLength(result)} bytes]` : result
}
