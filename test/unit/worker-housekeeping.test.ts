import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Bell } from '../../src/base/bell.ts'
import { keepHouse } from '../../src/worker/housekeeping.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function house() {
  const bell = new Bell()
  const stop = new AbortController()
  const tidy = vi.fn(async () => {})
  const kept = keepHouse({ tidy, bell, signal: stop.signal })
  return { bell, stop, tidy, kept }
}

it('tidies up at once, and every hour', async () => {
  const { tidy, stop, kept } = house()
  await vi.advanceTimersByTimeAsync(0)
  expect(tidy).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(3_500_000)
  expect(tidy).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(200_000)
  expect(tidy).toHaveBeenCalledTimes(2)
  stop.abort()
  await kept
})

it('tidies up once for the runs that end within a few seconds', async () => {
  const { bell, tidy, stop, kept } = house()
  await vi.advanceTimersByTimeAsync(0)
  for (let run = 0; run < 5; run += 1) {
    bell.ring()
    await vi.advanceTimersByTimeAsync(1000)
  }
  expect(tidy).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(tidy).toHaveBeenCalledTimes(2)
  stop.abort()
  await kept
  expect(vi.getTimerCount()).toBe(0)
})
