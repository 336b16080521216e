import { describe, expect, it } from 'vitest'
import { startHint } from '../../src/cli/await.ts'
import { namesOf } from '../../src/cli/names.ts'
import { idOf } from '../../src/cli/show.ts'
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
