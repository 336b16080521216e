import { access, constants, statfs } from 'node:fs/promises'
import type { Context } from '../client/context.ts'
import { gitRoot } from '../config/git.ts'
import { messageOf } from '../domain/errors.ts'
import { rootRefusal } from '../process/as-root.ts'
import { probeCli } from '../process/probe.ts'
import type { Profile } from '../process/profile.ts'
import { findProgram } from '../process/which.ts'
import { type Check, type CheckOptions, failed } from './check.ts'
import { describeTown } from './context.ts'
import { availableProfiles, chosenProfile } from './profile.ts'
import { redisChecks } from './redis-checks.ts'
import { NODE_RANGE } from './version.ts'

/** What can be checked without a town. */
export function machineChecks(context: Context | null, options: CheckOptions): (() => Promise<Check>)[] {
  const root = context?.place.root ?? process.cwd()
  return [
    async () => checkNode(),
    () => checkFolder(root),
    () => checkDisk(root),
    () => checkGit(root, options),
  ]
}

/** What depends on the settings of the town. */
export function townChecks(context: Context, options: CheckOptions): (() => Promise<Check | Check[]>)[] {
  return [
    async () => checkSettings(context),
    ...redisChecks(context, options),
    ...cliChecks(context, options),
  ]
}

function checkNode(): Check {
  const name = 'Node.js'
  const oldest = NODE_RANGE.replace(/^\D*/, '')
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [needMajor = 0, needMinor = 0] = oldest.split('.').map(Number)
  if (major > needMajor || (major === needMajor && minor >= needMinor)) {
    return { name, status: 'ok', detail: process.versions.node }
  }
  return {
    name,
    status: 'fail',
    detail: `${process.versions.node} is older than ${oldest}`,
    remedy: `Install Node.js ${oldest} or newer: https://nodejs.org`,
  }
}

async function checkFolder(root: string): Promise<Check> {
  const name = 'Town folder'
  try {
    await access(root, constants.W_OK | constants.X_OK)
    return { name, status: 'ok', detail: `${root} can be written` }
  } catch (error) {
    return { name, status: 'fail', detail: messageOf(error), remedy: `Make ${root} writable for this user` }
  }
}

const LITTLE_BYTES = 1024 ** 3

async function checkDisk(root: string): Promise<Check> {
  const name = 'Disk space'
  try {
    const { bavail, bsize } = await statfs(root)
    const free = `${((bavail * bsize) / LITTLE_BYTES).toFixed(1)} GiB free`
    if (bavail * bsize >= LITTLE_BYTES) return { name, status: 'ok', detail: free }
    const remedy = 'Make room: Redis and the log files of runs write here'
    return { name, status: 'warn', detail: `only ${free}`, remedy }
  } catch (error) {
    return { name, status: 'warn', detail: `cannot be told: ${messageOf(error)}` }
  }
}

async function checkGit(root: string, { env }: CheckOptions): Promise<Check> {
  const name = 'git'
  const path = await findProgram('git', { path: env.PATH, cwd: root })
  if (path === null) {
    return {
      name,
      status: 'warn',
      detail: 'not found on PATH',
      remedy: 'Install git: coding CLIs work with it',
    }
  }
  if (gitRoot(root) !== null) return { name, status: 'ok', detail: path }
  const remedy = `git init ${root}: without it nobody sees or takes back what a CLI changed`
  return { name, status: 'warn', detail: `${root} is not in a git repository`, remedy }
}

function checkSettings(context: Context): Check {
  const name = 'Settings'
  const { warnings } = context
  if (warnings.length === 0) return { name, status: 'ok', detail: describeTown(context) }
  return { name, status: 'warn', detail: warnings.join('; ') }
}

/** The CLI that the settings name, or all of them when they name none. */
function cliChecks(context: Context, options: CheckOptions): (() => Promise<Check>)[] {
  if (context.settings.cli !== undefined) return [async () => await checkChosen(context, options)]
  return [async () => await checkAny(context, options)]
}

async function checkChosen(context: Context, options: CheckOptions): Promise<Check> {
  try {
    return await checkCli(chosenProfile(context), context, options)
  } catch (error) {
    options.signal.throwIfAborted()
    return failed('Coding CLI', error)
  }
}

/** No CLI is chosen: one that is ready is enough. */
async function checkAny(context: Context, options: CheckOptions): Promise<Check> {
  const name = 'Coding CLI'
  const asking = availableProfiles(context).filter(({ login }) => login !== null)
  const checks = await Promise.all(asking.map((profile) => checkCli(profile, context, options)))
  const ready = checks.filter(({ status }) => status !== 'fail')
  const details = (ready.length > 0 ? ready : checks).map(({ name: cli, detail }) => `${cli}: ${detail}`)
  const detail = `none is chosen (--cli); ${details.join('; ')}`
  if (ready.length > 0) return { name, status: 'ok', detail }
  return {
    name,
    status: 'fail',
    detail,
    remedy: `${checks.flatMap(({ remedy }) => remedy ?? []).join('; or ')}. tinytown-worker demo needs none`,
  }
}

async function checkCli(profile: Profile, context: Context, { env, signal }: CheckOptions): Promise<Check> {
  const name = profile.title
  const { settings, place } = context
  const probe = await probeCli(profile, { env, passEnv: settings.passEnv, cwd: place.root, signal })
  const { path, version, login, detail } = probe
  if (path === null) return { name, status: 'fail', detail: 'not installed', remedy: profile.install }
  if (version === null && profile.version !== null)
    return { name, status: 'warn', detail: `${path} tells no version: ${detail}` }
  if (login === 'no') {
    const remedy = profile.login?.remedy
    return {
      name,
      status: 'fail',
      detail: `${version ?? path}, not logged in`,
      ...(remedy ? { remedy } : {}),
    }
  }
  if (login === 'unknown' && profile.login !== null)
    return { name, status: 'warn', detail: `${version ?? path}, tells nothing of its login: ${detail}` }
  const refusal = rootRefusal(profile, { ...env, ...profile.env.set })
  if (refusal !== null) {
    const remedy = profile.asRoot?.remedy
    return { name, status: 'fail', detail: refusal, ...(remedy ? { remedy } : {}) }
  }
  const tested = profile.version?.tested ?? []
  const told = login === 'yes' ? `${version ?? path}, logged in` : (version ?? path)
  if (version === null || tested.length === 0 || tested.includes(version))
    return { name, status: 'ok', detail: told }
  return { name, status: 'warn', detail: `${told}; tested with ${tested.join(', ')}` }
}
