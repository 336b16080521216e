import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { nearest } from '../base/text.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { type CustomCli, readCustomClis } from './custom-cli.ts'
import {
  brokenKey,
  type KeyProblem,
  type Problem,
  placeIn,
  shown,
  throwProblems,
  unknownKey,
} from './problem.ts'
import { SETTING_KEYS, settingOf } from './settings.ts'
import { lineOfKey, parseToml, type TomlTable } from './toml-text.ts'

/** The name of the file in the town folder. */
export const TOWN_FILE = 'tinytown.toml'

/** What a tinytown.toml says. */
export interface TownFile {
  readonly path: string
  /** The raw values of settings, by the dotted key of the file. */
  readonly values: Readonly<Record<string, unknown>>
  /** The lines on which they stand, by the same keys; absent where a line is not found by simple means. */
  readonly lines: Readonly<Record<string, number>>
  /** The [agent_clis] tables, by their keys. */
  readonly agentClis: Readonly<Record<string, CustomCli>>
  readonly warnings: readonly string[]
}

// Keys that upstream has (Tinytown, config.rs) and this worker does not use: no reason for a warning.
const UPSTREAM_TOP = ['conductor_cli', 'max_agents', 'use_streams', 'townhall', 'agent']
const UPSTREAM_REDIS = ['aof_path']

const TOML_PATHS = SETTING_KEYS.flatMap((key) => settingOf(key).toml)
const TOP_KEYS = [
  ...new Set(TOML_PATHS.map((path) => path.split('.', 1)[0] ?? '')),
  'agent_clis',
  ...UPSTREAM_TOP,
]

const tableSchema = z.record(z.string(), z.unknown(), 'a table')
const documentSchema = z.looseObject({ worker: tableSchema.optional(), redis: tableSchema.optional() })

/**
 * Reads a tinytown.toml; null when there is none. `builtInClis` are the ids of the CLIs whose [agent_clis] table needs no
 * command; null lets every table go without one. Throws `config` with all problems of its form; the values of settings are checked where settings are resolved.
 */
export function readTownFile(path: string, builtInClis: readonly string[] | null): TownFile | null {
  const text = readText(path)
  if (text === null) return null
  const document = parseToml(path, text)
  const { clis, problems: cliProblems } = readCustomClis(document.agent_clis, builtInClis)
  const problems = [...formProblems(document), ...unknownIn(document, 'worker'), ...cliProblems]
  throwProblems(
    'config',
    problems.map((problem) => located(problem, path, text)),
  )
  const values = settingValues(document)
  return {
    path,
    values,
    lines: linesOf(Object.keys(values), text),
    agentClis: clis,
    warnings: [...unknownIn(document, 'redis', UPSTREAM_REDIS), ...misspeltTables(document)].map(
      (problem) => located(problem, path, text).message,
    ),
  }
}

function readText(path: string): string | null {
  try {
    // Some editors begin a file with a byte order mark, which TOML does not know.
    return readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new WorkerError('config', `Cannot read ${path}: ${messageOf(error)}`, { cause: error })
  }
}

function linesOf(keys: readonly string[], text: string): Record<string, number> {
  const found = keys.map((key) => [key, lineOfKey(text, key.split('.'))] as const)
  return Object.fromEntries(found.filter((entry): entry is [string, number] => entry[1] !== null))
}

function located(problem: KeyProblem, path: string, text: string): Problem {
  return { ...problem, message: `${problem.message} (${placeIn(path, lineOfKey(text, problem.path))})` }
}

function formProblems(document: TomlTable): KeyProblem[] {
  const parsed = documentSchema.safeParse(document)
  if (parsed.success) return []
  return parsed.error.issues.map((issue) => {
    const path = issue.path.map(String)
    return brokenKey(path, issue.message, shown(document[path[0] ?? '']))
  })
}

function tableAt(document: TomlTable, name: string): TomlTable {
  const parsed = tableSchema.safeParse(document[name])
  return parsed.success ? parsed.data : {}
}

function unknownIn(document: TomlTable, name: string, upstream: readonly string[] = []): KeyProblem[] {
  const own = TOML_PATHS.filter((path) => path.startsWith(`${name}.`)).map((path) =>
    path.slice(name.length + 1),
  )
  const known = [...own, ...upstream]
  return Object.keys(tableAt(document, name))
    .filter((key) => !known.includes(key))
    .map((key) => unknownKey([name, key], known))
}

// Upstream may add keys at the top, so an unknown one is only worth a word when it looks like a slip.
function misspeltTables(document: TomlTable): KeyProblem[] {
  return Object.keys(document).flatMap((key) => {
    const near = TOP_KEYS.includes(key) ? null : nearest(key, TOP_KEYS)
    return near === null ? [] : [{ path: [key], message: `Unknown key ${key}, did you mean ${near}?` }]
  })
}

function settingValues(document: TomlTable): Record<string, unknown> {
  const found = TOML_PATHS.map((path) => {
    const [first = '', second] = path.split('.')
    return [path, second === undefined ? document[first] : tableAt(document, first)[second]] as const
  })
  return Object.fromEntries(found.filter(([, value]) => value !== undefined))
}
