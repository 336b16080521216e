import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { sleep } from '../base/clock.ts'
import { messageOf } from '../domain/errors.ts'
import type { Id } from '../domain/ids.ts'
import type { Emit } from '../domain/worker-event.ts'

/** A write that takes longer keeps its result on disk meanwhile. */
const PATIENCE_MS = 1000
/** How many results that nobody took are kept, the newest ones, and how much they take on the disk. */
const KEPT = 100
const KEPT_BYTES = 256 * 1024 * 1024
/** What a killed worker left half written; no write takes so long. */
const STALE_MS = 60_000

/** A result as the spool holds it: named by its task and by the start of its run. */
export interface Spooled {
  readonly taskId: Id
  readonly startId: string
  readonly text: string
}

/** Why a result is kept aside: its task is not this agent's any more, or nobody can read it. */
export type KeptWhy = 'gone' | 'ended' | 'elsewhere' | 'unreadable'

/**
 * Holds the results of an agent on disk until Redis has them, in files that survive the worker and the machine. There is seldom more
 * than one: while a result is not written, nothing new is claimed.
 */
export class Spool {
  readonly #root: string
  readonly #folder: string
  readonly #agentId: Id
  readonly #emit: Emit
  #held = 0

  /** `root` is the folder of all agents. It is made when there is something to hold. */
  constructor({ root, agentId, emit }: { root: string; agentId: Id; emit: Emit }) {
    this.#root = root
    this.#folder = join(root, agentId)
    this.#agentId = agentId
    this.#emit = emit
  }

  /** True while a result that Redis does not have lies safely on disk. */
  get holds(): boolean {
    return this.#held > 0
  }

  /** Does `write`. The result is put on disk when that takes longer than a second or fails, and taken off when it is done. */
  async during<T>(result: Spooled, write: () => Promise<T>): Promise<T> {
    let held: Promise<boolean> | undefined
    const hold = () => {
      held ??= this.#hold(result)
      return held
    }
    const patience = new AbortController()
    const late = sleep(PATIENCE_MS, patience.signal).then((over) => over && hold())
    try {
      const done = await write()
      patience.abort()
      await late
      if (await held) await this.remove(result)
      return done
    } catch (error) {
      await hold()
      throw error
    } finally {
      patience.abort()
      if (await held) this.#held -= 1
    }
  }

  /** The results that wait, and the names of files that are none. What the disk does not give now stays where it is. */
  async list(): Promise<{ results: Spooled[]; unreadable: string[] }> {
    const results: Spooled[] = []
    const unreadable: string[] = []
    for (const name of await this.#names()) {
      const [, taskId, startId] = FILE.exec(name) ?? []
      if (name.endsWith('.tmp')) await removeStale(join(this.#folder, name))
      else if (!taskId || !startId) unreadable.push(name)
      else {
        const read = await this.#read(name)
        if (read.kind === 'result') results.push({ taskId, startId, text: read.text })
        if (read.kind === 'no-file') unreadable.push(name)
      }
    }
    return { results, unreadable }
  }

  /** Takes a result off the disk. One that stays is found again as one that was written. */
  async remove(result: Pick<Spooled, 'taskId' | 'startId'>): Promise<void> {
    const path = join(this.#folder, nameOf(result))
    try {
      await rm(path, { force: true })
      await syncFolder(this.#folder)
    } catch (error) {
      this.#emit({ type: 'spool-failed', path, detail: messageOf(error) })
    }
  }

  /** Sets a result aside that is not to be written, with the reason in its name; the oldest of too many go. */
  async keep(name: string | Pick<Spooled, 'taskId' | 'startId'>, why: KeptWhy): Promise<void> {
    const file = typeof name === 'string' ? name : nameOf(name)
    const from = join(this.#folder, file)
    const folder = join(this.#root, 'kept')
    const path = join(folder, `${this.#agentId}-${file.replace(/\.json$/, '')}.${why}.json`)
    try {
      await makeFolder(folder)
      await rename(from, path)
      await removeOldest(folder)
      this.#emit({ type: 'result-kept', why, path })
    } catch (error) {
      this.#emit({ type: 'spool-failed', path: from, detail: messageOf(error) })
    }
  }

  async #read(
    name: string,
  ): Promise<{ kind: 'result'; text: string } | { kind: 'no-file' } | { kind: 'not-now' }> {
    const path = join(this.#folder, name)
    try {
      return { kind: 'result', text: await readFile(path, 'utf8') }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EISDIR') return { kind: 'no-file' }
      if (code !== 'ENOENT') this.#emit({ type: 'spool-unread', path, detail: messageOf(error) })
      return { kind: 'not-now' }
    }
  }

  async #names(): Promise<string[]> {
    try {
      return await namesIn(this.#folder)
    } catch (error) {
      this.#emit({ type: 'spool-failed', path: this.#folder, detail: messageOf(error) })
      return []
    }
  }

  /** Never throws: a result that cannot be held costs a run when the worker dies as well, no more. */
  async #hold(result: Spooled): Promise<boolean> {
    const path = join(this.#folder, nameOf(result))
    const half = `${path}.tmp`
    try {
      for (const folder of [this.#root, this.#folder]) await makeFolder(folder)
      await writeSynced(half, result.text)
      await rename(half, path)
      for (const folder of [this.#folder, this.#root]) await syncFolder(folder)
    } catch (error) {
      await rm(half, { force: true }).catch(() => undefined)
      this.#emit({ type: 'spool-failed', path, detail: messageOf(error) })
      return false
    }
    this.#held += 1
    this.#emit({ type: 'result-spooled', taskId: result.taskId, path })
    return true
  }
}

const FILE = /^([0-9a-f-]{36})-([0-9a-f-]{36})\.json$/

function nameOf({ taskId, startId }: Pick<Spooled, 'taskId' | 'startId'>): string {
  return `${taskId}-${startId}.json`
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
    await syncFolder(dirname(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A new name is on disk when its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found && Date.now() - found.mtimeMs > STALE_MS) await rm(path, { force: true }).catch(() => undefined)
}

async function removeOldest(folder: string): Promise<void> {
  const found = await Promise.all(
    (await namesIn(folder)).map(async (name) => {
      const path = join(folder, basename(name))
      const { mtimeMs = 0, size = 0 } = (await stat(path).catch(() => null)) ?? {}
      return { path, mtimeMs, size }
    }),
  )
  let bytes = 0
  for (const [index, { path, size }] of found.sort((a, b) => b.mtimeMs - a.mtimeMs).entries()) {
    bytes += size
    // The newest is the one that this is about.
    if (index > 0 && (index >= KEPT || bytes > KEPT_BYTES)) await rm(path, { force: true })
  }
}
