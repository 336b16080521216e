import { beforeEach, describe, expect, it, vi } from 'vitest'
import { untilWritten } from '../../src/reliability/until-written.ts'

const slept = vi.hoisted(() => [] as number[])
const duringSleep = vi.hoisted(() => ({ run: () => {} }))

// The waits are written down and are over at once.
vi.mock('../../src/base/clock.ts', async (original) => ({
  ...(await original<typeof import('../../src/base/clock.ts')>()),
  sleep: async (ms: number) => {
    slept.push(ms)
    duringSleep.run()
    return true
  },
}))

beforeEach(() => {
  slept.splice(0)
  duringSleep.run = () => {}
})

class Refused extends Error {}

function writer(refusals: number, error: () => Error = () => new Refused('READONLY')) {
  let calls = 0
  return {
    get calls() {
      return calls
    },
    write: async () => {
      calls += 1
      if (calls <= refusals) throw error()
      return 'written'
    },
  }
}

const passes = (error: unknown) => error instanceof Refused

describe('untilWritten', () => {
  it('writes once when the server takes it', async () => {
    const refused = vi.fn()
    const what = writer(0)
    expect(await untilWritten(what.write, { passes, onRefused: refused })).toBe('written')
    expect([what.calls, slept.length, refused.mock.calls.length]).toEqual([1, 0, 0])
  })

  it('repeats a write that is refused for now, and tells each refusal with its wait', async () => {
    const told: number[] = []
    const what = writer(4)
    const onRefused = (error: unknown, retryMs: number) => {
      expect(error).toBeInstanceOf(Refused)
      told.push(retryMs)
    }
    expect(await untilWritten(what.write, { passes, onRefused })).toBe('written')
    expect(what.calls).toBe(5)
    expect(told).toEqual(slept)
  })

  it('waits longer from time to time, at most five seconds', async () => {
    const what = writer(30)
    await untilWritten(what.write, { passes, onRefused: () => undefined })
    for (const [index, wait] of slept.entries()) {
      const full = Math.min(5000, 200 * 2 ** index)
      expect(wait).toBeLessThanOrEqual(full)
      expect(wait).toBeGreaterThanOrEqual(full * 0.7 - 1)
    }
    expect(slept).toHaveLength(30)
  })

  it('throws any other failure at once', async () => {
    const what = writer(1, () => new Error('WRONGTYPE'))
    await expect(untilWritten(what.write, { passes, onRefused: () => undefined })).rejects.toThrow(
      'WRONGTYPE',
    )
    expect([what.calls, slept.length]).toEqual([1, 0])
  })

  it('tries once more when its signal aborts during a wait, and then throws the last refusal', async () => {
    const stop = new AbortController()
    duringSleep.run = () => stop.abort()
    const what = writer(9)
    const waited = untilWritten(what.write, { passes, onRefused: () => undefined, signal: stop.signal })
    await expect(waited).rejects.toThrow('READONLY')
    expect(what.calls).toBe(2)
  })

  it('still writes once when its signal is aborted already', async () => {
    const good = writer(0)
    const signal = AbortSignal.abort()
    expect(await untilWritten(good.write, { passes, onRefused: () => undefined, signal })).toBe('written')
    const bad = writer(9)
    await expect(untilWritten(bad.write, { passes, onRefused: () => undefined, signal })).rejects.toThrow(
      Refused,
    )
    expect(bad.calls).toBe(1)
  })
})
