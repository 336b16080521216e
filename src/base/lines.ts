import { StringDecoder } from 'node:string_decoder'
import { cutChars, lastChars } from './text.ts'

/** One line of a byte stream, without its line end. */
export interface Line {
  readonly text: string
  /** True when the line was longer than the limit and only its head is here. */
  readonly cut: boolean
  /** The end of a line that is cut, when it was asked for; else ''. */
  readonly tail: string
}

/**
 * Splits chunks of bytes into lines with bounded memory: of a line longer than `maxLength` UTF-16 units the head is kept, never
 * half a character, and the rest dropped until its line end, but for the last `tailLength` units. Invalid UTF-8 becomes U+FFFD. `\n` and `\r\n` both end a line.
 */
export class LineSplitter {
  readonly #maxLength: number
  readonly #tailLength: number
  readonly #decoder = new StringDecoder('utf8')
  #parts: string[] = []
  #length = 0
  #cut = false
  /** What came after the head, at least as much of its end as is to be kept. */
  #rest = ''

  constructor(maxLength: number, tailLength = 0) {
    this.#maxLength = maxLength
    this.#tailLength = tailLength
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
    this.#keepRest(part.slice(kept.length))
    if (kept.length === 0) return
    this.#parts.push(kept)
    this.#length += kept.length
  }

  #keepRest(part: string): void {
    if (this.#tailLength === 0 || part === '') return
    this.#rest += part
    // Twice as much may wait, so that not every piece moves all of it.
    if (this.#rest.length > 2 * this.#tailLength) this.#rest = this.#rest.slice(-this.#tailLength - 2)
  }

  #finish(): Line {
    const kept = this.#parts.join('')
    const whole = withoutReturn(kept)
    const text = cutChars(whole, this.#maxLength)
    const cut = this.#cut || text.length < whole.length
    const tail =
      cut && this.#tailLength > 0 ? lastChars(withoutReturn(kept + this.#rest), this.#tailLength) : ''
    this.#parts = []
    this.#length = 0
    this.#cut = false
    this.#rest = ''
    return { text, cut, tail }
  }
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}
