import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { newId, parseId, SUPERVISOR_ID, shortId } from '../../src/domain/ids.ts'
import { ID, IDS, NO_IDS } from '../rig/wire-forms.ts'

describe('parseId', () => {
  it.each(IDS)('reads an id %s', (_, text) => {
    expect(parseId(text)).toBe(ID)
  })

  it('reads the id of the supervisor, which has no version', () => {
    expect(parseId(SUPERVISOR_ID)).toBe(SUPERVISOR_ID)
  })

  it.each(NO_IDS)('does not take %j for an id', (text) => {
    expect(parseId(text)).toBeNull()
  })

  it('reads every new id as itself', () => {
    fc.assert(
      fc.property(fc.uuid(), (id) => {
        expect(parseId(id)).toBe(id)
        expect(parseId(id.replaceAll('-', ''))).toBe(id)
      }),
    )
    const id = newId()
    expect(parseId(id)).toBe(id)
    expect(newId()).not.toBe(id)
  })

  it('gives an id in one form or none, for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0aF-{}') })), (text) => {
        expect(parseId(text) ?? ID).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      }),
    )
  })
})

describe('shortId', () => {
  it('is the first four digits', () => {
    expect(shortId(ID)).toBe('6a03')
  })
})
