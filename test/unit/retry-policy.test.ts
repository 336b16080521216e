import { describe, expect, it } from 'vitest'
import { REASONS } from '../../src/domain/outcome.ts'
import { holdMs, retryVerdict } from '../../src/reliability/retry-policy.ts'

const never = () => 0
const rules = (attempt: number, maxAttempts = 100) => ({ attempt, maxAttempts, firstMs: 5000 })

describe('retryVerdict', () => {
  it.each([
    [1, 5000],
    [2, 10_000],
    [3, 20_000],
    [6, 160_000],
    [7, 300_000],
    [50, 300_000],
  ])('has a task wait after attempt %s: %s ms', (attempt, delayMs) => {
    expect(retryVerdict('exit', rules(attempt), never)).toEqual({ kind: 'again', delayMs })
  })

  it('waits a fifth less at most', () => {
    expect(retryVerdict('exit', rules(1), () => 1)).toEqual({ kind: 'again', delayMs: 4000 })
  })

  it.each(REASONS)('knows what becomes of %s, and runs nothing beyond the last attempt', (reason) => {
    const kinds = [retryVerdict(reason, rules(1)), retryVerdict(reason, rules(3, 3))].map(({ kind }) => kind)
    expect([
      ['again', 'final'],
      ['hold', 'hold'],
      ['final', 'final'],
    ]).toContainEqual(kinds)
  })
})

describe('holdMs', () => {
  it('waits until the limit is over, where that is told', () => {
    expect(holdMs({ reason: 'quota', until: 5000 }, 1, 1000)).toBe(4000)
  })

  it('looks again by itself, sooner for what an operator mends', () => {
    const waits = (reason: 'auth' | 'quota') => [1, 2, 50].map((tries) => holdMs({ reason }, tries))
    const [auth, quota] = [waits('auth'), waits('quota')]
    for (const [at, most] of [1000, 2000, 30_000].entries()) expect(auth[at]).toBeLessThanOrEqual(most)
    for (const [at, least] of [24_000, 48_000, 480_000].entries())
      expect(quota[at]).toBeGreaterThanOrEqual(least)
  })

  it('looks once a day at a limit that is said to last for longer', () => {
    expect(holdMs({ reason: 'quota', until: 90 * 86_400_000 }, 1, 0)).toBe(86_400_000)
  })

  it('does not trust an end that is over', () => {
    expect(holdMs({ reason: 'quota', until: 5 }, 1, 1000)).toBeGreaterThanOrEqual(24_000)
  })
})
