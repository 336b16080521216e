import { existsSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { formatDuration } from '../base/duration.ts'
import { oneLine } from '../base/text.ts'
import type { ProcessEnd } from './agent-process.ts'
import { askProgram, type Question } from './ask.ts'
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
  /** `unknown`: there is no way to ask, or no answer came. */
  readonly login: 'yes' | 'no' | 'unknown'
  /** How the login is known, or what went wrong, in one line; '' when there is nothing to say. */
  readonly detail: string
}

const LIMIT_MS = 10_000
const MAX_OUTPUT = 100_000

/** Looks a CLI up and asks it for its version and its login, each for 10 s at most. Throws only the signal's reason. */
export async function probeCli(profile: Profile, options: ProbeOptions): Promise<CliProbe> {
  const ask = await asker(profile, options)
  if (ask === null) return { path: null, version: null, login: 'unknown', detail: 'not installed' }
  const [version, login] = await Promise.all([
    profile.version && ask.answer(profile.version.args),
    checkLogin(profile.login, ask, options.home ?? homedir()),
  ])
  options.signal?.throwIfAborted()
  return {
    path: ask.path,
    ...login,
    version: version && versionIn(version),
    ...(version?.failed ? failed(version) : {}),
  }
}

/**
 * Tells the version of a CLI as it is now: undefined when it is not installed, is not to be asked or does not tell, or when the
 * signal aborts. It is asked again only when the program is another file or was changed. Never throws.
 */
export function versionTeller(
  profile: Profile,
  options: Omit<ProbeOptions, 'signal'>,
): (signal: AbortSignal) => Promise<string | undefined> {
  let known: { readonly mark: string; readonly version: Promise<string | undefined> } | null = null
  return async (signal) => {
    const { version: question } = profile
    if (question === null) return undefined
    const ask = await asker(profile, { ...options, signal })
    const mark = ask && (await markOf(ask.path))
    if (ask === null || mark === null || signal.aborted) return undefined
    if (known?.mark === mark) return await known.version
    const version = ask.answer(question.args).then((answer) => versionIn(answer) ?? undefined)
    const asked = { mark, version }
    known = asked
    const told = await version
    // Not the program broke it off: the next one asks again.
    if (signal.aborted && known === asked) known = null
    return told
  }
}

/** What changes when a program is replaced, whether by a new link, a new file or in place. */
async function markOf(path: string): Promise<string | null> {
  try {
    const [real, { ino, size, mtimeMs, ctimeMs }] = await Promise.all([realpath(path), stat(path)])
    return [real, ino, size, mtimeMs, ctimeMs].join(' ')
  } catch {
    return null
  }
}

interface Answer {
  /** Null: it did not come to an end of its own. */
  readonly exitCode: number | null
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
  const answer = (args: readonly string[]) => askOnce({ program: path, args, cwd, env, signal })
  return { path, env, answer }
}

/** Asks one question. Some CLIs start helpers that hold the output open. */
async function askOnce(question: Omit<Question, 'limitMs' | 'maxOutput'>): Promise<Answer> {
  const { end, output } = await askProgram({ ...question, limitMs: LIMIT_MS, maxOutput: MAX_OUTPUT })
  const message = troubleOf(end)
  const exitCode = end.kind === 'exited' && end.endedBy === null ? end.exitCode : null
  const words = message === null ? '' : `${[question.program, ...question.args].join(' ')} ${message}`
  return { exitCode, output, failed: message !== null, message: words }
}

function troubleOf(end: ProcessEnd): string | null {
  if (end.kind === 'not-started') return `cannot be started: ${end.message}`
  if (end.endedBy === 'timeout') return `did not end within ${formatDuration(LIMIT_MS)}`
  if (end.signal !== null) return `was ended by ${end.signal}`
  return end.exitCode === 0 ? null : `exited with ${end.exitCode}`
}

/** What the CLI gets in a run, but for the task: there is none. */
function environmentOf(
  { env: { pass, set } }: Profile,
  { env, passEnv = [] }: ProbeOptions,
): Record<string, string> {
  const task = { agentId: '', agentName: '', taskId: '', runId: '', town: '' }
  const child = childEnvironment(env, { pass: [...pass, ...passEnv], set, task })
  return Object.fromEntries(Object.entries(child).filter(([, value]) => value !== ''))
}

function versionIn({ output, failed }: Answer): string | null {
  return failed ? null : (/\d+\.\d+[\w.+-]*/.exec(output)?.[0] ?? null)
}

function failed({ message, output }: Pick<Answer, 'message' | 'output'>): { detail: string } {
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
  const { exitCode, ...answer } = await ask.answer(args)
  if (exitCode === null) return { login: 'unknown', ...failed(answer) }
  return {
    login: loggedIn({ exitCode, output: answer.output }) ? 'yes' : 'no',
    detail: oneLine(answer.output),
  }
}
