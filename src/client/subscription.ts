import { type Deferred, deferred } from '../base/deferred.ts'
import type { Message } from '../domain/message.ts'

/** How many messages wait for a reader that is busy. Of more, the oldest are let go. */
const MOST_WAITING = 10_000

/**
 * The broadcasts of a town since the subscription, oldest first: `for await (const message of subscription)`. The loop ends when
 * the subscription or its channel is closed. Of several loops each message goes to one, and the first that is left ends all.
 */
export class Subscription implements AsyncIterable<Message>, AsyncDisposable {
  readonly #onClose: () => void
  #waiting: Message[] = []
  #wake: Deferred<void> | null = null
  #closed = false
  #missed = 0

  /** @internal */
  constructor(onClose: () => void) {
    this.#onClose = onClose
  }

  /** How many messages were let go because 10,000 others waited for the reader. */
  get missed(): number {
    return this.#missed
  }

  /** @internal */
  push(message: Message): void {
    if (this.#closed) return
    this.#waiting.push(message)
    if (this.#waiting.length > MOST_WAITING) {
      this.#waiting.shift()
      this.#missed += 1
    }
    this.#ring()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, undefined> {
    try {
      for (;;) {
        const message = this.#waiting.shift()
        if (message) yield message
        else if (this.#closed) return
        else await this.#next()
      }
    } finally {
      this.close()
    }
  }

  /** Every reader that waits looks again. */
  #ring(): void {
    this.#wake?.resolve()
    this.#wake = null
  }

  #next(): Promise<void> {
    this.#wake ??= deferred()
    return this.#wake.promise
  }

  /** Hears nothing more. What came before can still be read. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClose()
    this.#ring()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}
