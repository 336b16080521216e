import type { Argv } from 'yargs'
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
  /** Positionals and flags beyond the settings. */
  readonly build?: (yargs: Argv) => Argv
  /** True: the command handles SIGINT and SIGTERM itself. */
  readonly ownSignals?: boolean
  run(invocation: Invocation): Promise<number>
}

/** The yargs form of a command's flags. */
export function buildCommand(yargs: Argv, command: Command): Argv {
  const withSettings = yargs.options(flagOptions(command.settings))
  return command.build ? command.build(withSettings) : withSettings
}
