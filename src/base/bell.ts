/** Rings again and again. Whoever waits for it takes `next` before a last look around, so that no ring is missed in between. */
export class Bell {
  #next = new AbortController()

  /** Aborts at the next ring. */
  get next(): AbortSignal {
    return this.#next.signal
  }

  ring(): void {
    const rung = this.#next
    this.#next = new AbortController()
    rung.abort()
  }
}
