import { type Logger, pino, stdSerializers } from 'pino'
import pretty from 'pino-pretty'

export type { Logger }

/** How a log is written: JSON lines, or for people. Both go to stderr; stdout belongs to results. */
export function createLogger(options: { level: string; format: 'pretty' | 'json'; color: boolean }): Logger {
  const settings = { level: options.level, base: null, serializers: { err: stdSerializers.err } }
  if (options.format === 'json') {
    return pino(
      { ...settings, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination({ dest: 2, sync: true }),
    )
  }
  const stream = pretty({
    destination: 2,
    sync: true,
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
