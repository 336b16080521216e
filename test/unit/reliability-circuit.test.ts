import { afterEach, describe, expect, it, vi } from 'vitest'
import { REASONS, type Reason } from '../../src/domain/outcome.ts'
import { Circuit } from '../../src/reliability/circuit.ts'

afterEach(() => void vi.useRealTimers())

/** A circuit with a clock in the hand of the test and no jitter. */
function circuit({ failures = 3, firstMs = 30_000, random = (): number => 0 } = {}) {
  let now = 0
  const made = new Circuit({ failures, firstMs, now: () => now, random })
  return {
    circuit: made,
    pass: (ms: number) => {
      now += ms
    },
    fail: (taskId: string, reason: Reason = 'exit') =>
      made.record({ taskId, failure: { reason, detail: `${taskId} failed` } }),
    complete: (taskId: string) => made.record({ taskId }),
  }
}

/** One that is open. */
async function opened(...given: Parameters<typeof circuit>) {
  const one = circuit(...given)
  for (const taskId of ['a', 'b', 'c']) await one.fail(taskId)
  expect(one.circuit.state).toBe('open')
  return one
}

async function halfOpened() {
  const one = await opened()
  one.pass(30_000)
  expect(one.circuit.halfOpen()).toBe(true)
  return one
}

const COUNTED: readonly Reason[] = [
  ...(['exit', 'no-final-answer', 'crashed', 'timeout', 'stalled', 'output-limit'] as const),
  ...(['session-lost', 'overloaded'] as const),
]

describe('a closed circuit', () => {
  it.each<[string, string, string]>([
    ['different tasks that fail one after another', 'a b c', 'open'],
    ['too few of them', 'a b', 'closed'],
    ['one task that fails again and again', 'a a a a a', 'closed'],
    ['a retry, which counts once', 'a b a b', 'closed'],
    ['a retry between others', 'a a b a c', 'open'],
    ['a row that a completed task ends', 'a b +x c d', 'closed'],
    ['a row after a completed task', 'a b +x a b c', 'open'],
    ['a task that fails, completes and fails', 'a +a a b', 'closed'],
  ])('is after %s (%s): %s', async (_, row, state) => {
    const one = circuit()
    for (const step of row.split(' ')) {
      if (step.startsWith('+')) await one.complete(step.slice(1))
      else await one.fail(step)
    }
    expect(one.circuit.state).toBe(state)
  })

  it.each(REASONS.filter((reason) => COUNTED.includes(reason)))('opens after %s', async (reason) => {
    const one = circuit()
    for (const taskId of ['a', 'b', 'c']) await one.fail(taskId, reason)
    expect(one.circuit.state).toBe('open')
    expect(one.circuit.row).toEqual({ failures: 3, last: { reason, detail: 'c failed' } })
  })

  it.each(REASONS.filter((reason) => !COUNTED.includes(reason)))(
    'neither counts %s nor begins anew after it',
    async (reason) => {
      const one = circuit()
      for (const taskId of ['x', 'y', 'z']) await one.fail(taskId, reason)
      expect(one.circuit.state).toBe('closed')
      await one.fail('a')
      await one.fail('b')
      await one.fail('x', reason)
      await one.fail('c')
      expect(one.circuit.state).toBe('open')
    },
  )

  it('stays closed where the number is 0, and opens at once where it is 1', async () => {
    const off = circuit({ failures: 0 })
    for (const taskId of ['a', 'b', 'c', 'd']) await off.fail(taskId)
    expect([off.circuit.state, off.circuit.waitMs]).toEqual(['closed', 0])
    const one = circuit({ failures: 1 })
    await one.fail('a')
    expect(one.circuit.state).toBe('open')
  })

  it('lets tasks be claimed, and is not half-opened', () => {
    const one = circuit()
    expect([one.circuit.waitMs, one.circuit.halfOpen(), one.circuit.state]).toEqual([0, false, 'closed'])
  })
})

describe('an open circuit', () => {
  it('waits for its whole time', async () => {
    const one = await opened()
    expect(one.circuit.waitMs).toBe(30_000)
    one.pass(29_999)
    expect([one.circuit.waitMs, one.circuit.halfOpen(), one.circuit.state]).toEqual([1, false, 'open'])
    one.pass(1)
    expect([one.circuit.waitMs, one.circuit.halfOpen(), one.circuit.state]).toEqual([0, true, 'half-open'])
    expect(one.circuit.halfOpen()).toBe(false)
  })

  it.each(['2030-01-01T11:00:00Z', '2030-01-01T13:00:00Z'])(
    'is open for as long when somebody sets the clock of the machine to %s meanwhile',
    async (time) => {
      vi.useFakeTimers({ toFake: ['Date'], now: new Date('2030-01-01T12:00:00Z') })
      const one = await opened()
      vi.setSystemTime(new Date(time))
      one.pass(29_999)
      expect([one.circuit.halfOpen(), one.circuit.state]).toEqual([false, 'open'])
      one.pass(1)
      expect([one.circuit.halfOpen(), one.circuit.state]).toEqual([true, 'half-open'])
    },
  )

  it('is open for a fifth less at most', async () => {
    expect((await opened({ random: () => 1 })).circuit.waitMs).toBe(24_000)
  })

  it('waits twice as long after every probe that failed, ten minutes at most, and as at first after it was closed', async () => {
    const one = await opened()
    const waits: number[] = []
    for (let probe = 0; probe < 7; probe += 1) {
      waits.push(one.circuit.waitMs)
      one.pass(one.circuit.waitMs)
      one.circuit.halfOpen()
      // The same task may be the probe each time.
      await one.fail('a')
      expect(one.circuit.state).toBe('open')
    }
    expect(waits).toEqual([30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000])
    one.pass(600_000)
    one.circuit.halfOpen()
    await one.complete('a')
    for (const taskId of ['a', 'b', 'c']) await one.fail(taskId)
    expect(one.circuit.waitMs).toBe(30_000)
  })
})

describe('a half-open circuit', () => {
  it('is closed by a task that completes, and begins its count anew', async () => {
    const one = await halfOpened()
    await one.complete('d')
    expect(one.circuit.state).toBe('closed')
    expect(one.circuit.row).toEqual({ failures: 0, last: undefined })
    await one.fail('a')
    await one.fail('b')
    expect(one.circuit.state).toBe('closed')
  })

  it('is opened by one task that fails', async () => {
    const one = await halfOpened()
    await one.fail('d', 'timeout')
    expect([one.circuit.state, one.circuit.waitMs]).toEqual(['open', 60_000])
    expect(one.circuit.row).toEqual({ failures: 4, last: { reason: 'timeout', detail: 'd failed' } })
  })

  it.each(['cancelled', 'bad-task', 'auth', 'rate-limit'] as const)(
    'takes the next task after one that ended with %s',
    async (reason) => {
      const one = await halfOpened()
      await one.fail('d', reason)
      expect([one.circuit.state, one.circuit.waitMs]).toEqual(['half-open', 0])
      await one.complete('e')
      expect(one.circuit.state).toBe('closed')
    },
  )
})
