import { existsSync } from 'node:fs'
import { lstat, realpath, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { sleep } from '../base/clock.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { type PingAnswer, ping, serverPid } from './ping.ts'
import { type ServerPlace, serverPlace } from './place.ts'
import { isRedisServer, namesServer, processInfo, readPidFile, untilGone } from './process-info.ts'
import { exchange } from './resp.ts'
import { withStartLock } from './start-lock.ts'
import { clearStopped, markStopped } from './stop-mark.ts'

const PING_MS = 2000
const SHUTDOWN_MS = 10_000
const TERM_MS = 10_000
const POLL_MS = 25

/**
 * Stops the local server after it saved its data: SHUTDOWN SAVE over its socket or port, and where that does not end it SIGTERM to the
 * process of the pid file, which must be this server's. Removes the socket and pid file that are left over.
 * Throws `redis-failed` when the server refuses (it could not save) or does not end within 20 s, `signal.reason` when aborted.
 */
export async function stopLocalRedis(
  server: Parameters<typeof serverPlace>[0],
  { signal }: { signal?: AbortSignal } = {},
): Promise<'stopped' | 'not-running'> {
  const place = serverPlace(server)
  if (!existsSync(dirname(place.lockBase))) {
    // Without a folder for its pid file no server is this town's.
    const answer = await ping(place.endpoint, { timeoutMs: PING_MS, signal })
    if (answer === 'refused') return 'not-running'
    throw notStartedHere(place, await serverPid(place.endpoint, signal))
  }
  return withStartLock(place.lockBase, signal, async () => {
    const answer = await ping(place.endpoint, { timeoutMs: PING_MS, signal })
    const pid = (await serverPid(place.endpoint, signal)) ?? (await pidFromFile(place))
    if (answer === 'refused' && pid === null) return cleanUp(place, 'not-running')
    if (isForeign(answer)) throw notOurs(place, answer)
    if (pid !== null && !(await isOurs(pid, place))) throw notStartedHere(place, pid)
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

function notOurs({ address }: ServerPlace, { other }: { other: string }): WorkerError {
  return new WorkerError('redis-failed', `What listens on ${address} is not Redis: ${other}`)
}

/** Whether a server was started by this town: it works in its folder, or is the process of its pid file. */
async function isOurs(pid: number, { dataDir, pidFile }: ServerPlace): Promise<boolean> {
  const info = await processInfo(pid)
  if (info?.cwd && info.cwd === (await realpath(dataDir).catch(() => dataDir))) return true
  return (await readPidFile(pidFile)) === pid
}

function notStartedHere({ address }: ServerPlace, pid: number | null): WorkerError {
  const message = `The Redis at ${address} (process ${pid ?? 'unknown'}) was not started by this town: it is left alone`
  return new WorkerError('redis-failed', message, {
    remedy: 'Whoever started it stops it; to have a server of its own, give the town another redis.port',
  })
}

/** The process of the pid file when it is a Redis server of this socket: ids are used again after a restart of the machine. */
async function pidFromFile({ listen, dataDir, pidFile }: ServerPlace): Promise<number | null> {
  const pid = await readPidFile(pidFile)
  const info = pid === null ? null : await processInfo(pid)
  if (info === null || !isRedisServer(info)) return null
  return info.cwd === dataDir || namesServer(info, listen) ? pid : null
}

/** False when the server cannot be asked this way: it does not listen any more, or wants a password. */
async function askToShutDown(
  { endpoint, address }: ServerPlace,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const reply = await exchange(endpoint, ['SHUTDOWN', 'SAVE'], { timeoutMs: SHUTDOWN_MS, signal })
  if (reply.kind === 'refused') return false
  if (reply.kind !== 'reply') return true // a server that shuts down closes without a reply
  if (/^(?:NOAUTH|WRONGPASS)/.test(reply.text)) return false
  throw new WorkerError('redis-failed', `The Redis at ${address} refused to shut down: ${reply.text}`, {
    remedy:
      'See its log; most often the disk is full or the folder is not writable, and the data could not be saved.',
  })
}

async function ended(
  { endpoint }: ServerPlace,
  pid: number | null,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const deadline = Date.now() + SHUTDOWN_MS
  while ((await ping(endpoint, { timeoutMs: PING_MS, signal })) !== 'refused') {
    if (Date.now() >= deadline) return false
    await sleep(POLL_MS, signal)
    signal?.throwIfAborted()
  }
  return pid === null || (await untilGone(pid, { timeoutMs: deadline - Date.now(), signal }))
}

async function terminate(
  place: ServerPlace,
  pid: number | null,
  signal: AbortSignal | undefined,
): Promise<void> {
  const remedy = `Find the process that listens on ${place.address} and end it by hand.`
  const message = `The Redis at ${place.address} does not take SHUTDOWN`
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

async function cleanUp<T>({ listen, pidFile }: ServerPlace, result: T): Promise<T> {
  if ('socketPath' in listen) {
    const socket = await lstat(listen.socketPath).catch(() => null)
    if (socket?.isSocket()) await rm(listen.socketPath, { force: true })
  }
  const pid = await readPidFile(pidFile)
  const info = pid === null ? null : await processInfo(pid)
  if (info === null || !isRedisServer(info)) await rm(pidFile, { force: true })
  return result
}
