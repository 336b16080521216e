import { nearest } from '../base/text.ts'
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

/** What a usage error means, in our words, and what to do about it. */
export interface Explanation {
  readonly message: string
  readonly remedy: string
}

/** Says what yargs found, for people: with the flag or command that was probably meant. */
export function explainUsage(
  message: string,
  argv: readonly string[],
  commands: readonly Command[],
): Explanation {
  const command = argv.flatMap((word) => commands.filter((candidate) => wordOf(candidate) === word))[0]
  const help = `See ${PROGRAM} ${command ? `${wordOf(command)} ` : ''}--help`
  const unknown = /^Unknown arguments?: (.+)$/s.exec(message)?.[1]?.split(', ')[0]
  if (unknown !== undefined)
    return explainUnknown(unmark(unknown) as string, { argv, commands, command, help })
  if (message.startsWith('Not enough non-option arguments') && command) {
    const missing = usageOf(command).match(/<[^>]+>/g) ?? []
    return {
      message: `Expected ${missing.join(' and ')} after ${wordOf(command)}`,
      remedy: `${PROGRAM} ${usageOf(command)}`,
    }
  }
  const flag = /^Not enough arguments following: (.+)$/.exec(message)?.[1]
  return { message: flag === undefined ? message : `Expected a value after --${flag}`, remedy: help }
}

interface Situation {
  readonly argv: readonly string[]
  readonly commands: readonly Command[]
  readonly command: Command | undefined
  readonly help: string
}

function explainUnknown(unknown: string, { argv, commands, command, help }: Situation): Explanation {
  const dashes = argv.map((word) => /^(--?)(?:no-)?([^=]+)/.exec(word))
  const flag = dashes.find(
    (match) => match?.[2] === unknown || (match?.[1] === '-' && match[2]?.includes(unknown)),
  )
  if (flag) {
    const known = Object.keys(flagsOf(command ?? commandByDefault(commands)))
    const everywhere = commands.flatMap((other) => Object.keys(flagsOf(other)))
    const meant = unknown.length === 1 ? null : (nearest(unknown, known) ?? nearest(unknown, everywhere))
    return {
      message: `Unknown flag ${flag[1]}${unknown}${meant ? `. Did you mean --${meant}?` : ''}`,
      remedy:
        command && !known.includes(meant ?? '')
          ? `${help}; text that begins with a dash comes after --`
          : help,
    }
  }
  if (command)
    return { message: `Unexpected word ${JSON.stringify(unknown)} after ${wordOf(command)}`, remedy: help }
  const meant = nearest(unknown, commands.map(wordOf))
  return {
    message: `Unknown command ${JSON.stringify(unknown)}${meant ? `. Did you mean ${meant}?` : ''}`,
    remedy: help,
  }
}

/** The command that runs when none is named. */
function commandByDefault(commands: readonly Command[]): Command {
  const [first, ...rest] = commands
  if (!first) throw new TypeError('There are no commands')
  return [first, ...rest].find(({ name }) => typeof name !== 'string' && name.includes('$0')) ?? first
}
