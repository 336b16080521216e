import { accessSync, closeSync, constants, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { execaSync } from 'execa'
import type { Command } from './command.ts'

/**
 * The second mark of a run, beside its variable: a soft limit on file locks, of which the kernel has taken no notice since Linux 2.4.25. Whatever comes
 * of the run inherits it, also where it clears or overwrites its environment, as daemons do for their titles; /proc shows it.
 */
export function lockLimitOf(runId: string): string | null {
  const digits = /^[0-9a-f-]{24}([0-9a-f]{12})$/.exec(runId)?.[1]
  // Above every number that somebody would choose.
  return digits === undefined ? null : String(2n ** 48n + BigInt(`0x${digits}`))
}

/** True when the process has the limit of this run. */
export function hasLockLimit(pid: number, runId: string): boolean {
  const limit = lockLimitOf(runId)
  if (limit === null || setter() === null) return false
  try {
    const limits = readFileSync(`/proc/${pid}/limits`, 'latin1')
    return /^Max file locks +(\d+) /m.exec(limits)?.[1] === limit
  } catch {
    // Gone.
    return false
  }
}

/** The same command, marked where that can be done; one that could not be started is left as it is, to say so itself. */
export function marked(command: Command, runId: string): Command {
  const limit = lockLimitOf(runId)
  const program = setter()
  if (limit === null || program === null || !canStart(command.program)) return command
  return { ...command, program, args: [`--locks=${limit}:`, '--', command.program, ...command.args] }
}

let known: string | null | undefined

/** The program that sets a limit and becomes another; null where there is none, or where it has no effect. */
function setter(): string | null {
  known ??= findSetter()
  return known
}

function findSetter(): string | null {
  if (process.platform !== 'linux') return null
  for (const program of ['/usr/bin/prlimit', '/bin/prlimit']) {
    if (!isExecutable(program)) continue
    const args = ['--locks=281474976710656:', '--', '/bin/cat', '/proc/self/limits']
    const { stdout } = execaSync(program, args, { reject: false, timeout: 2000 })
    if (/^Max file locks +281474976710656 /m.test(stdout ?? '')) return program
  }
  return null
}

/** Whether a program, its interpreter included, is there. */
function canStart(program: string): boolean {
  if (!isAbsolute(program) || !isExecutable(program)) return false
  const interpreter = /^#!\s*(\S+)/.exec(beginningOf(program))?.[1]
  return interpreter === undefined || isExecutable(interpreter)
}

function beginningOf(path: string): string {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const bytes = Buffer.alloc(256)
    return bytes.toString('latin1', 0, readSync(file, bytes))
  } catch {
    // It may be executed and not read.
    return ''
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
