import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Line, LineSplitter } from '../../src/base/lines.ts'
import { lastChars } from '../../src/base/text.ts'

function split(chunks: readonly Uint8Array[], maxLength = 1000): Line[] {
  const splitter = new LineSplitter(maxLength)
  return [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()]
}

const texts = (lines: readonly Line[]) => lines.map(({ text }) => text)

/** Cuts bytes into pieces at any places, also inside a character. */
const pieces = (bytes: Buffer) =>
  fc.array(fc.nat({ max: bytes.length }), { maxLength: 20 }).map((places) => {
    const sorted = [0, ...places.sort((a, b) => a - b), bytes.length]
    return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end))
  })

describe('splitting into lines', () => {
  it.each<[string, string[]]>([
    ['', []],
    ['a', ['a']],
    ['a\n', ['a']],
    ['a\nb', ['a', 'b']],
    ['a\r\nb\r\n', ['a', 'b']],
    ['\n\n', ['', '']],
    ['a\rb\n', ['a\rb']],
  ])('splits %j', (text, expected) => {
    expect(texts(split([Buffer.from(text)]))).toEqual(expected)
  })

  it('gives the same lines however the bytes are cut', () => {
    const text = fc.array(fc.string({ unit: 'grapheme' })).map((parts) => parts.join('\n'))
    const cut = text.chain((whole) => pieces(Buffer.from(whole)).map((chunks) => ({ whole, chunks })))
    fc.assert(
      fc.property(cut, ({ whole, chunks }) => {
        expect(split(chunks)).toEqual(split([Buffer.from(whole)]))
      }),
    )
  })

  it('never gives more than the limit, and marks what is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 50 })),
        fc.integer({ min: 1, max: 20 }),
        (chunks, max) => {
          for (const { text, cut } of split(chunks, max)) {
            expect(text.length).toBeLessThanOrEqual(max)
            if (cut) expect(text.length).toBeGreaterThanOrEqual(max - 1)
          }
        },
      ),
    )
  })

  it('keeps the end of a line that is cut, however its bytes come', () => {
    const text = fc
      .array(fc.string({ unit: 'grapheme' }))
      .map((parts) => parts.join('').replaceAll(/[\r\n]/g, ''))
    const cut = text.chain((whole) =>
      pieces(Buffer.from(`${whole}\r\nnext`)).map((chunks) => ({ whole, chunks })),
    )
    fc.assert(
      fc.property(cut, ({ whole, chunks }) => {
        const splitter = new LineSplitter(5, 3)
        const [line] = [...chunks.flatMap((chunk) => splitter.push(chunk)), ...splitter.end()]
        expect(line?.tail).toBe(whole.length > 5 ? lastChars(whole, 3) : '')
      }),
    )
  })

  it('makes invalid UTF-8 readable', () => {
    expect(texts(split([Buffer.from([97, 255, 10, 98])]))).toEqual(['a\uFFFD', 'b'])
  })
})
