import { newId } from '../domain/ids.ts'
import { AgentProcess, type ProcessEnd } from './agent-process.ts'
import { RUN_VARIABLE, TASK_VARIABLE } from './environment.ts'

export interface Question {
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly limitMs: number
  /** How much of what it prints is kept, in bytes. */
  readonly maxOutput: number
  /** Ends it. */
  readonly signal?: AbortSignal | undefined
}

export interface Reply {
  readonly end: ProcessEnd
  /** The beginning of what it printed, on either stream. */
  readonly output: string
}

/** Runs a program that is no task to its end, in bounded time; whatever comes of it is ended like a run, also when the daemon dies. */
export async function askProgram({
  program,
  args,
  cwd,
  env,
  limitMs,
  maxOutput,
  signal,
}: Question): Promise<Reply> {
  const chunks: Uint8Array[] = []
  let room = maxOutput
  const taskId = newId()
  const child = new AgentProcess({
    command: { program, args, stdin: null, promptFile: null },
    cwd,
    env: { ...env, [TASK_VARIABLE]: taskId, [RUN_VARIABLE]: newId() },
    taskId,
    limits: { wallMs: limitMs, stallMs: 0, killGraceMs: 500, exitGraceMs: 0 },
    onOutput(_, chunk) {
      if (room > 0) chunks.push(chunk.subarray(0, room))
      room -= chunk.length
    },
  })
  const stop = () => child.end('cancelled')
  if (signal?.aborted) stop()
  signal?.addEventListener('abort', stop, { once: true })
  const end = await child.result
  signal?.removeEventListener('abort', stop)
  return { end, output: Buffer.concat(chunks).toString('utf8').trim() }
}
