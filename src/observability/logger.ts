import { Writable } from 'node:stream'
import { type Logger, pino, stdSerializers } from 'pino'
import pretty from 'pino-pretty'

export type { Logger }

/** How a log is written: JSON lines, or for people. Both go to stderr; stdout belongs to results. */
export function createLogger(options: { level: string; format: 'pretty' | 'json'; color: boolean }): Logger {
  const settings = { level: options.level, base: null, serializers: { err: stdSerializers.err } }
  if (options.format === 'json') {
    return pino({ ...settings, timestamp: pino.stdTimeFunctions.isoTime }, standardError())
  }
  const { write } = standardError()
  const stream = pretty({
    destination: new Writable({
      write(line, _, done) {
        write(String(line))
        done()
      },
    }),
    colorize: options.color,
    translateTime: 'SYS:HH:MM:ss',
    // The sentence says it all; the fields are for machines.
    hideObject: true,
    ignore: 'pid,hostname,name',
    messageFormat: (log, key) =>
      log.taskId ? `${String(log.taskId).slice(0, 8)} ${log[key]}` : String(log[key]),
  })
  return pino(settings, stream)
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
