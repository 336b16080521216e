import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cutBytes, cutChars, nearest, oneLine } from '../../src/base/text.ts'

const anyText = fc.string({
  unit: fc.oneof(fc.constantFrom('a', 'ä', '€', '😀', '\n'), fc.string({ unit: 'binary', maxLength: 1 })),
})
const hasHalf = (text: string) => /\p{Surrogate}/u.test(text)

describe('cutBytes', () => {
  it.each([
    ['abc', 5, 'abc', false],
    ['abc', 3, 'abc', false],
    ['abc', 2, 'ab', true],
    ['aä', 2, 'a', true],
    ['a€b', 3, 'a', true],
    ['a€b', 4, 'a€', true],
    ['😀😀', 7, '😀', true],
    ['😀', 3, '', true],
    ['abc', 0, '', true],
    ['abc', -1, '', true],
    ['', 0, '', false],
  ])('cuts %j to %i bytes as %j', (text, maxBytes, expected, cut) => {
    expect(cutBytes(text, maxBytes)).toEqual({ text: expected, cut })
  })

  it('keeps the longest beginning that fits, in whole characters', () => {
    fc.assert(
      fc.property(anyText, fc.nat(40), (text, maxBytes) => {
        const { text: kept, cut } = cutBytes(text, maxBytes)
        expect(text.startsWith(kept)).toBe(true)
        expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(maxBytes)
        expect(hasHalf(kept)).toBe(false)
        expect(cut).toBe(kept !== text)
        const next = [...text.slice(kept.length)][0]
        if (next !== undefined) expect(Buffer.byteLength(kept + next)).toBeGreaterThan(maxBytes)
      }),
    )
  })
})

describe('cutChars', () => {
  it('keeps a beginning of at most so many units, never half a character', () => {
    fc.assert(
      fc.property(anyText, fc.nat(20), (text, maxChars) => {
        const kept = cutChars(text, maxChars)
        expect(text.startsWith(kept)).toBe(true)
        expect(hasHalf(kept)).toBe(false)
        expect(kept.length).toBeLessThanOrEqual(maxChars)
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(text.length, maxChars) - 1)
      }),
    )
  })
})

describe('oneLine', () => {
  it.each([
    ['a line', 'a line'],
    ['  first \nsecond', 'first '],
    ['\n\n  first\r\nsecond', 'first'],
    ['', ''],
    [' \n ', ''],
  ])('shows of %j %j', (text, expected) => {
    expect(oneLine(text)).toBe(expected)
  })

  it.each([
    ['abcde', 5, 'abcde'],
    ['abcdef', 5, 'abcd…'],
    ['abc😀f', 5, 'abc…'],
  ])('cuts %j to %i characters as %j', (text, maxChars, expected) => {
    expect(oneLine(text, maxChars)).toBe(expected)
  })

  it('gives one line of at most so many characters for any text', () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 30 }), (text, maxChars) => {
        const line = oneLine(text, maxChars)
        expect(line.length).toBeLessThanOrEqual(maxChars)
        expect(line).not.toContain('\n')
        expect(hasHalf(line)).toBe(false)
      }),
    )
  })
})

describe('nearest', () => {
  it.each([
    ['statsu', ['status', 'stop', 'assign'], 'status'],
    ['codx', ['claude', 'codex'], 'codex'],
    ['codex', ['codex', 'codez'], 'codex'],
    ['workdri', ['work-dir', 'workdir'], 'workdir'],
    ['xyz', ['status', 'stop'], null],
    ['assign-everything', ['assign'], null],
    ['status', [], null],
  ])('takes %j of %j for %j', (word, known, expected) => {
    expect(nearest(word, known)).toBe(expected)
  })
})
