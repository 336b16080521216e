#!/usr/bin/env node
import yargs from 'yargs'
import { nearest } from '../base/text.ts'
import { asWorkerError, type WorkerError } from '../domain/errors.ts'
import { buildCommand, type Command } from './command.ts'
import { commands } from './commands/index.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import { processTerminal } from './terminal.ts'
import { VERSION } from './version.ts'

/** A usage error that yargs found, already worded for people. */
class UsageError extends Error {}

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done
  const program = yargs([...argv])
    .scriptName('tinytown-worker')
    .usage('$0 [run] --cli codex\n\nRuns a coding CLI on the tasks of a Tinytown town, unattended.')
    .version(VERSION)
    .help()
    .strict()
    .recommendCommands()
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw error ?? new UsageError(suggest(message))
    })
  for (const command of commands) {
    program.command(
      command.name,
      command.describe,
      (builder) => buildCommand(builder, command),
      async (flags) => {
        exitCode = await invoke(command, flags)
      },
    )
  }
  try {
    await program.parseAsync()
    return exitCode
  } catch (error) {
    if (error instanceof UsageError) return complain(error.message, 'See tinytown-worker --help', EXIT.usage)
    return report(asWorkerError(error), argv.includes('--json'))
  }
}

async function invoke(command: Command, flags: Record<string, unknown>): Promise<number> {
  const abort = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => abort.abort(signal)
  if (!command.ownSignals) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
  try {
    return await command.run({ flags, terminal: processTerminal(), env: process.env, signal: abort.signal })
  } catch (error) {
    if (abort.signal.aborted) return abort.signal.reason === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted
    throw error
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, onSignal)
  }
}

/** Adds the flag that was probably meant to what yargs says of an unknown one. */
function suggest(message: string): string {
  const unknown = /^Unknown arguments?: (.+)$/.exec(message)?.[1]?.split(', ')[0]
  if (!unknown) return message
  const known = commands.flatMap((command) => Object.keys(buildCommand(yargs([]), command).getOptions().key))
  const meant = nearest(unknown, [...new Set(known)])
  const shown = unknown.length > 1 ? `Unknown flag or word: ${unknown}` : message
  return meant ? `${shown}. Did you mean --${meant}?` : shown
}

function report(error: WorkerError, asJson: boolean): number {
  const exitCode = exitCodeOf(error.code)
  if (asJson) {
    const { code, message, remedy } = error
    process.stderr.write(`${JSON.stringify({ error: { code, message, remedy, exitCode } })}\n`)
    return exitCode
  }
  if (error.code === 'internal')
    process.stderr.write(`${error.cause instanceof Error ? error.cause.stack : ''}\n`)
  return complain(error.message, error.remedy, exitCode)
}

function complain(message: string, remedy: string | undefined, exitCode: number): number {
  process.stderr.write(`tinytown-worker: ${message}\n${remedy ? `  → ${remedy}\n` : ''}`)
  return exitCode
}
