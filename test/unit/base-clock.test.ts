import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { sleep } from '../../src/base/clock.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it.each([1000, 30 * 86_400_000])('waits %d ms, however long that is, and no longer', async (ms) => {
  let over: boolean | undefined
  void sleep(ms).then((full) => {
    over = full
  })
  await vi.advanceTimersByTimeAsync(ms - 1)
  expect(over).toBeUndefined()
  await vi.advanceTimersByTimeAsync(1)
  expect(over).toBe(true)
})

it('ends at once when a signal aborts, also in a later part of a long wait, and leaves no timer', async () => {
  const end = new AbortController()
  const slept = sleep(60 * 86_400_000, end.signal)
  await vi.advanceTimersByTimeAsync(40 * 86_400_000)
  end.abort()
  expect(await slept).toBe(false)
  expect(vi.getTimerCount()).toBe(0)
})
