/** What stands for a secret. */
export const REDACTED = '[redacted]'

const MARK = Buffer.from(REDACTED)
const NOTHING = new Uint8Array(0)
/** The shortest needle that can be looked for: the first two bytes are what it is found by. */
const MIN_NEEDLE_BYTES = 2

type Match = 'no' | 'yes' | 'open'

/**
 * Replaces texts wherever they occur. Occurrences that overlap become one `[redacted]`. Of a stream it gives the same for every way
 * in which it is cut into chunks.
 */
export class Redactor {
  readonly #byPair = new Map<number, Uint8Array[]>()
  /** Whether a needle begins with these two bytes; and with this one, for the last byte of a chunk. */
  readonly #pairs = new Uint8Array(0x10000)
  readonly #firsts = new Uint8Array(0x100)
  /** The length of the longest needle in bytes; 0 when there is none. */
  readonly longest: number

  constructor(needles: Iterable<string>) {
    const all = [...new Set(needles)].map((needle) => Buffer.from(needle))
    const usable = all.filter(({ length }) => length >= MIN_NEEDLE_BYTES)
    // At the same place the longest counts.
    for (const needle of usable.sort((a, b) => b.length - a.length)) this.#add(needle)
    this.longest = usable[0]?.length ?? 0
  }

  /** A text without the secrets; the same string when there is none in it. */
  text(text: string): string {
    if (this.longest === 0) return text
    const bytes = Buffer.from(text)
    // Also for the sake of a half of a character, which no UTF-8 can hold.
    if (this.find(bytes, 0, true) === null) return text
    const stream = this.stream()
    return Buffer.concat([stream.push(bytes), stream.end()]).toString('utf8')
  }

  /** For one stream of bytes. */
  stream(): RedactedStream {
    return new RedactedStream(this)
  }

  /** The first place from `from` on where a needle is or, unless the stream is at its end, may be; null when there is none. */
  find(data: Uint8Array, from: number, atEnd: boolean): { start: number; end: number | null } | null {
    const pairs = this.#pairs
    const last = data.length - 1
    for (let at = from; at < last; at += 1) {
      const pair = ((data[at] as number) << 8) | (data[at + 1] as number)
      if (pairs[pair] === 0) continue
      const end = this.#matchAt(data, at, { pair, atEnd })
      if (end !== undefined) return { start: at, end }
    }
    const mayBegin = !atEnd && last >= from && this.#firsts[data[last] as number] === 1
    return mayBegin ? { start: last, end: null } : null
  }

  #add(needle: Uint8Array): void {
    const [first = 0, second = 0] = needle
    const pair = (first << 8) | second
    this.#byPair.set(pair, [...(this.#byPair.get(pair) ?? []), needle])
    this.#pairs[pair] = 1
    this.#firsts[first] = 1
  }

  /** Where the longest needle ends that is here; null when more must be seen to tell; undefined when there is none. */
  #matchAt(
    data: Uint8Array,
    at: number,
    { pair, atEnd }: { pair: number; atEnd: boolean },
  ): number | null | undefined {
    for (const needle of this.#byPair.get(pair) ?? []) {
      const match = compare(data, at, needle)
      if (match === 'yes') return at + needle.length
      if (match === 'open' && !atEnd) return null
    }
    return undefined
  }
}

/** One stream that goes through a redactor. What may be the beginning of a needle is held back: less than the longest of them. */
class RedactedStream {
  readonly #redactor: Redactor
  #held: Uint8Array = NOTHING
  /** How much of what is held is covered already by a mark that went out. */
  #covered = 0

  constructor(redactor: Redactor) {
    this.#redactor = redactor
  }

  /** Takes a chunk and returns what can be told of the stream so far. */
  push(chunk: Uint8Array): Uint8Array {
    return this.#redactor.longest === 0 ? chunk : this.#take(chunk, false)
  }

  /** Returns the rest. */
  end(): Uint8Array {
    return this.#take(NOTHING, true)
  }

  #take(chunk: Uint8Array, atEnd: boolean): Uint8Array {
    const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const parts: Uint8Array[] = []
    let covered = this.#covered
    let until = data.length
    for (let at = 0; ; at += 1) {
      const found = this.#redactor.find(data, at, atEnd)
      if (found === null) break
      at = found.start
      if (found.end === null) {
        until = at
        break
      }
      if (at >= covered) parts.push(data.subarray(covered, at), MARK)
      covered = Math.max(covered, found.end)
    }
    if (covered < until) parts.push(data.subarray(covered, until))
    // A copy, which the slice of a Buffer is not: the chunk itself is not kept.
    this.#held = new Uint8Array(data.subarray(until))
    this.#covered = Math.max(0, covered - until)
    return joined(parts)
  }
}

function compare(data: Uint8Array, at: number, needle: Uint8Array): Match {
  const length = Math.min(needle.length, data.length - at)
  for (let index = MIN_NEEDLE_BYTES; index < length; index += 1) {
    if (data[at + index] !== needle[index]) return 'no'
  }
  return length === needle.length ? 'yes' : 'open'
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only = NOTHING, ...more] = parts
  return more.length === 0 ? only : Buffer.concat(parts)
}
