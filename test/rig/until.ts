import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits until `check` is true (or gives something) and returns what it gave. Fails with `what` when it does not happen in
 * time: the deadline is for a broken program, not a measure of speed.
 */
export async function until<T>(
  check: () => T | Promise<T>,
  what: string,
  deadlineMs = 15_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + deadlineMs
  for (;;) {
    const value = await check()
    if (value) return value
    if (Date.now() > end) throw new Error(`Waited ${deadlineMs} ms in vain until ${what}`)
    await delay(20)
  }
}
