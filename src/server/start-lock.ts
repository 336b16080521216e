import { randomUUID } from 'node:crypto'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import { sleep } from '../base/clock.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { processInfo } from './process-info.ts'

/** Who holds the lock. `host` is there because a container that shares the folder counts its processes for itself. */
const OwnerFile = z.object({ pid: z.int(), startedAt: z.string(), host: z.string(), token: z.string() })
type Owner = z.infer<typeof OwnerFile>

const POLL_MS = 50
// Longer than anything done under the lock: a start is bounded by its waits, 10 s to answer and 30 s to load.
const WAIT_MS = 60_000
const FOREIGN_STALE_MS = 2 * WAIT_MS
// Between creating a lock file and filling it, and while breaking one, lie microseconds.
const UNFINISHED_STALE_MS = 10_000

/**
 * Runs `action` while holding the lock file `<base>.lock`, so that of several processes one starts (or stops) the server
 * and the others find its work done. A server takes the socket file of another without asking, so nothing else keeps two apart.
 * The lock of a process that died is broken. Throws `config` when the folder cannot be written, `redis-failed` when the lock is
 * not free within a minute, `signal.reason` when aborted, and what `action` throws.
 */
export async function withStartLock<T>(
  base: string,
  signal: AbortSignal | undefined,
  action: () => Promise<T>,
): Promise<T> {
  const path = `${base}.lock`
  const token = await acquire(path, signal)
  try {
    return await action()
  } finally {
    const owner = await readOwner(path)
    if (owner?.token === token) await rm(path, { force: true })
  }
}

async function acquire(path: string, signal: AbortSignal | undefined): Promise<string> {
  const self = await processInfo(process.pid)
  const token = randomUUID()
  const owner: Owner = { pid: process.pid, startedAt: self?.startedAt ?? '', host: hostname(), token }
  const deadline = Date.now() + WAIT_MS
  while (true) {
    signal?.throwIfAborted()
    if (await create(path, JSON.stringify(owner))) return token
    if (await isStale(path)) await breakLock(path)
    else if (Date.now() >= deadline) throw await stillHeld(path)
    else await sleep(POLL_MS, signal)
  }
}

/** Creates the file with its text; false when it is there already. */
async function create(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    const folder = dirname(path)
    throw new WorkerError('config', `Expected a folder to write to, got ${folder}: ${messageOf(error)}`, {
      remedy: `Make ${folder} writable, or set REDIS_URL to a Redis that runs elsewhere.`,
      cause: error,
    })
  }
}

async function readOwner(path: string): Promise<Owner | null> {
  try {
    return OwnerFile.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return null
  }
}

async function ageMs(path: string): Promise<number> {
  const info = await stat(path).catch(() => null)
  return info === null ? 0 : Date.now() - info.mtimeMs
}

async function isStale(path: string): Promise<boolean> {
  const owner = await readOwner(path)
  if (owner === null) return (await ageMs(path)) > UNFINISHED_STALE_MS
  if (owner.host !== hostname()) return (await ageMs(path)) > FOREIGN_STALE_MS
  const holder = await processInfo(owner.pid)
  return holder === null || holder.startedAt !== owner.startedAt
}

/** Removes a stale lock. Only one process at a time may, and it looks again: the lock may be a fresh one by now. */
async function breakLock(path: string): Promise<void> {
  const breaker = `${path}.break`
  if (!(await create(breaker, ''))) {
    if ((await ageMs(breaker)) > UNFINISHED_STALE_MS) await rm(breaker, { force: true })
    await sleep(POLL_MS)
    return
  }
  try {
    if (await isStale(path)) await rm(path, { force: true })
  } finally {
    await rm(breaker, { force: true })
  }
}

async function stillHeld(path: string): Promise<WorkerError> {
  const owner = await readOwner(path)
  const holder = owner ? `process ${owner.pid} on ${owner.host}` : 'an unknown process'
  const message = `${path} is held by ${holder} for more than ${WAIT_MS / 1000} s`
  return new WorkerError('redis-failed', message, { remedy: 'End that process, or remove the file.' })
}
