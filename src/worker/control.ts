/** Why a run is ended from outside. */
export type EndWhy = 'cancelled' | 'shutdown' | 'lease-lost'

/**
 * The two ways to end a worker. Draining claims nothing more and lets the run in hand finish; halting ends that run as well.
 * The first reason of each wins.
 */
export class Control {
  readonly #drain = new AbortController()
  readonly #halt = new AbortController()

  /** Aborts when nothing more is to be claimed. */
  get draining(): AbortSignal {
    return this.#drain.signal
  }

  /** Aborts when the run in hand is to be ended; its reason is an `EndWhy`. */
  get halting(): AbortSignal {
    return this.#halt.signal
  }

  /** A control that ends when this one does, and can be ended by itself. */
  follow(): Control {
    const follower = new Control()
    const onDrain = () => follower.drain(String(this.draining.reason))
    const onHalt = () => follower.halt(this.halting.reason)
    if (this.draining.aborted) onDrain()
    else this.draining.addEventListener('abort', onDrain, { once: true })
    if (this.halting.aborted) onHalt()
    else this.halting.addEventListener('abort', onHalt, { once: true })
    return follower
  }

  drain(why: string): void {
    this.#drain.abort(why)
  }

  halt(why: Exclude<EndWhy, 'cancelled'>): void {
    this.#drain.abort(why)
    this.#halt.abort(why)
  }
}
