import { lstat, realpath, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname } from 'node:path'
import { sleep } from '../base/clock.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { refuseForeignData } from './data-files.ts'
import { type RedisBinary, requireRedisServer } from './find.ts'
import { makeFolder } from './folder.ts'
import { launch } from './launch.ts'
import { type PingAnswer, ping, serverPid } from './ping.ts'
import { LOADING_MS, type LocalRedisOptions, type Place, placeOf } from './place.ts'
import { isRedisServer, namesServer, processInfo, readPidFile, untilGone } from './process-info.ts'
import { checkSharedFolder, checkSocketPath, prepareSocketFolder } from './socket-path.ts'
import { withStartLock } from './start-lock.ts'
import { clearStopped } from './stop-mark.ts'

export interface LocalRedis {
  kind: 'adopted' | 'started'
  /** The path of its socket, or host and port. */
  address: string
  /** Null when the server does not tell (it wants a password, say) and there is no pid file. */
  pid: number | null
}

const PING_MS = 2000
const SILENT_MS = 10_000
const POLL_MS = 50
const CLOSING_MS = 2000
const END_MS = 5000

/**
 * Makes sure that a Redis answers on the town's socket: adopts the one that does, else starts one that goes on when this process
 * ends. Of several processes that call it at once, one starts the server and the others adopt it.
 *
 * A server of ours that takes connections and answers nothing is ended and replaced.
 *
 * Waits at most 10 s for a first answer, 30 s more while the server loads its data, and a minute for another process that is starting.
 * Throws `config` (socket path too long, folder not writable, something else at the socket path, data of another Redis in the folder), `redis-missing` (no binary),
 * `redis-failed` (the server ended or stays silent; with the last lines of its log), and `signal.reason` when aborted, in which
 * case a server that was being started is ended again.
 */
export async function ensureLocalRedis(
  options: LocalRedisOptions,
  { signal }: { signal?: AbortSignal } = {},
): Promise<LocalRedis> {
  const place = placeOf(options)
  if ('socketPath' in place.listen) {
    checkSocketPath(place.listen.socketPath)
    await checkSharedFolder(place.listen.socketPath)
  }
  const running = await adopt(place, signal)
  if (running !== null && running !== 'silent') return running
  // The folder of the central server is Tinytown's own.
  if (dirname(place.pidFile) !== place.root) await refuseForeignData(place)
  await prepareFolders(place)
  return withStartLock(place.lockBase, signal, async () => {
    const found = running === 'silent' ? running : await adopt(place, signal)
    if (found === 'silent') {
      if (await wakes(place, signal)) return await adopted(place, signal)
      await endSilent(place, signal)
    } else if (found) return found
    return await start(place, options.binary, signal)
  })
}

/** Null where nobody listens; `silent` for a server of ours that takes connections and answers nothing. */
async function adopt(place: Place, signal: AbortSignal | undefined): Promise<LocalRedis | 'silent' | null> {
  const answer = await settledAnswer(place, signal)
  if (answer === 'refused') return null
  if (answer === 'timeout' && (await silentServer(place)) !== null) return 'silent'
  if (isTransient(answer)) throw silent(place, answer)
  if (typeof answer === 'object' && !answer.isRedis) {
    throw new WorkerError('config', `Expected a Redis at ${place.address}, got: ${answer.other}`, {
      remedy:
        'socketPath' in place.listen
          ? 'Set another `redis.socket_path` in tinytown.toml, or set REDIS_URL.'
          : 'Set another `redis.port` in tinytown.toml, or the right TLS settings beside it.',
    })
  }
  return await adopted(place, signal)
}

async function adopted(place: Place, signal: AbortSignal | undefined): Promise<LocalRedis> {
  const pid = (await serverPid(place.endpoint, signal)) ?? (await readPidFile(place.pidFile))
  await clearStopped(place.pidFile)
  place.emit({ type: 'redis-adopted', address: place.address, pid })
  return { kind: 'adopted', address: place.address, pid }
}

type Transient = 'timeout' | 'loading' | 'closed'

function isTransient(answer: PingAnswer): answer is Transient {
  return answer === 'timeout' || answer === 'loading' || answer === 'closed'
}

/** The answer once the server is neither loading nor silent, or the last one when it stays so for too long. */
async function settledAnswer(place: Place, signal: AbortSignal | undefined): Promise<PingAnswer> {
  const begunAt = Date.now()
  let told = false
  while (true) {
    const answer = await ping(place.endpoint, { timeoutMs: PING_MS, signal })
    if (!isTransient(answer)) return answer
    const limitMs = answer === 'loading' ? LOADING_MS : SILENT_MS
    if (Date.now() - begunAt >= limitMs) return answer
    if (answer === 'loading' && !told) place.emit({ type: 'redis-loading', address: place.address })
    told ||= answer === 'loading'
    await sleep(POLL_MS, signal)
    signal?.throwIfAborted()
  }
}

const SILENCES: Readonly<Record<Transient, string>> = {
  loading: `is still loading its data after ${LOADING_MS / 1000} s`,
  timeout: `takes connections but does not answer PING within ${SILENT_MS / 1000} s`,
  closed: `takes connections and hangs up on PING, for ${SILENT_MS / 1000} s`,
}

function silent({ address, logFile }: Place, answer: Transient): WorkerError {
  return new WorkerError('redis-failed', `The Redis at ${address} ${SILENCES[answer]}`, {
    remedy: `See ${logFile}, and try again.`,
  })
}

/** The process of the pid file when it is this town's server. */
async function silentServer({ pidFile, dataDir, listen }: Place): Promise<number | null> {
  const pid = await readPidFile(pidFile)
  const info = pid === null ? null : await processInfo(pid)
  if (info === null || !isRedisServer(info)) return null
  const isOurs = info.cwd === null ? namesServer(info, listen) : info.cwd === (await realpath(dataDir))
  return isOurs ? pid : null
}

/** Lets a server go on that somebody stopped, with Ctrl-Z for one. Returns whether it answers then. */
async function wakes(place: Place, signal: AbortSignal | undefined): Promise<boolean> {
  const pid = await silentServer(place)
  if (pid === null || !send(pid, 'SIGCONT')) return false
  return (await ping(place.endpoint, { timeoutMs: PING_MS, signal })) === 'pong'
}

/** Returns false when there is no such process, or none that this user may signal. */
function send(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch {
    return false
  }
}

/**
 * Ends a server that froze, so that another one can take its place: SIGTERM, upon which Redis saves, and SIGKILL where that does
 * not help.
 */
async function endSilent(place: Place, signal: AbortSignal | undefined): Promise<void> {
  const pid = await silentServer(place)
  if (pid === null) return
  place.emit({ type: 'redis-silent', address: place.address, pid })
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    if (!send(pid, name) || (await untilGone(pid, { timeoutMs: END_MS, signal }))) return
  }
}

async function prepareFolders(place: Place): Promise<void> {
  for (const folder of new Set([place.dataDir, dirname(place.pidFile), dirname(place.logFile)])) {
    try {
      await makeFolder(folder)
    } catch (error) {
      throw new WorkerError(
        'config',
        `Expected a town folder to write to, got ${place.root}: ${messageOf(error)}`,
        {
          remedy: `Make ${place.root} writable, or set REDIS_URL to a Redis that runs elsewhere.`,
          cause: error,
        },
      )
    }
  }
  if ('socketPath' in place.listen) await prepareSocketFolder(place.listen.socketPath)
}

/** Only under the start lock, when nobody answers. */
async function start(
  place: Place,
  given: RedisBinary | undefined,
  signal: AbortSignal | undefined,
): Promise<LocalRedis> {
  const binary = given ?? (await requireRedisServer({ env: process.env, home: homedir() }))
  await refuseSecondServer(place, signal)
  if ('socketPath' in place.listen) await removeStaleSocket(place.listen.socketPath, place)
  const pid = await launch(place, binary, signal)
  await clearStopped(place.pidFile)
  place.emit({ type: 'redis-started', address: place.address, pid, version: binary.version.text })
  return { kind: 'started', address: place.address, pid }
}

/** Throws when a server works on this folder without answering here: two would overwrite each other's snapshot. */
async function refuseSecondServer(place: Place, signal: AbortSignal | undefined): Promise<void> {
  const pid = await readPidFile(place.pidFile)
  const info = pid === null ? null : await processInfo(pid)
  if (pid === null || info === null || !isRedisServer(info)) return
  const here = await realpath(place.dataDir)
  const sameTown = info.cwd === null ? namesServer(info, place.listen) : info.cwd === here
  // One that is shutting down has closed its socket but may still be there for a moment.
  if (!sameTown || (await untilGone(pid, { timeoutMs: CLOSING_MS, signal }))) return
  throw new WorkerError(
    'redis-failed',
    `A Redis server (process ${pid}) already works on ${here}, but does not listen on ${place.address}`,
    {
      remedy: `End it with \`kill ${pid}\` (it saves its data first), or set REDIS_URL to where it listens.`,
    },
  )
}

async function removeStaleSocket(socketPath: string, { emit }: Place): Promise<void> {
  const info = await lstat(socketPath).catch(() => null)
  if (info === null) return
  if (!info.isSocket()) {
    throw new WorkerError(
      'config',
      `Expected a socket or nothing at ${socketPath}, got another kind of file`,
      {
        remedy: 'Remove the file, or set another `redis.socket_path` in tinytown.toml.',
      },
    )
  }
  await rm(socketPath, { force: true })
  emit({ type: 'redis-stale-socket', address: socketPath })
}
