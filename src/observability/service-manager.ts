import type { Notify } from '../process/systemd-notify.ts'
import type { Health } from './health.ts'
import { statusLine } from './status-line.ts'

export interface ServiceManagerOptions {
  readonly health: Health
  readonly notify: Notify
  /** How often it wants a sign of life, in milliseconds; null when it wants none. */
  readonly watchdogMs: number | null
  /** How long the start and the stop may take, in milliseconds. */
  readonly startMs: number
  readonly stopMs: number
  /** It does not hear; told when that begins. */
  readonly onDeaf: (why: string) => void
  /** From now on it gets no sign of life and will restart the process; null: it gets them again. */
  readonly onStarved: (why: string | null) => void
}

/**
 * The service manager that started this process, systemd say: it hears when every agent is registered, what they do, when the
 * process ends, and that it is alive. One notice goes out after the other; of several states only the last.
 */
export class ServiceManager {
  readonly #options: ServiceManagerOptions
  readonly #queue: string[][] = []
  #status: string | null = null
  #told = ''
  #sending: Promise<void> | null = null
  #phase: 'starting' | 'ready' | 'stopping' = 'starting'
  #starving: string | null = null
  #deaf = false
  #closing = false
  readonly #timer: NodeJS.Timeout | undefined

  constructor(options: ServiceManagerOptions) {
    this.#options = options
    if (options.watchdogMs !== null) this.#timer = setInterval(() => this.#feed(), options.watchdogMs / 3)
    this.#send(`EXTEND_TIMEOUT_USEC=${options.startMs * 1000}`)
    this.changed()
  }

  /** Something of the agents changed. */
  changed(): void {
    const { statuses } = this.#options.health
    this.#say()
    if (this.#phase === 'starting' && statuses.every(({ registered }) => registered)) {
      this.#phase = 'ready'
      this.#send('READY=1')
    }
    if (statuses.every(({ draining }) => draining)) this.stopping()
  }

  /** The process ends; a run in hand may take its time. */
  stopping(): void {
    if (this.#phase === 'stopping') return
    this.#phase = 'stopping'
    this.#send('STOPPING=1', `EXTEND_TIMEOUT_USEC=${this.#options.stopMs * 1000}`)
  }

  /** Reads the settings again, between two notices. */
  reload(read: () => void): void {
    const tells = this.#phase === 'ready'
    if (tells) this.#send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
    read()
    if (tells) this.#send('READY=1')
  }

  /** Settles when everything was told, or the manager does not hear. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#closing = true
    await this.#sending
  }

  #feed(): void {
    const why = starving(this.#options.health)
    if (why !== this.#starving) {
      this.#starving = why
      this.#options.onStarved(why)
      this.#say()
    }
    if (why === null) this.#send('WATCHDOG=1')
  }

  #say(): void {
    const status = this.#starving ?? statusLine(this.#options.health.statuses)
    if (status === this.#told) return
    this.#told = status
    this.#status = status
    this.#flush()
  }

  #send(...notice: string[]): void {
    // Where it is slow, one sign of life is as good as many.
    if (!this.#queue.some((waiting) => waiting.join() === notice.join())) this.#queue.push(notice)
    this.#flush()
  }

  #flush(): void {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null
    })
  }

  async #sendAll(): Promise<void> {
    // What is told in the same turn goes out together.
    await Promise.resolve()
    while (this.#queue.length > 0 || this.#status !== null) {
      if (this.#closing && this.#deaf) return
      const status = this.#status === null ? [] : [`STATUS=${this.#status}`]
      this.#status = null
      const why = await this.#options.notify([...(this.#queue.shift() ?? []), ...status])
      if (why !== null && !this.#deaf) this.#options.onDeaf(why)
      this.#deaf = why !== null
    }
  }
}

/**
 * Why the service manager should restart the process; null when it should not. A Redis that is away costs no run: while one is in
 * hand, its silence is waited out.
 */
function starving(health: Health): string | null {
  const wedged = health.wedged()
  if (wedged.length > 0) return `the claim loop is wedged: ${wedged.join(', ')}`
  const silent = health.silent()
  const busy = health.statuses.some(({ task }) => task !== undefined)
  return silent.length > 0 && !busy ? `Redis is silent: ${silent.join(', ')}` : null
}

/** How often systemd wants a sign of life of this process, in milliseconds; null when it wants none (sd_watchdog_enabled(3)). */
export function watchdogMsOf(env: NodeJS.ProcessEnv, pid: number): number | null {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: meant } = env
  if (!usec || !/^[1-9]\d*$/.test(usec) || (meant && meant !== String(pid))) return null
  return Number(usec) / 1000
}
