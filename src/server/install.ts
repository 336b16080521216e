import { accessSync, constants, existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { sleep } from '../base/clock.ts'
import { WorkerError } from '../domain/errors.ts'
import { describeSearch, findRedisServer, type RedisBinary } from './find.ts'
import { type InstallPlan, type InstallStep, type MachineFacts, planInstall } from './install-plan.ts'

export interface InstallOptions {
  /** Gets each line as the package manager prints it. */
  onLine: (line: string) => void
  signal?: AbortSignal
  /** The environment of the package manager and of the search; the process's own by default. */
  env?: NodeJS.ProcessEnv
}

export interface BootstrapOptions extends InstallOptions {
  home?: string
  facts?: MachineFacts
}

const INSTALL_PAGE = 'https://redis.io/docs/latest/operate/oss_and_stack/install/'
const STEP_TIMEOUT_MS = 10 * 60_000
const KEPT_LINES = 15
const LOCK_RETRY_MS = 2000
const LOCK_RETRIES = 60
// apt's lock on its package lists has no time-out option of its own, unlike dpkg's.
const LOCK_HELD = /Could not get lock/

/**
 * What `tinytown-worker bootstrap` does: finds a redis-server, or installs one with the system's package manager and finds it
 * again. Safe to run twice at once. Throws `redis-missing` when there is still none, with what to do by hand.
 */
export async function bootstrap(options: BootstrapOptions): Promise<RedisBinary & { installed: boolean }> {
  const env = options.env ?? process.env
  const places = { env, home: options.home ?? homedir() }
  const before = await findRedisServer(places)
  if (before.found) return { ...before.found, installed: false }
  const plan = planInstall(options.facts ?? machineFacts(env))
  if (!plan) {
    throw new WorkerError(
      'redis-missing',
      `${describeSearch(before.rejected)}, and none of apt-get, dnf, apk and brew is on PATH.`,
      { remedy: `Install Redis by hand: ${INSTALL_PAGE}` },
    )
  }
  await runInstall(plan, options)
  const after = await findRedisServer(places)
  if (after.found) return { ...after.found, installed: true }
  throw new WorkerError(
    'redis-missing',
    `${plan.manager} ended well, but: ${describeSearch(after.rejected)}.`,
    {
      remedy: `Install a newer Redis by hand: ${INSTALL_PAGE}`,
    },
  )
}

/** The facts of the machine this runs on. */
export function machineFacts(env: NodeJS.ProcessEnv): MachineFacts {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return {
    platform: process.platform,
    uid: process.getuid?.() ?? -1,
    has: (command) => folders.some((folder) => isExecutable(join(folder, command))),
    exists: existsSync,
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Runs the steps of a plan one after the other (at most ten minutes each), every printed line to `onLine`.
 * Throws `redis-missing` with the manager's last lines when a step fails; `signal.reason` when aborted.
 */
export async function runInstall(plan: InstallPlan, options: InstallOptions): Promise<void> {
  if (plan.blocked !== null) throw installError(plan, `Cannot install Redis: ${plan.blocked}.`)
  options.onLine(plan.note)
  for (const step of plan.steps) {
    const end = await runWhenUnlocked(step, options)
    options.signal?.throwIfAborted()
    if (end.ok) continue
    if (!step.optional) throw installError(plan, [`${end.message}:`, ...end.lastLines].join('\n'))
    options.onLine(`${end.message}; going on without it`)
  }
}

function installError(plan: InstallPlan, message: string): WorkerError {
  return new WorkerError('redis-missing', message, {
    remedy: `Install it by hand (${plan.byHand}), or see ${INSTALL_PAGE}`,
  })
}

interface StepEnd {
  ok: boolean
  message: string
  lastLines: string[]
}

async function runWhenUnlocked(step: InstallStep, options: InstallOptions): Promise<StepEnd> {
  for (let tries = 0; ; tries += 1) {
    const end = await runStep(step, options)
    const lockHeld = !end.ok && end.lastLines.some((line) => LOCK_HELD.test(line))
    if (!lockHeld || tries >= LOCK_RETRIES) return end
    if (!(await sleep(LOCK_RETRY_MS, options.signal))) return end
  }
}

async function runStep(step: InstallStep, { onLine, signal, env }: InstallOptions): Promise<StepEnd> {
  const lastLines: string[] = []
  const subprocess = execa(step.command, step.args, {
    all: true,
    reject: false,
    stdin: 'ignore',
    timeout: STEP_TIMEOUT_MS,
    buffer: false,
    ...(env ? { env, extendEnv: false } : {}),
    ...(signal ? { cancelSignal: signal } : {}),
  })
  for await (const printed of subprocess.iterable({ from: 'all' })) {
    // A progress display writes over its own line; the last state is the one to show.
    const line = printed.slice(printed.lastIndexOf('\r') + 1)
    lastLines.push(line)
    if (lastLines.length > KEPT_LINES) lastLines.shift()
    onLine(line)
  }
  const result = await subprocess
  return { ok: !result.failed, message: result.shortMessage ?? '', lastLines }
}
