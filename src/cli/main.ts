#!/usr/bin/env node
import yargs, { type Argv } from 'yargs'
import { asWorkerError, type WorkerError } from '../domain/errors.ts'
import { buildCommand, type Command } from './command.ts'
import { commands } from './commands/index.ts'
import { EXIT, exitCodeOf } from './exit-codes.ts'
import { explainRedis } from './redis-refusal.ts'
import { processTerminal } from './terminal.ts'
import { explainUsage, PROGRAM, protectText, unprotect } from './usage.ts'
import { VERSION } from './version.ts'

process.stdout.on('error', endWithoutOutput)
// What stands beside the output may be lost, on a full disk say: the work goes on.
process.stderr.on('error', () => undefined)

/** What yargs 18 can and its types do not know yet. */
type YargsOfToday = Argv & { usageConfiguration(options: { 'hide-types': boolean }): Argv }

/** What to do about a bug. */
const STACK_REMEDY = 'This was not foreseen; TINYTOWN_LOG_LEVEL=debug shows where it comes from'

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done
  const program = yargs(argv.map(protectText))
    .scriptName(PROGRAM)
    .usage('$0 [run] --cli codex\n\nRuns a coding CLI on the tasks of a Tinytown town, unattended.')
    .epilogue(`${PROGRAM} <command> --help tells more of a command.`)
    .version(VERSION)
    .help()
    // The messages of yargs are read below.
    .locale('en')
    .parserConfiguration({ 'parse-numbers': false, 'parse-positional-numbers': false })
    .strict()
    .wrap(Math.min(110, process.stdout.columns ?? 100))
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      // A YError is what yargs throws of its own accord; any other came out of a command.
      throw error && error.name !== 'YError' ? error : explainUsage(message, argv, commands)
    })
  ;(program as YargsOfToday).usageConfiguration({ 'hide-types': true })
  for (const command of commands) {
    program.command(
      command.name,
      command.describe,
      (builder) => buildCommand(builder, command),
      async (flags) => {
        exitCode = await invoke(command, unprotect(flags))
      },
    )
  }
  try {
    await program.parseAsync()
    return exitCode
  } catch (error) {
    return report(asWorkerError(explainRedis(error)), argv)
  }
}

async function invoke(command: Command, flags: Record<string, unknown>): Promise<number> {
  const abort = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => abort.abort(signal)
  const onClosedPipe = () => abort.abort('EPIPE')
  if (!command.ownSignals) {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
    process.stdout.once('error', onClosedPipe)
  }
  try {
    return await command.run({ flags, terminal: processTerminal(), env: process.env, signal: abort.signal })
  } catch (error) {
    if (abort.signal.aborted) return exitCodeOfAbort(abort.signal.reason)
    throw error
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, onSignal)
    process.stdout.removeListener('error', onClosedPipe)
  }
}

function exitCodeOfAbort(reason: unknown): number {
  if (reason === 'EPIPE') return EXIT.done
  return reason === 'SIGTERM' ? EXIT.terminated : EXIT.interrupted
}

function endWithoutOutput({ code, message }: NodeJS.ErrnoException): void {
  // Whoever reads the output may go away (`| head`): that is no error of this program.
  if (code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED') return
  process.exit(complain(`The output cannot be written: ${message}`, 'make room where it goes', EXIT.internal))
}

function report(error: WorkerError, argv: readonly string[]): number {
  const exitCode = exitCodeOf(error.code)
  if (argv.includes('--json')) {
    const { code, message, remedy } = error
    process.stderr.write(`${JSON.stringify({ error: { code, message, remedy, exitCode } })}\n`)
    return exitCode
  }
  const debugs = wantsStack(argv, process.env)
  if (debugs && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`)
  const isBug = error.code === 'internal' && error.cause !== undefined && !debugs
  return complain(error.message, isBug ? STACK_REMEDY : error.remedy, exitCode)
}

function wantsStack(argv: readonly string[], env: NodeJS.ProcessEnv): boolean {
  const at = argv.lastIndexOf('--log-level')
  const flag = argv.findLast((word) => word.startsWith('--log-level='))?.slice('--log-level='.length)
  const level = (at < 0 ? flag : argv[at + 1]) ?? env.TINYTOWN_LOG_LEVEL
  return level === 'debug' || level === 'trace'
}

function complain(message: string, remedy: string | undefined, exitCode: number): number {
  process.stderr.write(`tinytown-worker: ${message}\n${remedy ? `  → ${remedy}\n` : ''}`)
  return exitCode
}
