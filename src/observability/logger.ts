import { Writable } from 'node:stream'
import { type Logger, pino, stdSerializers } from 'pino'
import pretty from 'pino-pretty'

export type { Logger }

export interface LoggerOptions {
  readonly level: string
  readonly format: 'pretty' | 'json'
  readonly color: boolean
  /** Gets the JSON lines as well. */
  readonly file?: { write(line: string): void }
}

/** How a log is written: JSON lines, or for people. Both go to stderr; stdout belongs to results. */
export function createLogger({ level, format, color, file }: LoggerOptions): Logger {
  const settings = {
    level,
    base: null,
    serializers: { err: stdSerializers.err },
    timestamp: pino.stdTimeFunctions.isoTime,
  }
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
