import type { Writable } from 'node:stream'

/** How long a disk may take nothing. */
const PATIENCE_MS = 5000

/** A stream that is given up when it takes nothing for five seconds: a network disk that hangs must not hold whoever writes to it. */
export class PatientStream {
  readonly #stream: Writable
  readonly #onFailed: (detail: string) => void
  #failed = false

  /** `onFailed` is called once, when nothing more can be written. */
  constructor(stream: Writable, onFailed: (detail: string) => void) {
    this.#stream = stream
    this.#onFailed = onFailed
    stream.on('error', (error) => this.#fail(error.message))
  }

  /** Writes. The promise, when there is one, settles when the stream can take more, or never will. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    const stream = this.#stream
    if (stream.destroyed || stream.write(chunk)) return undefined
    return this.#patiently('drain')
  }

  async end(): Promise<void> {
    if (this.#stream.destroyed) return
    const finished = this.#patiently('finish')
    this.#stream.end()
    await finished
  }

  #patiently(event: 'drain' | 'finish'): Promise<void> {
    const stream = this.#stream
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        this.#fail(`nothing was taken for ${PATIENCE_MS / 1000} s`)
        stream.destroy()
        // Where it hangs it is never closed.
        done()
      }, PATIENCE_MS)
      const done = () => {
        clearTimeout(late)
        stream.off(event, done)
        stream.off('close', done)
        resolve()
      }
      stream.once(event, done)
      stream.once('close', done)
    })
  }

  #fail(detail: string): void {
    if (this.#failed) return
    this.#failed = true
    this.#onFailed(detail)
  }
}
