import { readFile, readlink } from 'node:fs/promises'
import { execa } from 'execa'
import { sleep } from '../base/clock.ts'

/** A running process. `startedAt` is an opaque mark that differs when the number is used again by another process. */
export interface ProcessInfo {
  startedAt: string
  command: string
  /** Working folder; null where the system does not tell. */
  cwd: string | null
}

const GONE_POLL_MS = 25

/** Looks a process up by its id; null when it does not run. A zombie does not run: nobody may ever reap it in a container. */
export function processInfo(pid: number): Promise<ProcessInfo | null> {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid)
}

async function fromProc(pid: number): Promise<ProcessInfo | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold spaces; counted after it, state, threads and start time are 0, 17 and 19.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // While other threads of a zombie still end, its sockets are open.
    if (fields[0] === 'X' || (fields[0] === 'Z' && Number(fields[17]) <= 1)) return null
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim()
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => null)
    return { startedAt: fields[19] ?? '', command, cwd }
  } catch {
    return null
  }
}

async function fromPs(pid: number): Promise<ProcessInfo | null> {
  const args = ['-ww', '-o', 'stat=,lstart=,command=', '-p', String(pid)]
  const { stdout, failed } = await execa('ps', args, { reject: false, env: { LC_ALL: 'C' }, timeout: 5000 })
  // lstart is five words: Thu Nov 21 10:33:00 2024
  const match = /^\s*(\S+)\s+((?:\S+\s+){4}\S+)\s+(.*)$/s.exec(stdout ?? '')
  if (failed || !match?.[1] || match[1].startsWith('Z')) return null
  return { startedAt: match[2] ?? '', command: match[3] ?? '', cwd: null }
}

/** Waits up to `timeoutMs` for a process to end; true when it is gone. Throws `signal.reason` when aborted. */
export async function untilGone(
  pid: number,
  { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal | undefined },
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (await processInfo(pid)) {
    signal?.throwIfAborted()
    if (Date.now() >= deadline) return false
    // The end of a process that is not our child has no event.
    await sleep(GONE_POLL_MS, signal)
  }
  return true
}

/** The process id in a pid file, or null when there is no readable one. */
export async function readPidFile(path: string): Promise<number | null> {
  const pid = Number.parseInt(await readFile(path, 'utf8').catch(() => ''), 10)
  return pid > 1 ? pid : null
}

/** Whether a process is a Redis server by its command line. */
export function isRedisServer(info: ProcessInfo): boolean {
  return /(?:redis|valkey)-server\b/.test(info.command)
}
