import { setMaxListeners } from 'node:events'
import { anyOf, unlessAborted } from '../base/abort.ts'
import { WorkerError } from '../domain/errors.ts'
import { asUnreachable } from '../store/away.ts'
import type { Redis } from '../store/connection.ts'

/** So many connections are kept for the next wait. */
const MOST_IDLE = 2

/** What is done over a town's connections. Those for what blocks are made when they are needed and closed together. */
export class Connections {
  readonly #connect: (purpose: string) => Promise<Redis>
  readonly #closing = new AbortController()
  readonly #open = new Set<Redis>()
  readonly #idle: Redis[] = []
  readonly #atWork = new Set<Promise<unknown>>()

  constructor(connect: (purpose: string) => Promise<Redis>) {
    this.#connect = connect
    // Everything that waits listens to it.
    setMaxListeners(0, this.closing)
  }

  /** Aborts when everything is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** The caller's signal and that of the close, in one. */
  until(signal: AbortSignal | undefined): AbortSignal {
    return signal ? anyOf(signal, this.closing) : this.closing
  }

  /** Does `work`. Throws `closed` once everything is closed, also for what it cut off, and `redis-unreachable` when Redis is away. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.closing.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      const lost = asUnreachable(error)
      if (lost !== error) this.closing.throwIfAborted()
      throw lost
    }
  }

  /**
   * A connection of its own for `work`, kept for the next one where the work ended well. Throws the reason of `late` when there is none
   * by then.
   */
  async lend<T>(purpose: string, late: AbortSignal, work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = this.#idle.pop() ?? (await this.#makeUntil(late, purpose))
    try {
      const result = await this.#watched(work(redis))
      if (!this.closing.aborted && this.#idle.length < MOST_IDLE) this.#idle.push(redis)
      else this.drop(redis)
      return result
    } catch (error) {
      this.drop(redis)
      throw error
    }
  }

  async #makeUntil(signal: AbortSignal, purpose: string): Promise<Redis> {
    const making = this.make(purpose)
    making.then((redis) => (signal.aborted ? this.drop(redis) : undefined)).catch(() => undefined)
    return await unlessAborted(making, signal)
  }

  /** A connection for `work` alone, closed after it: one that may still be blocked then. Throws the signal's reason when it aborts first. */
  async spend<T>(purpose: string, signal: AbortSignal, work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = await this.#makeUntil(signal, purpose)
    try {
      return await this.#watched(work(redis))
    } finally {
      this.drop(redis)
    }
  }

  /** A connection that the caller drops. */
  async make(purpose: string): Promise<Redis> {
    this.closing.throwIfAborted()
    const redis = await this.#connect(purpose)
    this.#open.add(redis)
    if (this.closing.aborted) this.drop(redis)
    this.closing.throwIfAborted()
    return redis
  }

  async #watched<T>(work: Promise<T>): Promise<T> {
    this.#atWork.add(work)
    try {
      return await work
    } finally {
      this.#atWork.delete(work)
    }
  }

  drop(redis: Redis): void {
    redis.disconnect()
    this.#open.delete(redis)
  }

  /** Ends every wait with `closed` and closes every connection that was made here, once they have ended. */
  async close(what: string): Promise<void> {
    this.#closing.abort(new WorkerError('closed', `${what} was closed`))
    await Promise.allSettled(this.#atWork)
    this.#idle.length = 0
    for (const redis of this.#open) this.drop(redis)
  }
}
