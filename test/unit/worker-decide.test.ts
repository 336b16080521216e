import { describe, expect, it } from 'vitest'
import { type Outcome, REASONS, type Reason, type RunFacts } from '../../src/domain/outcome.ts'
import { type Decision, decide } from '../../src/worker/decide.ts'

const facts: RunFacts = { toolCalls: 3, durationMs: 61_000, exitCode: 0, sessionId: 's' }

const LAST = { attempt: 3, maxAttempts: 3, firstMs: 5000 }

describe('decide', () => {
  it.each<[string, Outcome, Decision]>([
    [
      'settles a completed run with its answer',
      { kind: 'completed', result: 'Done.\nAll of it.', truncated: false, facts },
      {
        kind: 'settle',
        state: 'completed',
        result: 'Done.\nAll of it.',
        truncated: false,
        facts,
        eventMessage: 'Done.',
        activity: '✅ completed in 1m01s',
      },
    ],
    [
      'says that an answer was cut',
      { kind: 'completed', result: 'Done.', truncated: true, facts },
      {
        kind: 'settle',
        state: 'completed',
        result: 'Done.',
        truncated: true,
        facts,
        eventMessage: 'Done.',
        activity: '✅ completed in 1m01s',
      },
    ],
    [
      'settles a cancelled run',
      { kind: 'cancelled', facts },
      {
        kind: 'settle',
        state: 'cancelled',
        result: 'Cancelled',
        truncated: false,
        reason: 'cancelled',
        facts,
        eventMessage: 'cancelled',
        activity: '🚫 cancelled',
      },
    ],
    [
      'holds what a missing CLI kept from running',
      { kind: 'held', reason: 'not-installed', detail: 'no such program' },
      { kind: 'hold', reason: 'not-installed', detail: 'no such program' },
    ],
    [
      'holds what a missing folder kept from running',
      { kind: 'held', reason: 'config', detail: 'no such folder' },
      { kind: 'hold', reason: 'config', detail: 'no such folder' },
    ],
    [
      'gives back at a shutdown, with the session',
      { kind: 'released', reason: 'shutdown', facts },
      { kind: 'give-back', sessionId: 's' },
    ],
    [
      'gives back at a shutdown before there was a session',
      { kind: 'released', reason: 'shutdown', facts: { toolCalls: 0, durationMs: 0 } },
      { kind: 'give-back' },
    ],
    [
      'leaves alone what belongs to the next holder of the lease',
      { kind: 'released', reason: 'lease-lost', facts },
      { kind: 'leave-alone' },
    ],
  ])('%s', (_, outcome, decision) => {
    expect(decide(outcome, LAST)).toEqual(decision)
  })

  const detail = `${'w'.repeat(300)}\nand more`
  const HOLDS: readonly Reason[] = ['auth', 'unreachable', 'quota', 'rate-limit', 'not-installed', 'config']
  const LIMITS: readonly Reason[] = ['quota', 'rate-limit']
  const NEVER: readonly Reason[] = [
    'context-too-long',
    'permission-denied',
    'bad-task',
    'cancelled',
    'shutdown',
  ]

  it.each(REASONS.filter((reason) => !HOLDS.includes(reason)))(
    'settles the last run that failed by %s as failed, with the reason, and buries its message',
    (reason) => {
      expect(decide({ kind: 'failed', reason, detail, facts }, LAST)).toEqual({
        kind: 'settle',
        state: 'failed',
        result: detail,
        truncated: false,
        reason,
        facts,
        bury: detail,
        eventMessage: `${reason}: ${'w'.repeat(159)}…`,
        activity: `❌ failed: ${'w'.repeat(99)}…`,
      })
    },
  )

  it.each(REASONS.filter((reason) => ![...HOLDS, ...NEVER].includes(reason)))(
    'runs a task again whose run failed by %s, later from time to time',
    (reason) => {
      const outcome = { kind: 'failed', reason, detail: 'why', facts } as const
      const first = decide(outcome, { ...LAST, attempt: 1, maxAttempts: 3 })
      const second = decide(outcome, { ...LAST, attempt: 2, maxAttempts: 3 })
      expect(first).toMatchObject({
        kind: 'retry',
        reason,
        facts,
        otherwise: { kind: 'settle', state: 'failed' },
      })
      expect(first).toMatchObject({
        eventMessage: expect.stringMatching(/why \(attempt 1 of 3, again in [\d.]+s\)$/),
      })
      const [one, two] = [first, second].map((one) => (one.kind === 'retry' ? one.delayMs : 0))
      expect(one).toBeGreaterThanOrEqual(4000)
      expect(one).toBeLessThanOrEqual(5000)
      expect(two).toBeGreaterThanOrEqual(8000)
    },
  )

  it('runs no task again whose run would end in the same way', () => {
    const outcome = { kind: 'failed', reason: 'output-limit', detail, facts, final: true } as const
    expect(decide(outcome, { ...LAST, attempt: 1 })).toMatchObject({
      kind: 'settle',
      state: 'failed',
      bury: detail,
    })
  })

  it.each(NEVER)('runs no task again whose run failed by %s', (reason) => {
    const outcome = { kind: 'failed', reason, detail, facts } as const
    expect(decide(outcome, { ...LAST, maxAttempts: 3 })).toMatchObject({ kind: 'settle', state: 'failed' })
  })

  it.each(HOLDS)('holds a task whose run failed by %s, however often', (reason) => {
    const outcome = { kind: 'failed', reason, detail: 'why', facts: { ...facts, sessionId: 's' } } as const
    expect(decide({ ...outcome, resetsAt: 5 }, LAST)).toEqual({
      kind: 'hold',
      reason,
      detail: `${reason}: why`,
      // What somebody has to mend has nothing to do with the end of a limit.
      ...(LIMITS.includes(reason) ? { until: 5 } : {}),
      sessionId: 's',
    })
  })
})

describe('decide, at most once', () => {
  const once = { attempt: 1, maxAttempts: 3, firstMs: 5000, atMostOnce: true }

  it.each(REASONS)('fails a run for good that ended with %s, its message kept', (reason) => {
    const decision = decide({ kind: 'failed', reason, detail: 'because', facts }, once)
    const end = decision.kind === 'fail-and-hold' ? decision.end : decision
    expect(end).toMatchObject({ kind: 'settle', state: 'failed', reason, result: 'because', bury: 'because' })
  })

  it.each(['auth', 'unreachable', 'quota', 'rate-limit', 'not-installed', 'config'] as const)(
    'waits for the surroundings behind %s, too',
    (reason) => {
      const outcome = { kind: 'failed', reason, detail: 'because', facts, resetsAt: 5 } as const
      expect(decide(outcome, once)).toMatchObject({
        kind: 'fail-and-hold',
        hold: { reason, detail: `${reason}: because` },
      })
    },
  )

  it('gives a task back whose CLI was never started', () => {
    expect(decide({ kind: 'held', reason: 'config', detail: 'no folder' }, once)).toMatchObject({
      kind: 'hold',
    })
  })

  it('fails a run that a shutdown ended, with what is known of it, and leaves one alone whose lease is lost', () => {
    expect(decide({ kind: 'released', reason: 'shutdown', facts }, once)).toMatchObject({
      kind: 'settle',
      state: 'failed',
      reason: 'shutdown',
      facts,
      bury: expect.stringMatching(/not run again/),
    })
    expect(decide({ kind: 'released', reason: 'lease-lost', facts }, once)).toEqual({ kind: 'leave-alone' })
  })
})
