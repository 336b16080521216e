import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { REDACTED, Redactor } from '../../src/base/redact.ts'

/** What a redactor is to do, said in the simplest way: every occurrence is covered, and what overlaps is one. */
function covered(text: string, needles: readonly string[]): string {
  const all = needles.flatMap((needle) =>
    Array.from({ length: text.length }, (_, at) => at)
      .filter((at) => text.startsWith(needle, at))
      .map((at) => ({ start: at, end: at + needle.length })),
  )
  let [out, until] = ['', 0]
  for (const { start, end } of all.sort((a, b) => a.start - b.start)) {
    if (start >= until) out += text.slice(until, start) + REDACTED
    until = Math.max(until, end)
  }
  return out + text.slice(until)
}

/** What comes out when the text is cut after each of these numbers of bytes. */
function streamed(redactor: Redactor, bytes: Buffer, lengths: readonly number[]): Buffer {
  const stream = redactor.stream()
  const out: Uint8Array[] = []
  let at = 0
  for (const length of lengths) {
    out.push(Buffer.from(stream.push(bytes.subarray(at, at + length))))
    at += length
  }
  out.push(Buffer.from(stream.push(bytes.subarray(at))), stream.end())
  return Buffer.concat(out)
}

// Few letters, so that needles occur, overlap and begin again within themselves.
const letters = (lengths: { minLength?: number; maxLength?: number }) =>
  fc.array(fc.constantFrom('a', 'b', 'ä'), lengths).map((units) => units.join(''))
const someNeedles = fc.array(letters({ minLength: 2, maxLength: 6 }), { maxLength: 4 })
const cuts = fc.array(fc.nat({ max: 5 }), { maxLength: 60 })

describe('a redactor', () => {
  it.each([
    ['the key is hunter22!', ['hunter22'], 'the key is [redacted]!'],
    ['hunter22hunter22', ['hunter22'], '[redacted][redacted]'],
    ['abcdefghijkl', ['abcdefgh', 'efghijkl'], '[redacted]'],
    ['abcdefgh', ['abcd', 'abcdefgh'], '[redacted]'],
    ['xaaab', ['aab'], 'xa[redacted]'],
    ['söcret', ['söcret'], '[redacted]'],
    ['nothing here', [], 'nothing here'],
    ['hunter2', ['hunter22'], 'hunter2'],
    ['', ['hunter22'], ''],
  ])('makes of %j without %j %j', (text, needles, expected) => {
    expect(new Redactor(needles).text(text)).toBe(expected)
  })

  it('covers every occurrence of every needle', () => {
    fc.assert(
      fc.property(letters({ maxLength: 60 }), someNeedles, (text, needles) => {
        expect(new Redactor(needles).text(text)).toBe(covered(text, needles))
      }),
    )
  })

  it('gives the same for every way in which a text is cut into chunks', () => {
    fc.assert(
      fc.property(letters({ maxLength: 60 }), someNeedles, cuts, (text, needles, lengths) => {
        const redactor = new Redactor(needles)
        const whole = redactor.text(text)
        expect(streamed(redactor, Buffer.from(text), lengths).toString()).toBe(whole)
      }),
    )
  })

  it('keeps every byte of what holds no needle, also what is no UTF-8', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (bytes, lengths) => {
        const out = streamed(new Redactor(['never to be found']), Buffer.from(bytes), lengths)
        expect([...out]).toEqual([...bytes])
      }),
    )
  })

  it('leaves a half of a character as it is', () => {
    expect(new Redactor(['hunter22']).text('a\ud800b')).toBe('a\ud800b')
  })

  it('holds back less than its longest needle, and nothing that cannot become one', () => {
    const redactor = new Redactor(['hunter22', 'hunt'])
    const stream = redactor.stream()
    expect(Buffer.from(stream.push(Buffer.from('the hunter2'))).toString()).toBe('the ')
    expect(Buffer.from(stream.push(Buffer.from('!\n'))).toString()).toBe('[redacted]er2!\n')
    expect(stream.end()).toHaveLength(0)
    fc.assert(
      fc.property(letters({ maxLength: 60 }), someNeedles, (text, needles) => {
        const one = new Redactor(needles)
        const out = one.stream().push(Buffer.from(text))
        // What is out is the beginning of the whole; what is missing is less than a needle.
        expect(one.text(text).startsWith(Buffer.from(out).toString())).toBe(true)
        const missing = Buffer.byteLength(one.text(text)) - out.length
        expect(missing).toBeLessThan(Math.max(1, one.longest) + REDACTED.length)
      }),
    )
  })

  it('does not keep the chunks that it was given', () => {
    const stream = new Redactor(['hunter22']).stream()
    const chunk = Buffer.from('hunter')
    stream.push(chunk)
    chunk.fill('x')
    expect(Buffer.from(stream.push(Buffer.from('22'))).toString()).toBe(REDACTED)
  })
})
