import { existsSync } from 'node:fs'
import { lstat, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { sleep } from '../base/clock.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { type PingAnswer, ping, serverPid } from './ping.ts'
import { isRedisServer, processInfo, readPidFile, untilGone } from './process-info.ts'
import { exchange } from './resp.ts'
import { withStartLock } from './start-lock.ts'
import { clearStopped, markStopped } from './stop-mark.ts'

export interface StopPlace {
  socketPath: string
  pidFile: string
}

const PING_MS = 2000
const SHUTDOWN_MS = 10_000
const TERM_MS = 10_000
const POLL_MS = 25

/**
 * Stops the local server after it saved its data: SHUTDOWN SAVE over the socket, and where that does not end it SIGTERM to the
 * process, whose command line must name this socket. Removes the socket and pid file that are left over.
 * Throws `redis-failed` when the server refuses (it could not save) or does not end within 20 s, `signal.reason` when aborted.
 */
export async function stopLocalRedis(
  place: StopPlace,
  { signal }: { signal?: AbortSignal } = {},
): Promise<'stopped' | 'not-running'> {
  if (!existsSync(dirname(place.socketPath))) return 'not-running'
  return withStartLock(place.socketPath, signal, async () => {
    const answer = await ping({ path: place.socketPath }, { timeoutMs: PING_MS, signal })
    const pid = (await serverPid(place.socketPath, signal)) ?? (await pidFromFile(place))
    if (answer === 'refused' && pid === null) return cleanUp(place, 'not-running')
    if (isForeign(answer)) throw notOurs(place, answer)
    // Before it is down: a worker that misses it would start it again.
    await markStopped(place.pidFile)
    try {
      const asked = await askToShutDown(place, signal)
      if (!asked || !(await ended(place, pid, signal))) await terminate(place, pid, signal)
    } catch (error) {
      await clearStopped(place.pidFile)
      throw error
    }
    return cleanUp(place, 'stopped')
  })
}

function isForeign(answer: PingAnswer): answer is { other: string; isRedis: false } {
  return typeof answer === 'object' && !answer.isRedis
}

function notOurs({ socketPath }: StopPlace, { other }: { other: string }): WorkerError {
  return new WorkerError('redis-failed', `What listens on ${socketPath} is not Redis: ${other}`)
}

/** The process of the pid file when it is a Redis server of this socket: ids are used again after a restart of the machine. */
async function pidFromFile({ socketPath, pidFile }: StopPlace): Promise<number | null> {
  const pid = await readPidFile(pidFile)
  const info = pid === null ? null : await processInfo(pid)
  return info && isRedisServer(info) && info.command.includes(socketPath) ? pid : null
}

/** False when the server cannot be asked this way: it does not listen any more, or wants a password. */
async function askToShutDown({ socketPath }: StopPlace, signal: AbortSignal | undefined): Promise<boolean> {
  const reply = await exchange({ path: socketPath }, ['SHUTDOWN', 'SAVE'], { timeoutMs: SHUTDOWN_MS, signal })
  if (reply.kind === 'refused') return false
  if (reply.kind !== 'reply') return true // a server that shuts down closes without a reply
  if (reply.text.startsWith('NOAUTH')) return false
  throw new WorkerError('redis-failed', `The Redis at ${socketPath} refused to shut down: ${reply.text}`, {
    remedy:
      'See its log; most often the disk is full or the folder is not writable, and the data could not be saved.',
  })
}

async function ended(
  { socketPath }: StopPlace,
  pid: number | null,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const deadline = Date.now() + SHUTDOWN_MS
  while ((await ping({ path: socketPath }, { timeoutMs: PING_MS, signal })) !== 'refused') {
    if (Date.now() >= deadline) return false
    await sleep(POLL_MS, signal)
    signal?.throwIfAborted()
  }
  return pid === null || (await untilGone(pid, { timeoutMs: deadline - Date.now(), signal }))
}

async function terminate(
  place: StopPlace,
  pid: number | null,
  signal: AbortSignal | undefined,
): Promise<void> {
  const remedy = `Find the process that listens on ${place.socketPath} and end it by hand.`
  const message = `The Redis at ${place.socketPath} does not take SHUTDOWN`
  const info = pid === null ? null : await processInfo(pid)
  if (pid === null || (info && !isRedisServer(info)))
    throw new WorkerError('redis-failed', message, { remedy })
  try {
    // Redis saves on SIGTERM just as on SHUTDOWN.
    process.kill(pid, 'SIGTERM')
  } catch (error) {
    if (await processInfo(pid)) {
      throw new WorkerError('redis-failed', `${message}: ${messageOf(error)}`, { remedy, cause: error })
    }
  }
  if (!(await untilGone(pid, { timeoutMs: TERM_MS, signal }))) {
    throw new WorkerError(
      'redis-failed',
      `${message} and did not end within ${TERM_MS / 1000} s of SIGTERM`,
      { remedy },
    )
  }
}

async function cleanUp<T>({ socketPath, pidFile }: StopPlace, result: T): Promise<T> {
  const socket = await lstat(socketPath).catch(() => null)
  if (socket?.isSocket()) await rm(socketPath, { force: true })
  const pid = await readPidFile(pidFile)
  const info = pid === null ? null : await processInfo(pid)
  if (info === null || !isRedisServer(info)) await rm(pidFile, { force: true })
  return result
}
