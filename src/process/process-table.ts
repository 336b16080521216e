import { readdirSync, readFileSync } from 'node:fs'
import { execa } from 'execa'
import treeKill from 'tree-kill'
import { RUN_VARIABLE } from './environment.ts'
import { hasLockLimit } from './run-mark.ts'

/** One process of the machine. */
export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** 0 where the system does not tell. */
  readonly session: number
  /** Grows with time; together with the pid it names a process for good: pids are used again. */
  readonly startedAt: number
  /** Dead, and only not yet collected by its parent. */
  readonly zombie: boolean
}

export type TreeSignal = 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGTSTP' | 'SIGCONT'

/** How processes are listed and signalled on a platform. */
export interface ProcessTable {
  /** How often to look whether processes are gone: nobody is told of the end of a grandchild. */
  readonly pollMs: number
  list(): Promise<ProcessEntry[]>
  /** Those of `pids` that exist. */
  look(pids: readonly number[]): Promise<ProcessEntry[]>
  /** True when every one of `marks` (`NAME=value`) stands in the environment with which the process was started; that of a run is known otherwise as well. */
  carries(pid: number, marks: readonly string[]): boolean
  /** Signals each process that still is the one of its entry. */
  signal(entries: readonly ProcessEntry[], signal: TreeSignal): Promise<void>
}

/** The table of this platform. */
export function systemTable(): ProcessTable {
  return process.platform === 'linux' ? procTable : psTable
}

/** Linux: everything stands in /proc. Read at one go, as processes fork while one looks. */
export const procTable: ProcessTable = {
  pollMs: 25,
  list: async () => present(readdirSync('/proc').map((name) => readStat(Number(name)))),
  look: async (pids) => present(pids.map(readStat)),
  carries(pid, marks) {
    const environment = environmentOf(pid)
    return marks.every((mark) => environment.includes(`\0${mark}\0`) || isOfRun(pid, mark))
  },
  async signal(entries, signal) {
    for (const { pid, startedAt } of entries) {
      if (readStat(pid)?.startedAt === startedAt) kill(pid, signal)
    }
  },
}

/**
 * macOS and others: `ps` lists, tree-kill signals each subtree. The environment of a process cannot be read there, so one that
 * left its group and whose ancestors are gone is not found.
 */
export const psTable: ProcessTable = {
  pollMs: 100,
  list: listByPs,
  look: async (pids) => (await listByPs()).filter(({ pid }) => pids.includes(pid)),
  carries: () => false,
  async signal(entries, signal) {
    const now = new Map((await listByPs()).map((entry) => [entry.pid, entry.startedAt]))
    const same = entries.filter(({ pid, startedAt }) => now.get(pid) === startedAt)
    const pids = new Set(same.map(({ pid }) => pid))
    const tops = same.filter(({ parent }) => !pids.has(parent))
    await Promise.all(tops.map(({ pid }) => killSubtree(pid, signal)))
  },
}

/** Sends a signal; a process that is gone, or that belongs to somebody else, is no error: the next look tells. */
export function kill(pid: number, signal: TreeSignal): void {
  try {
    process.kill(pid, signal)
  } catch {
    // ESRCH or EPERM
  }
}

/** Kills every process with these marks in its environment at once, without a turn of the event loop; on Linux only. */
export function killMarked(marks: readonly string[]): void {
  if (process.platform !== 'linux') return
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (Number.isInteger(pid) && pid !== process.pid && procTable.carries(pid, marks)) kill(pid, 'SIGKILL')
  }
}

/** '' for what is gone, and for what is another user's. */
function environmentOf(pid: number): string {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}\0`
  } catch {
    return ''
  }
}

/** Whether the second mark of a run says the same as its variable. */
function isOfRun(pid: number, mark: string): boolean {
  return mark.startsWith(`${RUN_VARIABLE}=`) && hasLockLimit(pid, mark.slice(RUN_VARIABLE.length + 1))
}

function killSubtree(pid: number, signal: TreeSignal): Promise<void> {
  return new Promise((resolve) => treeKill(pid, signal, () => resolve()))
}

function present(entries: readonly (ProcessEntry | null)[]): ProcessEntry[] {
  return entries.filter((entry) => entry !== null)
}

function readStat(pid: number): ProcessEntry | null {
  if (!Number.isInteger(pid)) return null
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name, in parentheses, may hold spaces and parentheses; the fields after it: proc_pid_stat(5), from the third on.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, parent, group, session] = fields
    return {
      pid,
      parent: Number(parent),
      group: Number(group),
      session: Number(session),
      startedAt: Number(fields[19]),
      // A main thread that ended while others go on shows as a zombie too.
      zombie: state === 'X' || (state === 'Z' && Number(fields[17]) <= 1),
    }
  } catch {
    return null
  }
}

async function listByPs(): Promise<ProcessEntry[]> {
  const args = ['-axo', 'pid=,ppid=,pgid=,stat=,lstart=']
  const { stdout } = await execa('ps', args, { env: { LC_ALL: 'C' }, timeout: 10_000 })
  return present(stdout.split('\n').map(readPsLine))
}

function readPsLine(line: string): ProcessEntry | null {
  // lstart is a date of five words: Thu Nov 21 10:33:00 2024
  const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/.exec(line)
  if (!match) return null
  const [, pid, parent, group, state, started] = match
  return {
    pid: Number(pid),
    parent: Number(parent),
    group: Number(group),
    session: 0,
    startedAt: Date.parse(started ?? ''),
    zombie: state?.startsWith('Z') === true,
  }
}
