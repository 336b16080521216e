import { readFile, readlink } from 'node:fs/promises'
import { execa } from 'execa'
import { sleep } from '../base/clock.ts'
import type { Listen } from './place.ts'

/**
 * A running process. `startedAt` is an opaque mark that differs when the number is used again by another process, also by one of
 * another container or after a restart of the machine.
 */
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
    return { startedAt: `${await view()}${fields[19] ?? ''}`, command, cwd }
  } catch {
    return null
  }
}

let viewed: Promise<string> | undefined

/**
 * In which world a process number is meant, as the beginning of `startedAt`: this start of the machine and this process namespace.
 * Containers may share a host name, and then count their processes each for itself. '' where there are no namespaces.
 */
function view(): Promise<string> {
  if (process.platform !== 'linux') return Promise.resolve('')
  viewed ??= Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
  ]).then(([boot, namespace]) => `${boot.trim()}/${namespace.replace(/\D/g, '')}/`)
  return viewed
}

/**
 * Whether the process that took a lease is dead for certain: it ran on the host `hostname`, and its number belongs to nobody or to
 * another process. False whenever that cannot be told from here: another host or container, or nothing recorded.
 */
export async function holderIsGone(
  holder: { host: string; pid: string; startedAt: string },
  { hostname }: { hostname: string },
): Promise<boolean> {
  const pid = Number(holder.pid)
  if (holder.host !== hostname || !Number.isInteger(pid) || pid < 1) return false
  if (holder.startedAt === '' || !holder.startedAt.startsWith(await view())) return false
  const info = await processInfo(pid)
  return info === null ? !isHidden(pid) : info.startedAt !== holder.startedAt
}

/** Whether a process ends with the service or container in which this one runs; false where nobody can tell. */
export async function sharesOurGroup(pid: number): Promise<boolean> {
  const groupOf = (process: string) => readFile(`/proc/${process}/cgroup`, 'utf8').catch(() => null)
  const [ours, theirs] = await Promise.all([groupOf('self'), groupOf(String(pid))])
  return ours !== null && ours === theirs
}

/** True for a process of another user that /proc does not show to this one (mount option hidepid). */
function isHidden(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
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

/** Whether the command line of a Redis server names where it listens, as it does where its working folder is not told. */
export function namesServer({ command }: ProcessInfo, listen: Listen): boolean {
  return command.includes('socketPath' in listen ? listen.socketPath : `:${listen.tcp.port}`)
}

/** Whether a process is a Redis server by its command line. */
export function isRedisServer(info: ProcessInfo): boolean {
  return /(?:redis|valkey)-server\b/.test(info.command)
}
