import { StringDecoder } from 'node:string_decoder'
import { cutChars } from './text.ts'

/** One line of a byte stream, without its line end. */
export interface Line {
  readonly text: string
  /** True when the line was longer than the limit and only its head is here. */
  readonly cut: boolean
}

/**
 * Splits chunks of bytes into lines with bounded memory: of a line longer than `maxLength` UTF-16 units the head is kept, never
 * half a character, and the rest dropped until its line end. Invalid UTF-8 becomes U+FFFD. `\n` and `\r\n` both end a line.
 */
export class LineSplitter {
  readonly #maxLength: number
  readonly #decoder = new StringDecoder('utf8')
  #parts: string[] = []
  #length = 0
  #cut = false

  constructor(maxLength: number) {
    this.#maxLength = maxLength
  }

  /** Takes a chunk and returns the lines it completes. */
  push(chunk: Uint8Array): Line[] {
    return this.#take(this.#decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)))
  }

  /** Returns the last line when the stream ended without a line end. */
  end(): Line[] {
    const lines = this.#take(this.#decoder.end())
    if (this.#length > 0 || this.#cut) lines.push(this.#finish())
    return lines
  }

  #take(text: string): Line[] {
    const lines: Line[] = []
    let start = 0
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', start)) {
      this.#keep(text.slice(start, at))
      lines.push(this.#finish())
      start = at + 1
    }
    this.#keep(text.slice(start))
    return lines
  }

  #keep(part: string): void {
    // One unit more than a line may have: it may be the \r of the line end.
    const room = this.#maxLength + 1 - this.#length
    if (part.length > room) this.#cut = true
    const kept = part.slice(0, Math.max(0, room))
    if (kept.length === 0) return
    this.#parts.push(kept)
    this.#length += kept.length
  }

  #finish(): Line {
    const kept = this.#parts.join('')
    const whole = kept.endsWith('\r') ? kept.slice(0, -1) : kept
    const text = cutChars(whole, this.#maxLength)
    const line = { text, cut: this.#cut || text.length < whole.length }
    this.#parts = []
    this.#length = 0
    this.#cut = false
    return line
  }
}
