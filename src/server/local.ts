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
import { isRedisServer, processInfo, readPidFile, untilGone } from './process-info.ts'
import { checkSharedFolder, checkSocketPath, prepareSocketFolder } from './socket-path.ts'
import { withStartLock } from './start-lock.ts'
import { clearStopped } from './stop-mark.ts'

export interface LocalRedis {
  kind: 'adopted' | 'started'
  socketPath: string
  /** Null when the server does not tell (it wants a password, say) and there is no pid file. */
  pid: number | null
}

const PING_MS = 2000
const SILENT_MS = 10_000
const POLL_MS = 50
const CLOSING_MS = 2000

/**
 * Makes sure that a Redis answers on the town's socket: adopts the one that does, else starts one that goes on when this process
 * ends. Of several processes that call it at once, one starts the server and the others adopt it.
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
  checkSocketPath(place.socketPath)
  await checkSharedFolder(place.socketPath)
  const running = await adopt(place, signal)
  if (running) return running
  await refuseForeignData(place)
  await prepareFolders(place)
  return withStartLock(place.socketPath, signal, async () => {
    return (await adopt(place, signal)) ?? (await start(place, options.binary, signal))
  })
}

async function adopt(place: Place, signal: AbortSignal | undefined): Promise<LocalRedis | null> {
  const answer = await settledAnswer(place, signal)
  if (answer === 'refused') return null
  if (isTransient(answer)) throw silent(place, answer)
  if (typeof answer === 'object' && !answer.isRedis) {
    throw new WorkerError('config', `Expected a Redis at ${place.socketPath}, got: ${answer.other}`, {
      remedy: 'Set another `redis.socket_path` in tinytown.toml, or set REDIS_URL.',
    })
  }
  const pid = (await serverPid(place.socketPath, signal)) ?? (await readPidFile(place.pidFile))
  await clearStopped(place.pidFile)
  place.emit({ type: 'redis-adopted', socketPath: place.socketPath, pid })
  return { kind: 'adopted', socketPath: place.socketPath, pid }
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
    const answer = await ping({ path: place.socketPath }, { timeoutMs: PING_MS, signal })
    if (!isTransient(answer)) return answer
    const limitMs = answer === 'loading' ? LOADING_MS : SILENT_MS
    if (Date.now() - begunAt >= limitMs) return answer
    if (answer === 'loading' && !told) place.emit({ type: 'redis-loading', socketPath: place.socketPath })
    told ||= answer === 'loading'
    await sleep(POLL_MS, signal)
    signal?.throwIfAborted()
  }
}

function silent({ socketPath, logFile }: Place, answer: Transient): WorkerError {
  const what =
    answer === 'loading'
      ? `is still loading its data after ${LOADING_MS / 1000} s`
      : `takes connections but does not answer PING within ${SILENT_MS / 1000} s`
  return new WorkerError('redis-failed', `The Redis at ${socketPath} ${what}`, {
    remedy: `See ${logFile}, and try again.`,
  })
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
  await prepareSocketFolder(place.socketPath)
}

/** Only under the start lock, when nobody answers. */
async function start(
  place: Place,
  given: RedisBinary | undefined,
  signal: AbortSignal | undefined,
): Promise<LocalRedis> {
  const binary = given ?? (await requireRedisServer({ env: process.env, home: homedir() }))
  await refuseSecondServer(place, signal)
  await removeStaleSocket(place)
  const pid = await launch(place, binary, signal)
  await clearStopped(place.pidFile)
  place.emit({ type: 'redis-started', socketPath: place.socketPath, pid, version: binary.version.text })
  return { kind: 'started', socketPath: place.socketPath, pid }
}

/** Throws when a server works on this folder without answering here: two would overwrite each other's snapshot. */
async function refuseSecondServer(place: Place, signal: AbortSignal | undefined): Promise<void> {
  const pid = await readPidFile(place.pidFile)
  const info = pid === null ? null : await processInfo(pid)
  if (pid === null || info === null || !isRedisServer(info)) return
  const here = await realpath(place.dataDir)
  const sameTown = info.cwd === null ? info.command.includes(place.socketPath) : info.cwd === here
  // One that is shutting down has closed its socket but may still be there for a moment.
  if (!sameTown || (await untilGone(pid, { timeoutMs: CLOSING_MS, signal }))) return
  throw new WorkerError(
    'redis-failed',
    `A Redis server (process ${pid}) already works on ${here}, but does not listen on ${place.socketPath}`,
    {
      remedy: `End it with \`kill ${pid}\` (it saves its data first), or set REDIS_URL to where it listens.`,
    },
  )
}

async function removeStaleSocket({ socketPath, emit }: Place): Promise<void> {
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
  emit({ type: 'redis-stale-socket', socketPath })
}
