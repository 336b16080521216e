import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { REDACTED, Redactor } from '../../src/base/redact.ts'
import { secretForms } from '../../src/base/secret-forms.ts'

const SECRET = 'p"a\\s/s <wörd>\n&1+2= 😀'
const hide = (text: string, secret = SECRET) => new Redactor(secretForms(secret)).text(text)
const base64 = (text: string) => Buffer.from(text).toString('base64')

describe('a secret is found', () => {
  it.each([
    ['as it is', SECRET],
    ['in JSON', JSON.stringify(SECRET).slice(1, -1)],
    ['in JSON in JSON', JSON.stringify(JSON.stringify(SECRET)).slice(3, -3)],
    ['in JSON of Python', 'p\\"a\\\\s/s <w\\u00f6rd>\\n&1+2= \\ud83d\\ude00'],
    ['in JSON of PHP', 'p\\"a\\\\s\\/s <w\\u00f6rd>\\n&1+2= \\ud83d\\ude00'],
    ['in JSON of Go', 'p\\"a\\\\s/s \\u003cwörd\\u003e\\n\\u00261+2= 😀'],
    ['in JSON with capital digits', 'p\\"a\\\\s/s <w\\u00F6rd>\\n&1+2= \\uD83D\\uDE00'],
    ['percent-encoded', encodeURIComponent(SECRET)],
    [
      'percent-encoded in small letters',
      encodeURIComponent(SECRET).replace(/%../g, (code) => code.toLowerCase()),
    ],
    ['in a form', encodeURIComponent(SECRET).replaceAll('%20', '+')],
    ['in base64', base64(SECRET)],
    ['in base64 for URLs', Buffer.from(SECRET).toString('base64url')],
  ])('%s', (_, form) => {
    expect(hide(`before ${form} after`)).toBe(`before ${REDACTED} after`)
  })

  it('in escapes of every one of its characters', () => {
    const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
    expect(hide([...'hunter22'].map(escaped).join(''), 'hunter22')).toBe(REDACTED)
  })

  it.each(['', 'u', 'us', 'use', 'user:'])('in base64 after %j, as in a header', (before) => {
    const secret = 'correct horse battery'
    for (const after of ['', '.', '..', '...']) {
      const header = `Basic ${base64(before + secret + after)}`
      const hidden = hide(header, secret)
      expect(hidden).toContain(REDACTED)
      // Of the digits beside it no more is left than hold a part of its neighbours.
      expect(hidden.length).toBeLessThan(`Basic ${base64(before)}${REDACTED}${base64(after)}`.length + 4)
    }
  })
})

it('leaves nothing of a secret in what JSON or a URL says, whatever it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 8, maxLength: 20 }), (secret) => {
      // What is left of a mark itself is no secret.
      fc.pre(!REDACTED.includes(secret))
      for (const form of [JSON.stringify({ a: [secret] }), `x?y=${encodeURIComponent(secret)}`]) {
        const hidden = hide(form, secret)
        expect(hidden).toContain(REDACTED)
      }
    }),
  )
})

it('takes no short base64 form, which could stand anywhere', () => {
  expect(secretForms('abcd').filter((form) => form !== 'abcd' && form.length < 8)).toEqual([])
})
