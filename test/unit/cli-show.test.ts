import { describe, expect, it } from 'vitest'
import { startHint } from '../../src/cli/await.ts'
import { namesOf } from '../../src/cli/names.ts'
import { idOf, untilText } from '../../src/cli/show.ts'
import { newAgent } from '../../src/domain/agent.ts'

describe('what others wrote', () => {
  it.each(['\u001b[2Jevil', '\u001b]0;title\u0007', 'a\rb\nc', '\u009b31mred'])(
    'steers no terminal where %j stands for an id',
    (id) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there.
      const steering = /[\u0000-\u001f\u007f-\u009f]/
      expect(idOf(id)).not.toMatch(steering)
      expect(namesOf([])(id)).not.toMatch(steering)
      expect(namesOf([{ ...newAgent({ name: id, cli: 'demo' }), id }])(id)).not.toMatch(steering)
    },
  )

  it('leaves an id as it is', () => {
    expect(idOf('3f2c8a1e-5b7d-4c9e-9a10-6d2f4b8e7c01')).toBe('3f2c8a1e')
  })
})

describe('until when an agent is parked', () => {
  const now = new Date(2026, 10, 21, 20, 5).getTime()
  it.each<[string, number | undefined, string]>([
    ['the time of today', new Date(2026, 10, 21, 22, 26).getTime(), ' until 22:26'],
    ['the date of another day', new Date(2026, 10, 22, 7, 3).getTime(), ' until 2026-11-22 07:03'],
    ['nothing where it is over', now - 1, ''],
    ['nothing where it is not parked', undefined, ''],
  ])('is told as %s', (_, at, text) => {
    const parked = at === undefined ? {} : { parkedUntil: new Date(at).toISOString() }
    expect(untilText({ ...newAgent({ name: 'w', cli: 'demo' }), ...parked }, now)).toBe(text)
  })
})

describe('how to start a worker', () => {
  it.each([
    ['worker-1', 'codex', 'start it with tinytown-worker --name worker-1 --cli codex'],
    ['worker-1', '', 'start it with tinytown-worker --name worker-1'],
    ['my agent', 'codex', 'start it with tt: no worker can be named "my agent"'],
    ['a; rm -rf x', '', 'start it with tt: no worker can be named "a; rm -rf x"'],
  ])('is told for %s', (name, cli, hint) => {
    expect(startHint({ ...newAgent({ name, cli }) })).toBe(hint)
  })
})
