import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { someAtATime } from '../../src/base/some-at-a-time.ts'

describe('some at a time', () => {
  it('gives all results in their order, and never does more than its limit at once', async () => {
    const inputs = [
      fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 20 }),
      fc.integer({ min: 1, max: 5 }),
    ] as const
    await fc.assert(
      fc.asyncProperty(...inputs, async (items, limit) => {
        let [open, most] = [0, 0]
        const results = await someAtATime(items, limit, async (turns) => {
          open += 1
          most = Math.max(most, open)
          for (let count = 0; count < turns; count += 1) await turn()
          open -= 1
          return turns * 2
        })
        expect(results).toEqual(items.map((item) => item * 2))
        expect(most).toBe(Math.min(limit, items.length))
      }),
    )
  })

  it('throws what one of them threw, and begins no other', async () => {
    const begun: number[] = []
    const work = async (item: number) => {
      begun.push(item)
      await turn()
      throw new Error(`no ${item}`)
    }
    await expect(someAtATime([1, 2, 3, 4], 2, work)).rejects.toThrow('no 1')
    await turn()
    expect(begun).toEqual([1, 2])
  })
})
