import { parse, TomlError } from 'smol-toml'
import { messageOf, WorkerError } from '../domain/errors.ts'

/** A parsed TOML document. */
export type TomlTable = Readonly<Record<string, unknown>>

/** Parses the text of the file at `path`. Throws `config` with the place, the rule and the text of the offending line. */
export function parseToml(path: string, text: string): TomlTable {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const rule = messageOf(error)
      .split('\n', 1)[0]
      ?.replace(/^Invalid TOML document: /, '')
    const message = `Malformed TOML in ${path}, line ${error.line}, column ${error.column}: ${rule}`
    throw new WorkerError('config', `${message}\n  ${lineWithoutSecret(text, error.line).trim()}`)
  }
}

const HEADER = /^\s*\[+\s*([^[\]]+?)\s*\]+\s*(?:#.*)?$/
const ASSIGNMENT = /^\s*([\w"'.\s-]+?)\s*=/
const SECRET_KEY = /((?:password|secret|token|key|url)["']?\s*[=:]?|\benv(?:\.[\w"'-]+)?\s*=)\s*.*/i

/** Line `number` with `****` in place of a value that may be secret: passwords, URLs, keys, variables of an `env` table. */
function lineWithoutSecret(text: string, number: number): string {
  const lines = text.split(/\r?\n/).slice(0, number)
  const line = lines.at(-1) ?? ''
  const header = lines.findLast((above) => HEADER.test(above)) ?? ''
  const owner = lines.findLast((above) => ASSIGNMENT.test(above) || HEADER.test(above)) ?? ''
  if (/\benv\s*\]/.test(header)) return ASSIGNMENT.test(line) ? line.replace(/=.*/, '= ****') : '****'
  if (SECRET_KEY.test(line)) return line.replace(SECRET_KEY, '$1 ****')
  // A line without a key of its own goes on with the value above it.
  return owner !== line && SECRET_KEY.test(owner) ? '****' : line
}

/** The number of the line that writes the key at `path`, or null when it is not found by simple means. */
export function lineOfKey(text: string, path: readonly string[]): number | null {
  const wanted = path.join('.')
  let table = ''
  let nearest: number | null = null
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const header = HEADER.exec(line)?.[1]
    const key = header === undefined ? ASSIGNMENT.exec(line)?.[1] : undefined
    if (header !== undefined) table = plainPath(header)
    const here = header !== undefined ? table : key === undefined ? null : join(table, plainPath(key))
    if (here === wanted) return index + 1
    // A table within the line, or the header of the table that misses the key.
    if (here !== null && wanted.startsWith(`${here}.`)) nearest = index + 1
  }
  return nearest
}

function plainPath(path: string): string {
  return path.replace(/\s*\.\s*/g, '.').replace(/["']/g, '')
}

function join(table: string, key: string): string {
  return table === '' ? key : `${table}.${key}`
}
