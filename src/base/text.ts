/** Cuts `text` to at most `maxBytes` bytes of UTF-8, never inside a character. */
export function cutBytes(text: string, maxBytes: number): { text: string; cut: boolean } {
  if (Buffer.byteLength(text) <= maxBytes) return { text, cut: false }
  const bytes = Buffer.from(text)
  let end = Math.max(0, maxBytes)
  // A continuation byte is 10xxxxxx: step back to the start of its character.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return { text: bytes.subarray(0, end).toString('utf8'), cut: true }
}

/** The last `maxBytes` bytes of a text at most, never from inside a character. */
export function endBytes(text: string, maxBytes: number): { text: string; cut: boolean } {
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return { text, cut: false }
  let start = bytes.length - maxBytes
  // A continuation byte is 10xxxxxx: step on to the next character.
  while (((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1
  return { text: bytes.subarray(start).toString('utf8'), cut: true }
}

/** The first `maxChars` UTF-16 units of `text`, one less where that would leave half a character. */
export function cutChars(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  const isHalf =
    /[\ud800-\udbff]/.test(text.charAt(maxChars - 1)) && /[\udc00-\udfff]/.test(text.charAt(maxChars))
  return text.slice(0, Math.max(0, isHalf ? maxChars - 1 : maxChars))
}

/** The last `maxChars` UTF-16 units of `text`, one less where that would leave half a character. */
export function lastChars(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  const start = text.length - maxChars
  const isHalf = /[\ud800-\udbff]/.test(text.charAt(start - 1)) && /[\udc00-\udfff]/.test(text.charAt(start))
  return text.slice(isHalf ? start + 1 : start)
}

/** The first line of `text`, cut to `maxChars` characters, for a place where one line is shown. */
export function oneLine(text: string, maxChars = 160): string {
  const line = text.trim().split(/\r?\n/, 1)[0] ?? ''
  return line.length <= maxChars ? line : `${cutChars(line, maxChars - 1)}…`
}

/** True when a half of a character stands alone in `text`: no UTF-8 can hold it. */
export function hasHalfCharacter(text: string): boolean {
  return /\p{Surrogate}/u.test(text)
}

/** The same text with U+FFFD for every half of a character that stands alone. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}

/** How many single-character edits, or swaps of neighbours, turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = swapped ? (before[j - 2] ?? 0) + 1 : change
      next.push(Math.min(change, swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}

/** The word of `known` nearest to `word`, or null when none is near enough to be meant. The beginning of a word means that word. */
export function nearest(word: string, known: readonly string[]): string | null {
  const begun = word.length >= 3 ? known.find((candidate) => candidate.startsWith(word)) : undefined
  if (begun !== undefined) return begun
  const limit = Math.max(1, Math.floor(word.length / 3))
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.candidate ?? null
}
