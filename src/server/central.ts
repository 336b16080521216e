import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { centralFile, centralFolder, readCentralFile } from '../config/central-file.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { withStartLock } from './start-lock.ts'

const OWNER_ONLY = 0o600

/**
 * The password of the central redis-server, from `~/.tt/config.toml`; makes one, in the form of `tt`, where there is none. Throws
 * `config` when the file cannot be read or written.
 */
export async function centralPassword(home: string, signal?: AbortSignal): Promise<string> {
  const path = centralFile(home)
  try {
    await mkdir(centralFolder(home), { recursive: true, mode: 0o700 })
    return await withStartLock(path, signal, async () => {
      const found = readCentralFile(home).password
      if (found !== undefined) return found
      const password = `tt_${randomBytes(16).toString('hex')}`
      await replace(path, withPassword(await textOf(path), password))
      return password
    })
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof WorkerError) throw error
    throw new WorkerError('config', `Cannot keep the password of the central Redis: ${messageOf(error)}`, {
      remedy: `Make ${path} writable, or set TINYTOWN_REDIS_PASSWORD`,
      cause: error,
    })
  }
}

/** Closes the file with the password to others: `tt` writes it for everybody. One of another owner stays as it is. */
export async function closeToOthers(home: string): Promise<void> {
  const path = centralFile(home)
  try {
    if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, OWNER_ONLY)
  } catch {
    // There is none, or it is somebody else's.
  }
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
}

/** Whole or not at all: another process, `tt` for one, may read it at any time. */
async function replace(file: string, text: string): Promise<void> {
  // A link to it stays a link.
  const path = await realpath(file).catch(() => file)
  const draft = `${path}.${process.pid}.new`
  try {
    await writeFile(draft, text, { mode: OWNER_ONLY, flag: 'wx' })
    await rename(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
}

/** The text with a password in its [redis] table; everything else stays as it was written. */
export function withPassword(text: string, password: string): string {
  const line = `password = "${password}"`
  const blank = text.replace(/^[ \t]*password[ \t]*=[ \t]*(?:""|'')[ \t]*(?:#.*)?$/m, line)
  if (blank !== text) return blank
  const table = /^[ \t]*\[redis\][^\n]*\n?/m.exec(text)
  if (table === null)
    return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}\n[redis]\n${line}\n`.trimStart()
  const at = table.index + table[0].length
  const gap = table[0].endsWith('\n') ? '' : '\n'
  return `${text.slice(0, at)}${gap}${line}\n${text.slice(at)}`
}
