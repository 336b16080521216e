import type { Argv, Options } from 'yargs'
import { flagOptions } from '../config/describe.ts'
import type { SettingGroup } from '../config/settings.ts'
import type { Flags } from './context.ts'
import type { Terminal } from './terminal.ts'

/** What a command gets: its flags and positionals as given, where to print, and the signal of Ctrl-C and SIGTERM. */
export interface Invocation {
  readonly flags: Flags
  readonly terminal: Terminal
  readonly env: NodeJS.ProcessEnv
  /** Aborts at the first SIGINT or SIGTERM. The `run` command listens to the signals itself and does not use it. */
  readonly signal: AbortSignal
}

/** One command: how it is called, what it says of itself, and what it does. Returns the exit code. */
export interface Command {
  readonly name: string | readonly string[]
  readonly describe: string
  /** Which groups of settings are flags of this command. */
  readonly settings: readonly SettingGroup[]
  /** Flags beyond the settings, by their names. */
  readonly flags?: Readonly<Record<string, Options>>
  /** The words that can stand for its positional, when there are only a few. */
  readonly choices?: readonly string[]
  /** What the positionals are. */
  readonly build?: (yargs: Argv) => Argv
  /** Command lines without the program's name, and what they do. */
  readonly examples?: readonly (readonly [command: string, meaning: string])[]
  /** True: the command handles SIGINT and SIGTERM itself. */
  readonly ownSignals?: boolean
  run(invocation: Invocation): Promise<number>
}

/** The yargs form of a command's positionals, flags and examples; help shows them in the order in which they come here. */
export function buildCommand(yargs: Argv, command: Command): Argv {
  const withPositionals = command.build ? command.build(yargs) : yargs
  const own = Object.entries(command.flags ?? {}).map(([name, option]) => [
    name,
    { ...option, group: 'Flags:' },
  ])
  return withPositionals
    .options(Object.fromEntries(own))
    .options(flagOptions(command.settings))
    .example((command.examples ?? []).map(([line, meaning]) => [`$0 ${line}`, meaning]))
}

/** All flags of a command, by their names. */
export function flagsOf(command: Command): Record<string, Options> {
  return { ...flagOptions(command.settings), ...command.flags }
}

/** How the command is called: `assign <agent> [text..]`. */
export function usageOf({ name }: Command): string {
  return typeof name === 'string' ? name : (name[0] ?? '')
}

/** The word by which the command is called. */
export function wordOf(command: Command): string {
  return usageOf(command).split(' ', 1)[0] ?? ''
}
