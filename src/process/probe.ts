import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { execa } from 'execa'
import { oneLine } from '../base/text.ts'
import { childEnvironment } from './environment.ts'
import type { LoginCheck, Profile } from './profile.ts'
import { findProgram } from './which.ts'

export interface ProbeOptions {
  /** The environment of the daemon; the CLI gets of it what it gets in a run. */
  readonly env: NodeJS.ProcessEnv
  /** Further variables that it gets. */
  readonly passEnv?: readonly string[]
  readonly home?: string
  /** Where a relative path of the program begins. */
  readonly cwd?: string
  readonly signal?: AbortSignal
}

/** What a CLI tells of itself without a network call. */
export interface CliProbe {
  /** Null when it is not installed. */
  readonly path: string | null
  /** Null when it does not tell. */
  readonly version: string | null
  /** `unknown`: there is no way to ask. */
  readonly login: 'yes' | 'no' | 'unknown'
  /** How the login is known, or what went wrong, in one line; '' when there is nothing to say. */
  readonly detail: string
}

const LIMIT_MS = 10_000

/** Looks a CLI up and asks it for its version and its login, each for 10 s at most. Throws only the signal's reason. */
export async function probeCli(profile: Profile, options: ProbeOptions): Promise<CliProbe> {
  const ask = await asker(profile, options)
  if (ask === null) return { path: null, version: null, login: 'unknown', detail: 'not installed' }
  const [version, login] = await Promise.all([
    ask.answer(profile.version.args),
    checkLogin(profile.login, ask, options.home ?? homedir()),
  ])
  options.signal?.throwIfAborted()
  return { path: ask.path, ...login, version: versionIn(version), ...(version.failed ? failed(version) : {}) }
}

/** The version of a CLI, or null when it is not installed, does not tell, or the signal aborts. Never throws. */
export async function probeVersion(profile: Profile, options: ProbeOptions): Promise<string | null> {
  const ask = await asker(profile, options)
  return ask === null ? null : versionIn(await ask.answer(profile.version.args))
}

interface Answer {
  readonly exitCode: number
  readonly output: string
  readonly failed: boolean
  readonly message: string
}

interface Asker {
  readonly path: string
  readonly env: Readonly<Record<string, string>>
  answer(args: readonly string[]): Promise<Answer>
}

async function asker(profile: Profile, options: ProbeOptions): Promise<Asker | null> {
  const { cwd = process.cwd(), signal } = options
  const env = environmentOf(profile, options)
  const path = await findProgram(profile.command.program, { path: env.PATH, cwd })
  if (path === null) return null
  const answer = async (args: readonly string[]): Promise<Answer> => {
    const result = await execa(path, args, {
      cwd,
      env,
      extendEnv: false,
      reject: false,
      all: true,
      stdin: 'ignore',
      timeout: LIMIT_MS,
      maxBuffer: 100_000,
      ...(signal ? { cancelSignal: signal } : {}),
    })
    const { exitCode = -1, all: output = '', failed, shortMessage } = result
    return { exitCode, output, failed, message: shortMessage ?? '' }
  }
  return { path, env, answer }
}

/** What the CLI gets in a run, but for the task: there is none. */
function environmentOf(
  { env: { pass, set } }: Profile,
  { env, passEnv = [] }: ProbeOptions,
): Record<string, string> {
  const task = { agentId: '', agentName: '', taskId: '', town: '' }
  const child = childEnvironment(env, { pass: [...pass, ...passEnv], set, task })
  return Object.fromEntries(Object.entries(child).filter(([, value]) => value !== ''))
}

function versionIn({ output, failed }: Answer): string | null {
  return failed ? null : (/\d+\.\d+[\w.+-]*/.exec(output)?.[0] ?? null)
}

function failed({ message, output }: Answer): { detail: string } {
  return { detail: oneLine([message, output].filter((part) => part !== '').join(': ')) }
}

async function checkLogin(
  check: LoginCheck | null,
  ask: Asker,
  home: string,
): Promise<Pick<CliProbe, 'login' | 'detail'>> {
  if (check === null) return { login: 'unknown', detail: '' }
  const variable = check.env.find((name) => ask.env[name])
  if (variable !== undefined) return { login: 'yes', detail: `${variable} is set` }
  const file = check.files.find((path) => existsSync(path.replace(/^~(?=\/)/, home)))
  if (file !== undefined) return { login: 'yes', detail: `${file} is there` }
  if (!check.command) return { login: 'no', detail: '' }
  const { args, loggedIn } = check.command
  const answer = await ask.answer(args)
  return { login: loggedIn(answer) ? 'yes' : 'no', detail: oneLine(answer.output) }
}
