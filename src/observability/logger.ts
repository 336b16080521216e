import { Writable } from 'node:stream'
import { type Logger, type LoggerOptions, pino } from 'pino'
import pretty from 'pino-pretty'
import { cutChars } from '../base/text.ts'

export type { Logger }

interface LogOptions {
  readonly level: string
  readonly format: 'pretty' | 'json'
  readonly color: boolean
  /** Takes the secrets out of whatever is logged. */
  readonly redact: (text: string) => string
  /** Gets the JSON lines as well. */
  readonly file?: { write(line: string): void }
}

/** How a log is written: JSON lines, or for people. Both go to stderr; stdout belongs to results. */
export function createLogger({ level, format, color, redact, file }: LogOptions): Logger {
  const settings = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, ...cleanedBy(redact) }
  const stderr = format === 'json' ? standardError() : prettyStream(color)
  // The level of the logger counts, which may change.
  const streams = [stderr, ...(file ? [file] : [])].map((stream) => ({ stream, level: 'trace' as const }))
  return pino(settings, file ? pino.multistream(streams) : stderr)
}

function prettyStream(colorize: boolean) {
  const { write } = standardError()
  return pretty({
    destination: new Writable({
      write(line, _, done) {
        write(String(line))
        done()
      },
    }),
    colorize,
    translateTime: 'SYS:HH:MM:ss',
    // The sentence says it all; the fields are for machines.
    hideObject: true,
    ignore: 'pid,hostname,name',
    messageFormat: (log, key) =>
      log.taskId ? `${String(log.taskId).slice(0, 8)} ${log[key]}` : String(log[key]),
  })
}

const LONGEST_MESSAGE = 4096
const LONGEST_STACK = 16_384

/** What is logged goes through `redact` before anything of it is cut. */
export function cleanedBy(redact: (text: string) => string): Pick<LoggerOptions, 'hooks' | 'serializers'> {
  return {
    hooks: {
      logMethod(args, method) {
        method.apply(this, args.map((arg) => cleaned(arg, redact)) as typeof args)
      },
    },
    serializers: { err: (error: unknown) => errorFields(error, redact) },
  }
}

/** A sentence, or the fields beside it; `event` is a word of ours. */
function cleaned(arg: unknown, redact: (text: string) => string): unknown {
  if (typeof arg === 'string') return redact(arg)
  if (typeof arg !== 'object' || arg === null || arg instanceof Error) return arg
  const fields = Object.entries(arg).map(([name, value]) => [
    name,
    typeof value === 'string' && name !== 'event' ? redact(value) : value,
  ])
  return Object.fromEntries(fields)
}

/** Of an error what tells of it, and nothing that it carries: ioredis hangs the whole command at the one that it failed with. */
function errorFields(error: unknown, redact: (text: string) => string): object {
  if (!(error instanceof Error)) return { message: cut(redact(String(error)), LONGEST_MESSAGE) }
  const { name: type, message, stack = '' } = error
  const code = 'code' in error ? { code: error.code } : {}
  return {
    type,
    message: cut(redact(message), LONGEST_MESSAGE),
    ...code,
    stack: cut(redact(stack), LONGEST_STACK),
  }
}

function cut(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${cutChars(text, maxChars)} […]`
}

/** A line that cannot be written, as on a full disk, is lost, and the next one is tried: the work goes on without a log. */
function standardError(): { write: (line: string) => void } {
  // One that failed would keep its lines, all of them, until the disk has room.
  const open = () =>
    pino.destination({ dest: 2, sync: true }).on('error', () => {
      current = open()
    })
  let current = open()
  return { write: (line) => void current.write(line) }
}
