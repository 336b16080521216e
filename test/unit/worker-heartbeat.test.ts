import { describe, expect, it } from 'vitest'
import { Bell } from '../../src/base/bell.ts'
import type { Waiting } from '../../src/store/lease.ts'
import { Control } from '../../src/worker/control.ts'
import { keepHeartbeat } from '../../src/worker/heartbeat.ts'
import { Lifecycle } from '../../src/worker/lifecycle.ts'

/** The looks of a worker at its lists while beats find this much waiting, each with so many messages that can be answered. */
async function looksAt(
  beats: readonly { readonly waiting: Waiting; readonly answerable: number }[],
): Promise<{ looks: { head: number; tail: number }[][]; answered: number }> {
  const lifecycle = new Lifecycle(() => undefined)
  lifecycle.enter({ name: 'working', taskId: 't', startId: 's', cancel: new AbortController() })
  const [end, bell] = [new AbortController(), new Bell()]
  const looks: { head: number; tail: number }[][] = []
  let [answerable, answered] = [0, 0]
  await keepHeartbeat({
    async pulse() {
      const now = beats[looks.push([]) - 1]
      if (!now) {
        end.abort()
        looks.pop()
        return { kind: 'evicted' }
      }
      answerable = now.answerable
      // The next beat follows at once.
      setImmediate(() => bell.ring())
      return { kind: 'ok', state: 'working', stopRequested: false, task: 'running', waiting: now.waiting }
    },
    async answerOne(look) {
      looks.at(-1)?.push(look)
      if (answerable === 0) return false
      answerable -= 1
      answered += 1
      return true
    },
    onPaused: () => undefined,
    onAlive: () => undefined,
    leaseMs: 30_000,
    lifecycle,
    control: new Control(),
    bell,
    signal: end.signal,
  })
  return { looks, answered }
}

const waits = (inbox: number, answerable: number) => ({ waiting: { urgent: 0, inbox }, answerable })

describe('the look at what waits during a run', () => {
  it('is spared while nothing comes', async () => {
    const { looks } = await looksAt([waits(3, 0), waits(3, 0), waits(3, 0), waits(0, 0)])
    expect(looks.map(({ length }) => length)).toEqual([1, 0, 0, 0])
  })

  it('finds each of many that come one by one, though their number never changes', async () => {
    const { answered } = await looksAt([waits(1, 1), waits(1, 1), waits(1, 1), waits(1, 1)])
    expect(answered).toBe(4)
  })

  it('reaches as far as what is new', async () => {
    const { looks } = await looksAt([waits(10, 0), waits(310, 0)])
    expect(looks[1]).toEqual([{ head: 16, tail: 316 }])
  })
})
