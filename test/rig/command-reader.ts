/** One command that a client sent: its words, as texts. */
export type Sent = readonly string[]

/** Reads the commands that a client sends (RESP arrays of bulk strings). */
export class CommandReader {
  readonly #onCommand: (command: Sent) => void
  #rest = Buffer.alloc(0)

  constructor(onCommand: (command: Sent) => void) {
    this.#onCommand = onCommand
  }

  push(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data])
    for (;;) {
      const read = this.#read()
      if (read === null) return
      this.#onCommand(read.words)
      this.#rest = this.#rest.subarray(read.length)
    }
  }

  #read(): { words: string[]; length: number } | null {
    const header = this.#line(0)
    if (header === null) return null
    const words: string[] = []
    let at = header.end
    for (let count = Number(header.text.slice(1)); count > 0; count -= 1) {
      const size = this.#line(at)
      if (size === null) return null
      const end = size.end + Number(size.text.slice(1))
      if (this.#rest.length < end + 2) return null
      words.push(this.#rest.toString('utf8', size.end, end))
      at = end + 2
    }
    return { words, length: at }
  }

  #line(from: number): { text: string; end: number } | null {
    const end = this.#rest.indexOf('\r\n', from)
    return end < 0 ? null : { text: this.#rest.toString('latin1', from, end), end: end + 2 }
  }
}
