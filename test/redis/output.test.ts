import { expect, it } from 'vitest'
import { appendOutput, nextOutput, readOutput } from '../../src/store/output.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()

it('keeps about the last two thousand pieces of an agent and forgets them after a week', async () => {
  const stream = here.town.agent('a').output
  for (let round = 0; round < 60; round += 1) {
    await Promise.all(
      Array.from({ length: 100 }, (_, index) => appendOutput(here.redis, stream, 't', `${round} ${index}`)),
    )
  }
  const kept = await here.redis.xlen(stream)
  expect(kept).toBeGreaterThanOrEqual(2000)
  // Redis trims whole nodes of a stream, of a hundred entries each.
  expect(kept).toBeLessThan(2200)
  expect((await readOutput(here.redis, stream)).at(-1)?.text).toBe('59 99')
  expect(await here.redis.ttl(stream)).toBeGreaterThan(6 * 24 * 3600)
})

it('tells the pieces of one task, and where to go on', async () => {
  const stream = here.town.agent('a').output
  await appendOutput(here.redis, stream, 'one', 'first')
  await appendOutput(here.redis, stream, 'two', 'other')
  await appendOutput(here.redis, stream, 'one', 'second')
  expect((await readOutput(here.redis, stream, 'one')).map(({ text }) => text)).toEqual(['first', 'second'])
  const { next, pieces } = await nextOutput(here.redis, stream, '0-0', 1)
  expect(pieces).toHaveLength(3)
  expect(await nextOutput(here.redis, stream, next, 1)).toEqual({ next, pieces: [] })
})
