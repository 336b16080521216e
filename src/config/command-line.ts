import { parse } from 'shell-quote'
import { z } from 'zod'
import { WorkerError } from '../domain/errors.ts'
import { expected } from './problem.ts'

/** A program and its arguments, ready to be run without a shell. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
}

/** What to do when a command needs a shell. */
export const SCRIPT_REMEDY =
  'Commands run without a shell: put the line into a script file and name that file, or quote what is meant literally.'

const COMMAND_RULE = 'a program and its arguments without shell syntax'

// Quoted parts and escaped characters, as a shell reads them: $'…', '…', "…", \x.
const QUOTED = /\$'(?:\\[\s\S]|[^'\\])*'|'[^']*'|"(?:\\[\s\S]|[^"\\])*"|\\[^\r\n]/g

// Tried in this order on the text without its quoted parts.
const SHELL_SYNTAX: readonly (readonly [RegExp, (found: string) => string])[] = [
  [/['"]/, (found) => `a quote without its end: ${found}`],
  [/`|\$[([]/, (found) => `a command substitution: ${found}`],
  [/\$(?:\{[^}]*\}?|\w+|[*@#?$!-])/, (found) => `the variable ${found}`],
  [/[\r\n]/, () => 'a line break'],
  [/(?<!\S)~/, (found) => `the home folder sign ${found}`],
  [/\|\||&&|;;|>>|<<|[|&;<>()]/, (found) => `the shell operator ${found}`],
  [/[*?[\]]/, (found) => `the file pattern ${found}`],
  [/#/, (found) => `the comment sign ${found}`],
  [/\\/, (found) => `a lone ${found}`],
]

/** What in the command only a shell could do, in words; null when there is nothing of the kind. */
export function shellSyntaxIn(command: string): string | null {
  if (command.trim() === '') return 'an empty text'
  if (command.includes('\0')) return 'a NUL character'
  const bare = command.replace(QUOTED, (part) => substitutionsIn(part))
  for (const [pattern, describe] of SHELL_SYNTAX) {
    const found = pattern.exec(bare)?.[0]
    if (found !== undefined) return describe(found)
  }
  const first = bare.trim().split(/\s/, 1)[0] ?? ''
  if (/^\w+=/.test(first)) return `a variable assignment before the program: ${first.replace(/=.*/s, '=')}`
  return splitCommand(command).program === '' ? 'an empty program' : null
}

const ESCAPE_OR_SYNTAX = /\\[\s\S]|`|\$[([]|\$(?:\{[^}]*\}?|\w+|[*@#?$!-])/g

/** Between double quotes a shell still replaces variables, commands and escaped line breaks; the rest is literal. */
function substitutionsIn(part: string): string {
  if (!part.startsWith('"')) return '_'
  const found = part.match(ESCAPE_OR_SYNTAX) ?? []
  return `_${found.filter((piece) => !piece.startsWith('\\') || piece === '\\\n').join('_')}`
}

function splitCommand(command: string): Command {
  // shell-quote takes an escaped * for a pattern; its text is what was meant. A `$` is literal here, or it would be refused.
  const words = parse(command, () => '$').map((word) =>
    typeof word === 'string' ? word : 'pattern' in word ? word.pattern : '',
  )
  return { program: words[0] ?? '', args: words.slice(1) }
}

/**
 * Splits a command into program and arguments as a shell would, without running one. Throws `config` when it holds
 * anything that only a shell can do.
 */
export function parseCommandLine(command: string): Command {
  const syntax = shellSyntaxIn(command)
  if (syntax === null) return splitCommand(command)
  throw new WorkerError('config', expected('the command', COMMAND_RULE, syntax), { remedy: SCRIPT_REMEDY })
}

/** The command of a table, split. */
export const commandSchema = z
  .string(COMMAND_RULE)
  .refine((command) => shellSyntaxIn(command) === null, { message: COMMAND_RULE, abort: true })
  .transform(splitCommand)
