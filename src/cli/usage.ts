import { nearest } from '../base/text.ts'
import { WorkerError } from '../domain/errors.ts'
import { type Command, flagsOf, usageOf, wordOf } from './command.ts'

/** The name by which this program is called. */
export const PROGRAM = 'tinytown-worker'

// No word of a command line can hold it, so it marks those that are not for yargs.
const MARK = '\0'

/**
 * Marks a word that yargs would take for flags although it is text: a lone `-`, which it loses in a list of words, and what
 * begins with a dash and goes on after a space, such as an item of a list.
 */
export function protectText(word: string): string {
  return word === '-' || /^-[^\s=]*\s/.test(word) ? MARK + word : word
}

/** Takes the marks off again, in the values of all flags and positionals. */
export function unprotect(flags: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(flags).map(([key, value]) => [key, unmark(value)]))
}

function unmark(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unmark)
  return typeof value === 'string' && value.startsWith(MARK) ? value.slice(MARK.length) : value
}

/** Says what yargs found, for people: with the flag or command that was probably meant, and what to do about it. */
export function explainUsage(
  message: string,
  argv: readonly string[],
  commands: readonly Command[],
): WorkerError {
  const command = argv.flatMap((word) => commands.filter((candidate) => wordOf(candidate) === word))[0]
  const help = `See ${PROGRAM} ${command ? `${wordOf(command)} ` : ''}--help`
  const unknown = /^Unknown arguments?: (.+)$/s.exec(message)?.[1]?.split(', ')[0]
  if (unknown !== undefined) return explainUnknown(String(unmark(unknown)), { argv, commands, command, help })
  if (message.startsWith('Not enough non-option arguments') && command) {
    const missing = command.choices
      ? command.choices.join(', ').replace(/, ([^,]*)$/, ' or $1')
      : (usageOf(command).match(/<[^>]+>/g) ?? []).join(' and ')
    return usageError(`Expected ${missing} after ${wordOf(command)}`, `${PROGRAM} ${usageOf(command)}`)
  }
  const flag = /^Not enough arguments following: (.+)$/.exec(message)?.[1]
  return usageError(flag === undefined ? message : `Expected a value after --${flag}`, help)
}

interface Situation {
  readonly argv: readonly string[]
  readonly commands: readonly Command[]
  readonly command: Command | undefined
  readonly help: string
}

function explainUnknown(unknown: string, { argv, commands, command, help }: Situation): WorkerError {
  const dashes = dashesBefore(unknown, argv)
  if (dashes !== null) {
    const known = Object.keys(flagsOf(command ?? commandByDefault(commands)))
    const everywhere = commands.flatMap((other) => Object.keys(flagsOf(other)))
    const meant = unknown.length === 1 ? null : (nearest(unknown, known) ?? nearest(unknown, everywhere))
    if (!known.includes(unknown) && everywhere.includes(unknown)) {
      return usageError(`--${unknown} is no flag of ${command ? wordOf(command) : 'run'}`, help)
    }
    const asText =
      command && takesText(command) && meant === null ? '; text that begins with a dash comes after --' : ''
    return usageError(`Unknown flag ${dashes}${unknown}${guess(meant && `--${meant}`)}`, help + asText)
  }
  if (command) return usageError(`Unexpected word ${JSON.stringify(unknown)} after ${wordOf(command)}`, help)
  const meant = nearest(unknown, commands.map(wordOf))
  return usageError(`Unknown command ${JSON.stringify(unknown)}${guess(meant)}`, help)
}

/** Whether any words may stand after the command. */
function takesText(command: Command): boolean {
  return /\.\.[\]>]/.test(usageOf(command))
}

/** The dashes with which a flag was written, also as one of several letters behind one dash; null for a word without. */
function dashesBefore(unknown: string, argv: readonly string[]): string | null {
  for (const word of argv) {
    const [, dashes = '', name = ''] = /^(--?)(?:no-)?([^=]+)/.exec(word) ?? []
    if (name === unknown || (dashes === '-' && unknown.length === 1 && name.includes(unknown))) return dashes
  }
  return null
}

function guess(meant: string | null): string {
  return meant ? `. Did you mean ${meant}?` : ''
}

function usageError(message: string, remedy: string): WorkerError {
  return new WorkerError('usage', message, { remedy })
}

/** The command that runs when none is named. */
function commandByDefault(commands: readonly Command[]): Command {
  const found = commands.find(({ name }) => typeof name !== 'string' && name.includes('$0'))
  if (!found) throw new TypeError('No command runs by default')
  return found
}
