import type { Dirent } from 'node:fs'
import { lstat, readdir, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../domain/errors.ts'
import type { Id } from '../domain/ids.ts'
import type { Emit } from '../domain/worker-event.ts'

/** How long the files of ended runs are kept. 0 = no limit, for each. */
export interface KeepRules {
  readonly keepMs: number
  readonly keepBytes: number
}

/** A file that a run left in `.tt`. */
export interface RunFile {
  readonly path: string
  readonly taskId: Id
  readonly bytes: number
  /** When it was changed last, in milliseconds since 1970. */
  readonly changedAt: number
}

/** A worker makes the log of its run young at least so often, also one of another process that shares the folder. */
const IN_HAND_MS = 60_000

/** The files that are to go: those that are too old, and the oldest of those that are too much. Those of a task in hand stay. */
export function superfluous(
  files: readonly RunFile[],
  { keepMs, keepBytes, now, inHand }: KeepRules & { now: number; inHand: ReadonlySet<Id> },
): RunFile[] {
  const age = ({ changedAt }: RunFile) => now - changedAt
  const young = files.filter((file) => age(file) < IN_HAND_MS).map(({ taskId }) => taskId)
  const stays = new Set([...inHand, ...young])
  let bytes = 0
  return [...files]
    .sort((a, b) => b.changedAt - a.changedAt)
    .filter((file) => {
      bytes += file.bytes
      if (stays.has(file.taskId)) return false
      return (keepMs > 0 && age(file) > keepMs) || (keepBytes > 0 && bytes > keepBytes)
    })
}

const ID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
const LOG = new RegExp(`^(${ID})\\.log$`)
const TASK_FILE = new RegExp(`^(${ID})\\.(?:result|prompt)\\.md$`)

/**
 * Removes what runs left in `.tt/logs` and `.tt/tasks`, as far as it is too old or too much, and an agent's link to a log that is
 * gone. A file of any other name and all that is behind a link stay. Several workers may do it at once.
 */
export async function removeOldFiles(
  townRoot: string,
  { emit, ...rules }: KeepRules & { inHand: ReadonlySet<Id>; emit: Emit },
): Promise<void> {
  const logs = join(townRoot, '.tt', 'logs')
  try {
    const found = [
      ...(await runFiles(logs, LOG)),
      ...(await runFiles(join(townRoot, '.tt', 'tasks'), TASK_FILE)),
    ]
    const old = superfluous(found, { ...rules, now: Date.now() })
    if (old.length === 0) return
    for (const { path } of old) await rm(path, { force: true })
    await removeLinks(logs, new Set(old.map(({ taskId }) => `${taskId}.log`)))
    const bytes = old.reduce((sum, file) => sum + file.bytes, 0)
    emit({ type: 'old-files-removed', count: old.length, bytes })
  } catch (error) {
    emit({ type: 'old-files-stay', detail: messageOf(error) })
  }
}

async function runFiles(folder: string, name: RegExp): Promise<RunFile[]> {
  const files: RunFile[] = []
  for (const entry of await entriesOf(folder)) {
    const taskId = name.exec(entry.name)?.[1]
    if (taskId === undefined || !entry.isFile()) continue
    const path = join(folder, entry.name)
    const found = await lstat(path).catch(() => null)
    if (found) files.push({ path, taskId, bytes: found.size, changedAt: found.mtimeMs })
  }
  return files
}

/** What is in a folder; nothing where there is none, or a link in its place. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  const found = await lstat(folder).catch(() => null)
  return found?.isDirectory() ? await readdir(folder, { withFileTypes: true }) : []
}

async function removeLinks(folder: string, gone: ReadonlySet<string>): Promise<void> {
  for (const entry of await entriesOf(folder)) {
    if (!entry.isSymbolicLink()) continue
    const path = join(folder, entry.name)
    const target = await readlink(path).catch(() => '')
    if (gone.has(target)) await rm(path, { force: true })
  }
}
