import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTime } from '../../src/domain/time.ts'
import { time } from '../rig/arbitraries.ts'
import { NO_TIMES, TIMES } from '../rig/wire-forms.ts'

describe('parseTime', () => {
  it.each(TIMES)('reads %j as %s', (text, rfc3339) => {
    expect(parseTime(text)).toBe(rfc3339)
    expect(parseTime(rfc3339)).toBe(rfc3339)
    expect(Date.parse(rfc3339)).not.toBeNaN()
  })

  it.each(NO_TIMES)('does not take %j for a time', (text) => {
    expect(parseTime(text)).toBeNull()
  })

  it('leaves every time of RFC 3339 as it is', () => {
    fc.assert(
      fc.property(time, (text) => {
        expect(parseTime(text)).toBe(text)
      }),
    )
  })

  it('gives the same moment for a space instead of the T', () => {
    const moment = (text: string) => Date.parse(parseTime(text) ?? '')
    fc.assert(
      fc.property(time, (text) => {
        expect(moment(text.replace('T', ' '))).toBe(Math.trunc(Date.parse(text)))
      }),
    )
  })

  it('never throws, and gives what Date reads or nothing', () => {
    const nearly = fc.string({ unit: fc.constantFrom(...'0123456789-+:.TZ ') })
    fc.assert(
      fc.property(fc.oneof(fc.string(), nearly), (text) => {
        expect(Date.parse(parseTime(text) ?? '2026-11-21T09:05:50Z')).not.toBeNaN()
      }),
    )
  })
})
