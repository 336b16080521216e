import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, open } from 'node:fs/promises'
import { sleep } from '../base/clock.ts'
import type { TlsFiles } from '../config/tls-files.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { hasAppendOnly, newerData, switchAppendOnly } from './data-files.ts'
import type { RedisBinary } from './find.ts'
import { ping } from './ping.ts'
import { type Listen, LOADING_MS, type Place } from './place.ts'
import { untilGone } from './process-info.ts'
import type { Endpoint } from './resp.ts'

const FIRST_ANSWER_MS = 10_000
const POLL_MS = 25
const PING_MS = 1000
const END_MS = 5000
const LOG_BYTES = 4096
const LOG_LINES = 12
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH']

/**
 * Starts a redis-server in a session of its own and waits until it answers; returns its process id. The server belongs to the
 * town, not to this process: Ctrl-C in the terminal and the end of this process do not reach it.
 * Throws `redis-failed` with the last lines of its log, and `signal.reason` when aborted; the server is ended in both cases.
 */
export async function launch(
  place: Place,
  binary: RedisBinary,
  signal: AbortSignal | undefined,
): Promise<number> {
  const newer = await newerData(place.dataDir)
  const appendOnly = newer === 'none' ? place.persist : newer === 'append-only'
  const persist = place.persist || (place.shared && (await hasAppendOnly(place.dataDir)))
  const log = await openLog(place)
  try {
    const logFrom = (await log.stat()).size
    const server = spawnServer(place, binary, { appendOnly, logFd: log.fd })
    try {
      await untilAnswer(server, place.endpoint, signal)
      if (appendOnly !== persist) await switchAppendOnly({ ...place, persist }, signal)
    } catch (error) {
      await end(server)
      if (signal?.aborted) throw signal.reason
      throw startError(error, place, binary, await tail(log, logFrom))
    }
    // From here on nobody waits for it. A child that is waited for would keep this process alive.
    server.child.unref()
    return server.pid
  } finally {
    await log.close()
  }
}

interface Server {
  child: ChildProcess
  pid: number
  /** How it ended, or null while it runs. */
  ending: () => string | null
}

async function openLog({ logFile }: Place): Promise<FileHandle> {
  try {
    return await open(logFile, 'a+', 0o600)
  } catch (error) {
    throw new WorkerError('config', `Cannot write the log of Redis: ${messageOf(error)}`, {
      remedy: `Make ${logFile} writable, or set REDIS_URL to a Redis that runs elsewhere.`,
      cause: error,
    })
  }
}

function spawnServer(
  place: Place,
  binary: RedisBinary,
  { appendOnly, logFd }: { appendOnly: boolean; logFd: number },
): Server {
  const child = spawn(binary.path, ['-'], {
    // Not `daemonize yes`: the end of our own child is an event, that of a daemon can only be guessed.
    detached: true,
    cwd: place.dataDir,
    // What the server prints before it opens its log file, a wrong option for one, goes to the same file.
    stdio: ['pipe', logFd, logFd],
    // The server outlives us; the API keys in our environment are none of its business.
    env: Object.fromEntries(
      PASSED_ON.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
    ),
  })
  // Not as arguments: everybody on the machine can read those, a password among them.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(configText(place, appendOnly))
  let ending: string | null = null
  child.once('error', (error) => {
    ending ??= error.message
  })
  child.once('exit', (code, signal) => {
    ending ??= signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`
  })
  return { child, pid: child.pid ?? 0, ending: () => ending }
}

/** The configuration as redis-server reads it from its standard input. */
function configText({ dataDir, listen, pidFile, logFile }: Place, appendOnly: boolean): string {
  const settings: Record<string, string> = {
    ...listenSettings(listen),
    dir: dataDir,
    dbfilename: 'dump.rdb',
    pidfile: pidFile,
    logfile: logFile,
    loglevel: 'notice',
    appendonly: appendOnly ? 'yes' : 'no',
    appendfsync: 'everysec',
  }
  // The default would wait for up to an hour with what a small town writes.
  const lines = ['save 60 1', ...Object.entries(settings).map(([name, value]) => `${name} ${quoted(value)}`)]
  return `${lines.join('\n')}\n`
}

function listenSettings(listen: Listen): Record<string, string> {
  if ('socketPath' in listen) return { port: '0', unixsocket: listen.socketPath, unixsocketperm: '700' }
  const { bind, port, password, tls } = listen.tcp
  return {
    bind,
    ...(password === undefined ? {} : { requirepass: password }),
    ...(tls === null ? { port: String(port) } : tlsSettings(port, tls)),
  }
}

function tlsSettings(port: number, { cert = '', key = '', ca }: TlsFiles): Record<string, string> {
  return {
    port: '0',
    'tls-port': String(port),
    'tls-cert-file': cert,
    'tls-key-file': key,
    ...(ca === undefined ? {} : { 'tls-ca-cert-file': ca }),
    // `tt` shows no certificate; one that is shown must be of the authority.
    'tls-auth-clients': ca === undefined ? 'no' : 'optional',
  }
}

/** A value in the quotes of redis.conf (Redis, sds.c: sdssplitargs). */
function quoted(value: string): string {
  return JSON.stringify(value).replace(/\\u00([0-9a-f]{2})/g, '\\x$1')
}

async function untilAnswer(
  server: Server,
  endpoint: Endpoint,
  signal: AbortSignal | undefined,
): Promise<void> {
  let deadline = Date.now() + FIRST_ANSWER_MS
  let loading = false
  while (true) {
    const ending = server.ending()
    if (ending !== null) throw new Error(ending)
    const answer = await ping(endpoint, { timeoutMs: PING_MS, signal })
    if (answer === 'pong' || answer === 'noauth') return
    if (typeof answer === 'object') throw new Error(`answers PING with: ${answer.other}`)
    if (answer === 'loading' && !loading) {
      loading = true
      deadline = Date.now() + LOADING_MS
    }
    if (Date.now() >= deadline) {
      throw new Error(loading ? `loads its data for more than ${LOADING_MS / 1000} s` : 'does not answer')
    }
    await sleep(POLL_MS, signal)
    signal?.throwIfAborted()
  }
}

async function end({ child, pid, ending }: Server): Promise<void> {
  if (ending() !== null || pid === 0) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  if (!(await untilGone(pid, { timeoutMs: END_MS }))) child.kill('SIGKILL')
  await gone
}

/** The last lines that were added to the log after `from`. */
async function tail(log: FileHandle, from: number): Promise<string> {
  const { size } = await log.stat()
  const start = Math.max(from, size - LOG_BYTES)
  const { buffer, bytesRead } = await log.read(Buffer.alloc(size - start), 0, size - start, start)
  return buffer.toString('utf8', 0, bytesRead).trim().split('\n').slice(-LOG_LINES).join('\n')
}

function startError(error: unknown, place: Place, binary: RedisBinary, log: string): WorkerError {
  const message = `${binary.path} ${binary.version.text} did not start: ${messageOf(error)}`
  return new WorkerError('redis-failed', log === '' ? message : `${message}\n${log}`, {
    remedy: `See ${place.logFile}, or set REDIS_URL to a Redis that runs elsewhere.`,
    cause: error,
  })
}
