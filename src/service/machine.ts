import { chmod, mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { type ProgramEnd, runProgram } from '../process/run-program.ts'
import { findProgram } from '../process/which.ts'
import type { ServiceFile, Step } from './plan.ts'

/** This machine, as far as services go. */
export interface Machine {
  readonly uid: number
  readonly home: string
  readonly env: NodeJS.ProcessEnv
  /** A file, or null when there is none. */
  read(path: string): Promise<Omit<ServiceFile, 'path'> | null>
  /** The names in a folder; none when there is no folder. */
  list(folder: string): Promise<string[]>
  /** The user id that owns a path; null when it is not there. */
  owner(path: string): Promise<number | null>
  has(program: string): Promise<boolean>
  run(command: readonly string[]): Promise<ProgramEnd>
}

/** The machine on which this runs. */
export function thisMachine(options: { env: NodeJS.ProcessEnv; home: string; signal: AbortSignal }): Machine {
  const { env, home, signal } = options
  return {
    uid: process.getuid?.() ?? -1,
    home,
    env,
    async read(path) {
      try {
        const [text, { mode }] = await Promise.all([readFile(path, 'utf8'), stat(path)])
        return { text, mode: mode & 0o777 }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
        throw fileTrouble('read', path, error)
      }
    },
    list: (folder) => readdir(folder).catch(() => []),
    owner: (path) =>
      stat(path).then(
        ({ uid }) => uid,
        () => null,
      ),
    has: async (program) => (await findProgram(program, { path: env.PATH, cwd: '/' })) !== null,
    run: (command) => runProgram(command, { env, signal }),
  }
}

/** Throws `not-installed` where a machine without this program has no such service manager. */
export async function requireProgram(program: string, manager: string, { has }: Machine): Promise<void> {
  if (await has(program)) return
  throw new WorkerError('not-installed', `There is no ${manager} here: ${program} is not in PATH`, {
    remedy: `tinytown-worker service print --${manager} shows what it would get`,
  })
}

/**
 * Does the steps one after another; each is told before it is done, and an optional one that fails. Throws `no-permission` or
 * `service-failed` at the first that fails.
 */
export async function doSteps(
  machine: Machine,
  steps: readonly Step[],
  tell: { onStep: (step: Step) => void; onPassedOver: (why: string) => void },
): Promise<void> {
  for (const step of steps) {
    tell.onStep(step)
    if (step.do === 'write') await write(step)
    else if (step.do === 'remove') await remove(step.path)
    else {
      const end = await machine.run(step.command)
      if (end.ok) continue
      const why = `${step.command.join(' ')} failed: ${end.output || `exit code ${end.exitCode}`}`
      if (!step.optional) {
        throw new WorkerError('service-failed', why, {
          remedy: 'tinytown-worker service status, with the same flags, shows what the worker said',
        })
      }
      tell.onPassedOver(why)
    }
  }
}

/** Whole or not at all, and never open to others for a moment. */
async function write({ path, text, mode }: ServiceFile): Promise<void> {
  const fresh = `${path}.new`
  try {
    await mkdir(dirname(path), { recursive: true })
    await rm(fresh, { force: true })
    await writeFile(fresh, text, { mode, flag: 'wx' })
    await chmod(fresh, mode)
    await rename(fresh, path)
  } catch (error) {
    throw fileTrouble('written', path, error)
  }
}

/** Removes a file, and the folder of its own that it leaves empty. */
async function remove(path: string): Promise<void> {
  try {
    await rm(path, { force: true })
  } catch (error) {
    throw fileTrouble('removed', path, error)
  }
  if (/\.d\/[^/]+$/.test(path)) await rmdir(dirname(path)).catch(() => undefined)
}

function fileTrouble(what: string, path: string, error: unknown): WorkerError {
  const denied = ['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')
  return new WorkerError(
    denied ? 'no-permission' : 'service-failed',
    `${path} cannot be ${what}: ${messageOf(error)}`,
    { cause: error, ...(denied ? { remedy: RIGHTS_REMEDY } : {}) },
  )
}

/** What to do without the rights for a service of the whole machine. */
export const RIGHTS_REMEDY =
  'Run it with sudo, or add --user for a service of your own, which needs no rights'
