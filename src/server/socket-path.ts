import { createHash } from 'node:crypto'
import { lstat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { makeFolder } from './folder.ts'

// sizeof(sockaddr_un.sun_path) less the closing NUL: unix(7) on Linux; <sys/un.h> on macOS and the BSDs.
const LIMIT_LINUX = 107
const LIMIT_BSD = 103

/** The longest path in bytes that a unix socket can have on this system. */
export function socketPathLimit(platform: NodeJS.Platform = process.platform): number {
  return platform === 'linux' ? LIMIT_LINUX : LIMIT_BSD
}

/** Throws `config` when `path` is too long for a unix socket: the system would cut it silently and serve another file. */
export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) <= socketPathLimit()) return
  throw new WorkerError(
    'config',
    `Expected the Redis socket path to have at most ${socketPathLimit()} bytes (the limit of ${process.platform}), ` +
      `got ${Buffer.byteLength(path)}: ${path}`,
    { remedy: 'Set a shorter `redis.socket_path` in tinytown.toml, or set REDIS_URL.' },
  )
}

/** Where a town's socket lies when nobody says otherwise: `<root>/.tt/redis.sock` as with `tt`, or the short path if that is too long. */
export function defaultSocketPath(root: string): string {
  const usual = join(resolve(root), '.tt', 'redis.sock')
  return Buffer.byteLength(usual) <= socketPathLimit() ? usual : shortSocketPath(root)
}

/**
 * The socket path for a town folder that lies too deep for a socket of its own: `/tmp/tinytown-<uid>/<hash of root>.sock`.
 * Only a fallback, since `tt` looks at `<root>/.tt/redis.sock`. It depends on nothing but user and folder, so that a daemon under
 * cron and a command in a terminal agree; TMPDIR differs between the two, and XDG_RUNTIME_DIR is deleted at log-out, when the
 * server goes on.
 */
export function shortSocketPath(root: string, uid: number = process.getuid?.() ?? 0): string {
  const hash = createHash('sha256').update(resolve(root)).digest('hex').slice(0, 16)
  return join(sharedFolder(uid), `${hash}.sock`)
}

function sharedFolder(uid: number): string {
  return join('/tmp', `tinytown-${uid}`)
}

/**
 * Makes the folder of the socket. The one below /tmp must be ours and closed to others: whoever can put a socket there
 * decides which tasks this worker runs. Throws `config` when it is not, or when the folder cannot be made.
 */
export async function prepareSocketFolder(socketPath: string): Promise<void> {
  const folder = dirname(socketPath)
  try {
    await makeFolder(folder, 0o700)
  } catch (error) {
    throw new WorkerError('config', `Cannot make the folder of the Redis socket: ${messageOf(error)}`, {
      remedy: 'Set `redis.socket_path` in tinytown.toml to a place that you can write, or set REDIS_URL.',
      cause: error,
    })
  }
  await checkSharedFolder(socketPath)
}

/** Throws `config` when the socket lies in the folder below /tmp and that folder is open to others. */
export async function checkSharedFolder(socketPath: string): Promise<void> {
  const uid = process.getuid?.() ?? 0
  const folder = dirname(socketPath)
  if (folder !== sharedFolder(uid)) return
  const info = await lstat(folder).catch(() => null)
  if (info === null) return
  if (info.isDirectory() && info.uid === uid && (info.mode & 0o077) === 0) return
  const mode = (info.mode & 0o777).toString(8)
  throw new WorkerError(
    'config',
    `Expected ${folder} to be a folder of user id ${uid} with mode 700, got owner ${info.uid} and mode ${mode}`,
    { remedy: `Remove ${folder}, or set \`redis.socket_path\` in tinytown.toml.` },
  )
}
