import type { Control } from '../worker/control.ts'
import { EXIT } from './exit-codes.ts'

/** What the signals came to, for the exit code. */
export interface Shutdown {
  /** The exit code of an end that was forced by a second signal; null when the worker drained. */
  forced(): number | null
  close(): void
}

/**
 * The signals of a worker. The first SIGTERM or SIGINT drains: the run in hand may finish, at most `drainMs`. The second, or
 * the deadline, ends that run and gives its task back. The third exits at once: the lease runs out and the task is recovered.
 * SIGHUP reloads, or drains when the terminal is gone.
 */
export function handleSignals(
  control: Control,
  options: { drainMs: number; onFirst: () => void; onHangUp: () => void; exit: (code: number) => void },
): Shutdown {
  let count = 0
  let forced: number | null = null
  let deadline: NodeJS.Timeout | undefined
  const onSignal = (signal: NodeJS.Signals) => {
    count += 1
    const code = signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
    if (count === 1) {
      control.drain(signal)
      options.onFirst()
      deadline = setTimeout(() => control.halt('shutdown'), options.drainMs)
    } else if (count === 2) {
      forced = code
      control.halt('shutdown')
    } else options.exit(code)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  process.on('SIGHUP', options.onHangUp)
  return {
    forced: () => forced,
    close() {
      clearTimeout(deadline)
      process.removeListener('SIGINT', onSignal)
      process.removeListener('SIGTERM', onSignal)
      process.removeListener('SIGHUP', options.onHangUp)
    },
  }
}
