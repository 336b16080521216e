import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { centralFile, centralFolder, readCentralFile } from '../config/central-file.ts'
import { parseToml } from '../config/toml-text.ts'
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

/**
 * The text with a password in its [redis] table; everything else stays as it was written. Throws `config` for a file in which no
 * place is found for it.
 */
export function withPassword(text: string, password: string): string {
  const line = `password = "${password}"`
  const header = /^[ \t]*\[redis\][^\n]*(?:\n|$)/m.exec(text)
  const written =
    header === null ? appended(text, line) : inTable(text, header.index + header[0].length, line)
  if (passwordIn(written) === password) return written
  throw new WorkerError(
    'config',
    'Expected a [redis] table in ~/.tt/config.toml, or none, got another form of it',
    {
      remedy: `Write a password into it by hand, such as ${line}, or set TINYTOWN_REDIS_PASSWORD`,
    },
  )
}

function appended(text: string, line: string): string {
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}\n[redis]\n${line}\n`.trimStart()
}

/** Puts the line in place of an empty password of the table that begins at `from`, else at its beginning. */
function inTable(text: string, from: number, line: string): string {
  const next = /^[ \t]*\[/m.exec(text.slice(from))
  const end = next === null ? text.length : from + next.index
  const table = text.slice(from, end)
  const filled = table.replace(/^[ \t]*password[ \t]*=[ \t]*(?:""|'')[ \t]*(?:#.*)?$/m, line)
  const gap = from > 0 && !text.slice(0, from).endsWith('\n') ? '\n' : ''
  const changed = filled === table ? `${gap}${line}\n${table}` : filled
  return `${text.slice(0, from)}${changed}${text.slice(end)}`
}

function passwordIn(text: string): unknown {
  try {
    const { redis } = parseToml('~/.tt/config.toml', text)
    return (redis as { password?: unknown } | undefined)?.password
  } catch {
    return undefined
  }
}
