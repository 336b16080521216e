import { nearest, oneLine } from '../base/text.ts'
import { type ErrorCode, WorkerError } from '../domain/errors.ts'
import { redactUrl } from './redis-url.ts'

/** Something that is wrong with the configuration, in one sentence, and what to do about it. */
export interface Problem {
  readonly message: string
  readonly remedy?: string
}

/** A problem at a key of the file. */
export interface KeyProblem extends Problem {
  readonly path: readonly string[]
}

/** The sentence of every configuration error. `where` names the source of the value and is left out when it is added later. */
export function expected(what: string, rule: string, got: string, where?: string): string {
  return `Expected ${what} to be ${rule}, got ${got}${where === undefined ? '' : ` (${where})`}`
}

/** A place in the file, as messages name it. */
export function placeIn(path: string, line: number | null | undefined): string {
  return line === null || line === undefined ? path : `${path}:${line}`
}

/** The problem of a value in the file that breaks a rule. */
export function brokenKey(path: readonly string[], rule: string, got: string): KeyProblem {
  return { path, message: expected(path.join('.'), rule, got) }
}

/** The problem of a key that nobody knows, with the known one that is nearest to it. */
export function unknownKey(path: readonly string[], known: readonly string[]): KeyProblem {
  const table = path.slice(0, -1).join('.')
  const near = nearest(path.at(-1) ?? '', known)
  const message = `Unknown key ${path.join('.')}`
  if (near !== null) return { path, message: `${message}, did you mean ${table}.${near}?` }
  return { path, message, remedy: `Known keys of [${table}]: ${known.join(', ')}` }
}

/** A value as a message may show it: one short line, without the password of a URL and without what follows a `=`. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return shownList(value)
  if (typeof value === 'object' && value !== null && !(value instanceof Date)) return 'a table'
  const text = String(value)
  if (text.trim() === '') return JSON.stringify(text)
  return oneLine(redactUrl(text).replace(/=.*/s, '=****'), 80)
}

function shownList(values: readonly unknown[]): string {
  if (values.length === 0) return 'an empty list'
  if (values.some((value) => typeof value === 'object')) return 'a list of tables or lists'
  return oneLine(`[${values.map(shownMember).join(', ')}]`, 80)
}

function shownMember(value: unknown): string {
  const text = shown(value)
  return typeof value === 'string' && value.trim() !== '' ? `"${text}"` : text
}

/** Throws one error that tells all problems, a line each; does nothing when there are none. */
export function throwProblems(code: ErrorCode, problems: readonly Problem[]): void {
  if (problems.length === 0) return
  const remedies = new Set(problems.flatMap(({ remedy }) => (remedy === undefined ? [] : [remedy])))
  throw new WorkerError(
    code,
    problems.map(({ message }) => message).join('\n'),
    remedies.size === 0 ? {} : { remedy: [...remedies].join('\n') },
  )
}
