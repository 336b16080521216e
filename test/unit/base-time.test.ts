import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { anyOf, unlessAborted } from '../../src/base/abort.ts'
import { type Backoff, backoffMs } from '../../src/base/backoff.ts'
import { aborted, monotonicMs, sleep } from '../../src/base/clock.ts'
import { deferred } from '../../src/base/deferred.ts'
import { formatDuration, parseDuration } from '../../src/base/duration.ts'
import { collectGarbage } from '../rig/garbage.ts'

describe('backoffMs', () => {
  const plain: Backoff = { firstMs: 100, factor: 2, maxMs: 1000, jitter: 0 }

  it.each([
    [0, 100],
    [1, 100],
    [2, 200],
    [3, 400],
    [4, 800],
    [5, 1000],
    [5000, 1000],
  ])('waits before repetition %i %i ms', (attempt, expected) => {
    expect(backoffMs(plain, attempt)).toBe(expected)
  })

  it.each([
    [0, 200],
    [0.5, 150],
    [1, 100],
  ])('takes off what a draw of %d says', (draw, expected) => {
    expect(backoffMs({ ...plain, jitter: 0.5 }, 2, () => draw)).toBe(expected)
  })

  it('lies between the wait without its random part and the full wait, and never above the longest', () => {
    const backoff = fc.record({
      firstMs: fc.integer({ min: 1, max: 10_000 }),
      factor: fc.double({ min: 1, max: 10, noNaN: true }),
      maxMs: fc.integer({ min: 1, max: 100_000 }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(backoff, fc.nat(2000), draw, (policy, attempt, drawn) => {
        const wait = backoffMs(policy, attempt, () => drawn)
        const full = backoffMs({ ...policy, jitter: 0 }, attempt)
        expect(wait).toBeLessThanOrEqual(policy.maxMs)
        expect(wait).toBeLessThanOrEqual(full)
        expect(wait).toBeGreaterThanOrEqual(Math.floor(full * (1 - policy.jitter)) - 1)
        expect(backoffMs({ ...policy, jitter: 0 }, attempt + 1)).toBeGreaterThanOrEqual(full)
      }),
    )
  })
})

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
    ['45', 45_000],
    ['0', 0],
    ['1.5s', 1500],
    ['0.0001s', 0],
    [' 5s ', 5000],
  ])('reads %j as %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each(['', 's', '-5s', '5 s', '5S', '1h30m', '.5s', '5.s', '1e3', 'Infinity', 'five', '5w'])(
    'does not take %j for a duration',
    (text) => {
      expect(parseDuration(text)).toBeNull()
    },
  )
})

describe('formatDuration', () => {
  it.each([
    [0, '0ms'],
    [850.4, '850ms'],
    [999.6, '1.0s'],
    [4200, '4.2s'],
    [59_940, '59.9s'],
    [59_960, '1m00s'],
    [60_000, '1m00s'],
    [185_000, '3m05s'],
    [3_599_400, '59m59s'],
    [3_599_600, '1h00m'],
    [7_800_000, '2h10m'],
    [90_000_000, '25h00m'],
  ])('shows %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  it('never counts sixty of a unit', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (ms) => {
        expect(formatDuration(ms)).not.toMatch(/^1000ms|^60\.|60s$|h60m$/)
      }),
    )
  })
})

describe('sleep', () => {
  it('tells that it waited in full, and not less', async () => {
    const begun = monotonicMs()
    expect(await sleep(20)).toBe(true)
    expect(monotonicMs() - begun).toBeGreaterThanOrEqual(18)
  })

  it('does not begin when its signal is aborted already', async () => {
    expect(await sleep(600_000, AbortSignal.abort())).toBe(false)
  })

  it('ends when its signal aborts, and leaves no timer and no listener behind', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const stop = new AbortController()
    const waited = sleep(600_000, stop.signal)
    stop.abort()
    expect(await waited).toBe(false)
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout')).toHaveLength(before)
    expect(getEventListeners(stop.signal, 'abort')).toEqual([])
  })

  it('leaves no listener on a signal that lives on', async () => {
    const { signal } = new AbortController()
    for (let count = 0; count < 20; count += 1) await sleep(0, signal)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('aborted', () => {
  it('resolves when the signal aborts, also when it did before', async () => {
    const stop = new AbortController()
    const seen = aborted(stop.signal)
    stop.abort()
    await seen
    await aborted(stop.signal)
  })
})

describe('unlessAborted', () => {
  it('settles as the promise does', async () => {
    const { signal } = new AbortController()
    expect(await unlessAborted(Promise.resolve(7), signal)).toBe(7)
    await expect(unlessAborted(Promise.reject(new Error('broke')), signal)).rejects.toThrow('broke')
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it.each(['before', 'after'])(
    'rejects with the reason of a signal that aborts %s the call',
    async (when) => {
      const stop = new AbortController()
      const never = deferred()
      if (when === 'before') stop.abort(new Error('over'))
      const waited = unlessAborted(never.promise, stop.signal)
      stop.abort(new Error('over'))
      await expect(waited).rejects.toThrow('over')
      expect(getEventListeners(stop.signal, 'abort')).toEqual([])
    },
  )

  it('lets a later failure of the promise go', async () => {
    const late = deferred()
    const waited = unlessAborted(late.promise, AbortSignal.abort(new Error('over')))
    await expect(waited).rejects.toThrow('over')
    late.reject(new Error('too late'))
    await new Promise(setImmediate)
  })
})

describe('anyOf', () => {
  it('aborts with the first of its sources, and its reason', () => {
    const [one, two] = [new AbortController(), new AbortController()]
    const any = anyOf(one.signal, two.signal)
    expect(any.aborted).toBe(false)
    two.abort('enough')
    expect(any.reason).toBe('enough')
    one.abort('later')
    expect(anyOf(one.signal).reason).toBe('later')
  })

  it.each([
    ['alone', (signal: AbortSignal) => anyOf(new AbortController().signal, signal)],
    ['within another', (signal: AbortSignal) => anyOf(anyOf(signal), new AbortController().signal)],
  ])('follows a source that nobody else holds, %s', async (_, follow) => {
    const ended = aborted(follow(AbortSignal.timeout(300)))
    await collectGarbage()
    await ended
  })

  it('is let go with what follows it, also while a source lives on', async () => {
    const source = new AbortController().signal
    let made: AbortSignal | null = anyOf(source)
    const seen = new WeakRef(made)
    made = null
    await collectGarbage()
    expect([source.aborted, seen.deref()]).toEqual([false, undefined])
  })
})
