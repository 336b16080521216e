import { stripVTControlCharacters } from 'node:util'
import { expect, it } from 'vitest'
import { openScreen } from '../../src/cli/screen.ts'

function fakeTerminal(rows: number) {
  const written: string[] = []
  return { rows, written, write: (text: string) => written.push(text) }
}

it('draws in place: from the top, over what was there, and nothing is left below', () => {
  const out = fakeTerminal(10)
  const screen = openScreen(out)
  screen.draw(['one', 'two'])
  screen.draw(['three'])
  screen.close()
  expect(out.written).toEqual([
    '\u001b[?7l\u001b[2J',
    '\u001b[Hone\u001b[K\ntwo\u001b[K\n\u001b[J',
    '\u001b[Hthree\u001b[K\n\u001b[J',
    '\u001b[?7h',
  ])
})

it('never draws more than fits, so that nothing scrolls away', () => {
  const out = fakeTerminal(5)
  openScreen(out).draw(['1', '2', '3', '4', '5', '6'])
  expect(stripVTControlCharacters(out.written.at(-1) ?? '')).toBe('1\n2\n3\n… 3 more lines\n')
  const enough = fakeTerminal(7)
  openScreen(enough).draw(['1', '2', '3', '4', '5', '6'])
  expect(enough.written.at(-1)).not.toContain('more lines')
})
