type Close = () => unknown

/** Releases what was acquired, last first. Register the release on the line after the acquire. */
export class Closers {
  #closers: Close[] = []

  add(close: Close): void {
    this.#closers.push(close)
  }

  /** Runs every closer, also when one fails, and throws the first failure at the end. Calling it again does nothing. */
  async close(): Promise<void> {
    const closers = this.#closers.reverse()
    this.#closers = []
    const errors: unknown[] = []
    for (const close of closers) {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
