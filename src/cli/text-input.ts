import { readFileSync } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import { buffer as readAll } from 'node:stream/consumers'
import type { Options } from 'yargs'
import { z } from 'zod'
import * as schema from '../config/schemas.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import type { Invocation } from './command.ts'
import type { Flags } from './context.ts'
import { flagValue } from './flags.ts'
import { utf8Text } from './utf8-text.ts'

/** `--file`, for commands that take a text. */
export function fileFlag(what: string): Readonly<Record<string, Options>> {
  return { file: { type: 'string', requiresArg: true, describe: `Read the ${what} from this file` } }
}

/** `--tag`, for commands that make a task. */
export const tagFlag: Readonly<Record<string, Options>> = {
  tag: { type: 'string', array: true, requiresArg: true, describe: 'A tag of the task; may be repeated' },
}

const tagsRule = z.array(schema.label, 'one line of 1 to 64 characters')

/** The tags of `--tag`. */
export function readTags(flags: Flags): string[] {
  return flagValue(flags, 'tag', tagsRule) ?? []
}

/** The words of a positional that takes many, with those that stand behind a bare `--`. */
export function wordsOf(flags: Flags, name: string): string[] {
  // What follows a bare -- comes here, behind the name of the command.
  const behind = (flags._ as readonly unknown[]).slice(1)
  return [...((flags[name] as readonly unknown[] | undefined) ?? []), ...behind].map(String)
}

/** The text that a command was given in words, with `--file` or on stdin. Throws `usage` when it is blank or given twice. */
export async function readText(
  invocation: Invocation,
  { what, words }: { what: string; words: readonly string[] },
): Promise<string> {
  const text = await readAnyText(invocation, what, words)
  if (text.trim() !== '') return text
  throw new WorkerError('usage', `Expected the text of the ${what}, got nothing`, {
    remedy: 'Give it as words, with --file PATH, or with - on stdin',
  })
}

async function readAnyText(
  { flags, terminal, signal }: Invocation,
  what: string,
  words: readonly string[],
): Promise<string> {
  const file = flagValue(flags, 'file', schema.text)
  if (file !== undefined && words.length > 0) {
    throw new WorkerError(
      'usage',
      `Expected the ${what} in words or in a file, got both (--file ${file}, ${words[0]} …)`,
    )
  }
  if (file === '-' || (words.length === 1 && words[0] === '-')) {
    if (process.stdin.isTTY) terminal.note(`Type the ${what}, then Ctrl-D:`)
    return utf8Text(await readAll(addAbortSignal(signal, process.stdin)), 'stdin')
  }
  return file === undefined ? words.join(' ') : readTextFile(file, what)
}

function readTextFile(path: string, what: string): string {
  try {
    return utf8Text(readFileSync(path), path)
  } catch (error) {
    if (error instanceof WorkerError) throw error
    throw new WorkerError('usage', `Cannot read the ${what} from ${path}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
