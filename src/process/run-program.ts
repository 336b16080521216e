import { execa } from 'execa'

/** How a program ended. */
export interface ProgramEnd {
  readonly ok: boolean
  readonly exitCode: number | null
  readonly stdout: string
  /** What it said and, where it could not be started, why. */
  readonly output: string
}

/** Runs a program of the system to its end, with the environment of this process, and gives what it printed. Never throws. */
export async function runProgram(
  [program = '', ...args]: readonly string[],
  { env, signal }: { env: NodeJS.ProcessEnv; signal?: AbortSignal },
): Promise<ProgramEnd> {
  const end = await execa(program, args, {
    env,
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    reject: false,
    maxBuffer: 1024 * 1024,
    ...(signal ? { cancelSignal: signal, gracefulCancel: false } : {}),
  })
  return {
    ok: !end.failed,
    exitCode: end.exitCode ?? null,
    stdout: end.stdout ?? '',
    output: (end.all || end.originalMessage || '').trim(),
  }
}
