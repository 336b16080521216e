import { anyOf } from '../base/abort.ts'
import { WorkerError } from '../domain/errors.ts'
import type { Redis } from '../store/connection.ts'

/** Connections for what blocks: made when they are needed, kept for the next one, closed together. */
export class Connections {
  readonly #connect: (purpose: string) => Promise<Redis>
  readonly #closing = new AbortController()
  readonly #open = new Set<Redis>()
  readonly #idle: Redis[] = []
  readonly #atWork = new Set<Promise<unknown>>()

  constructor(connect: (purpose: string) => Promise<Redis>) {
    this.#connect = connect
  }

  /** Aborts when everything is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** The caller's signal and that of the close, in one. */
  until(signal: AbortSignal | undefined): AbortSignal {
    return signal ? anyOf(signal, this.closing) : this.closing
  }

  /** A connection of its own for `work`, kept for the next one where the work ended well. */
  async lend<T>(purpose: string, work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = this.#idle.pop() ?? (await this.make(purpose))
    try {
      const result = await this.#watched(work(redis))
      if (!this.closing.aborted) this.#idle.push(redis)
      return result
    } catch (error) {
      this.drop(redis)
      throw error
    }
  }

  /** A connection for `work` alone, closed after it: one that may still be blocked then. */
  async spend<T>(purpose: string, work: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = await this.make(purpose)
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
