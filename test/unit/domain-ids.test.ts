import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { newId, parseId, SUPERVISOR_ID, shortId } from '../../src/domain/ids.ts'

const ID = '6a03acfe-9592-4472-8c37-f19f74b61aab'

describe('parseId', () => {
  it.each([
    ['as Tinytown writes it', ID],
    ['in upper case', ID.toUpperCase()],
    ['as 32 hex digits', ID.replaceAll('-', '')],
    ['as 32 hex digits in upper case', ID.replaceAll('-', '').toUpperCase()],
    ['as a URN', `urn:uuid:${ID}`],
    ['as a URN in upper case', `URN:UUID:${ID.toUpperCase()}`],
    ['in braces', `{${ID}}`],
    ['with space around it', ` ${ID}\n`],
  ])('reads an id %s', (_, text) => {
    expect(parseId(text)).toBe(ID)
  })

  it('reads the id of the supervisor, which has no version', () => {
    expect(parseId(SUPERVISOR_ID)).toBe(SUPERVISOR_ID)
  })

  it.each([
    '',
    'supervisor',
    ID.slice(1),
    `${ID}0`,
    ID.replace('6', 'g'),
    `{${ID}`,
    `${ID}}`,
    `uuid:${ID}`,
    ID.replaceAll('-', '_'),
    `${ID.slice(0, 9)}${ID.slice(10)}`,
    `${ID}\n${ID}`,
    '٦'.repeat(32),
  ])('does not take %j for an id', (text) => {
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
