import { lstat, open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sleep } from '../base/clock.ts'
import { WorkerError } from '../domain/errors.ts'
import { type Endpoint, exchange } from './resp.ts'

// Redis's own default names; `tt` gives none, so its server reads and writes this snapshot.
const SNAPSHOT = 'dump.rdb'
const APPEND_FOLDER = 'appendonlydir'
/** What a redis-server writes into its folder, as lines of a .gitignore. */
export const DATA_LINES = [`/${SNAPSHOT}`, '/temp-*.rdb', `/${APPEND_FOLDER}/`]
const MANIFEST = 'appendonly.aof.manifest'

const SWITCH_MS = 30_000
const POLL_MS = 25

/**
 * Which of the two stores in `dataDir` a server has to be started from to see the latest data: the snapshot, the append-only
 * files, or `none` when the folder holds neither. Redis itself reads only the one it is configured for: switched to the other
 * it starts with an old town, or an empty one, and saves that over the good data.
 */
export async function newerData(dataDir: string): Promise<'snapshot' | 'append-only' | 'none'> {
  const snapshot = await snapshotStartedAt(join(dataDir, SNAPSHOT))
  const appended = await lastAppendAt(join(dataDir, APPEND_FOLDER))
  if (snapshot === null) return appended === null ? 'none' : 'append-only'
  if (appended === null) return 'snapshot'
  // What was appended before a snapshot began is in it. The snapshot's time has whole seconds; within the same second the
  // append-only files are the ones that cannot lack anything.
  return Math.floor(appended / 1000) >= snapshot / 1000 ? 'append-only' : 'snapshot'
}

/** Whether there are append-only files in `dataDir`, old or new. */
export async function hasAppendOnly(dataDir: string): Promise<boolean> {
  return (await lastAppendAt(join(dataDir, APPEND_FOLDER))) !== null
}

/**
 * Throws `config` when there is data of Redis in a folder that never was a town: it is another program's, and a server that is
 * started there would load it and save over it.
 */
export async function refuseForeignData(
  { root, dataDir = root }: { root: string; dataDir?: string },
  remedy = 'Move it away, give the town another folder with --town, or set REDIS_URL to a Redis that runs elsewhere.',
): Promise<void> {
  for (const name of [SNAPSHOT, APPEND_FOLDER]) {
    const path = join(dataDir, name)
    // In this order: what another process of the town writes meanwhile, it writes after it made `.tt`.
    if ((await exists(path)) && !(await exists(join(root, '.tt')))) {
      throw new WorkerError(
        'config',
        `Expected no data of another Redis in the folder of a new town, got ${path}: the town's redis-server would overwrite it`,
        { remedy },
      )
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

/** When a snapshot began, in milliseconds; its file's own time is later, by as long as the writing took. */
async function snapshotStartedAt(path: string): Promise<number | null> {
  const file = await open(path).catch(() => null)
  if (file === null) return null
  try {
    const head = Buffer.alloc(256)
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    // An RDB file begins with auxiliary fields; ctime is a length-prefixed name and a 32-bit little-endian number (0xc2).
    const marker = Buffer.from('\x05ctime\xc2', 'latin1')
    const at = head.indexOf(marker)
    if (at >= 0 && at + marker.length + 4 <= bytesRead) return head.readUInt32LE(at + marker.length) * 1000
    return (await file.stat()).mtimeMs
  } finally {
    await file.close()
  }
}

/** The last change, in milliseconds, of the files that the manifest names; null without a manifest. */
async function lastAppendAt(folder: string): Promise<number | null> {
  try {
    const manifest = await readFile(join(folder, MANIFEST), 'utf8')
    const names = [...manifest.matchAll(/^file (\S+) /gm)].map((match) => match[1] ?? '')
    const times = names.map((name) => stat(join(folder, name)).then((info) => info.mtimeMs))
    return Math.max(...(await Promise.all(times)))
  } catch {
    return null
  }
}

/**
 * Turns the append-only files on or off in the running server, which holds the latest data by now, and waits until the store that
 * it will be started from next time is complete.
 */
export async function switchAppendOnly(
  { endpoint, persist }: { endpoint: Endpoint; persist: boolean },
  signal: AbortSignal | undefined,
): Promise<void> {
  const command = (...args: string[]) => confirmed(endpoint, args, signal)
  await command('CONFIG', 'SET', 'appendonly', persist ? 'yes' : 'no')
  if (!persist) return void (await command('SAVE'))
  const deadline = Date.now() + SWITCH_MS
  while (/^aof_rewrite_(?:in_progress|scheduled):1/m.test(await command('INFO', 'persistence'))) {
    if (Date.now() >= deadline) return
    await sleep(POLL_MS, signal)
    signal?.throwIfAborted()
  }
}

async function confirmed(
  endpoint: Endpoint,
  args: string[],
  signal: AbortSignal | undefined,
): Promise<string> {
  const reply = await exchange(endpoint, args, { timeoutMs: SWITCH_MS, signal })
  if (reply.kind === 'reply' && !reply.isError) return reply.text
  const answer = 'text' in reply ? reply.text : reply.kind
  throw new Error(`answers ${args.slice(0, 3).join(' ')} with: ${answer}`)
}
