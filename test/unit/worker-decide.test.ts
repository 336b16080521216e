import { describe, expect, it } from 'vitest'
import { type Outcome, REASONS, type RunFacts } from '../../src/domain/outcome.ts'
import { type Decision, decide } from '../../src/worker/decide.ts'

const facts: RunFacts = { toolCalls: 3, durationMs: 61_000, exitCode: 0, sessionId: 's' }

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
      { kind: 'released', reason: 'shutdown', sessionId: 's' },
      { kind: 'give-back', sessionId: 's' },
    ],
    [
      'gives back at a shutdown before there was a session',
      { kind: 'released', reason: 'shutdown' },
      { kind: 'give-back' },
    ],
    [
      'leaves alone what belongs to the next holder of the lease',
      { kind: 'released', reason: 'lease-lost', sessionId: 's' },
      { kind: 'leave-alone' },
    ],
  ])('%s', (_, outcome, decision) => {
    expect(decide(outcome)).toEqual(decision)
  })

  it.each(REASONS)('settles a run that failed by %s as failed, with the reason', (reason) => {
    const detail = `${'w'.repeat(300)}\nand more`
    expect(decide({ kind: 'failed', reason, detail, facts })).toEqual({
      kind: 'settle',
      state: 'failed',
      result: detail,
      truncated: false,
      reason,
      facts,
      eventMessage: `${reason}: ${'w'.repeat(159)}…`,
      activity: `❌ failed: ${'w'.repeat(99)}…`,
    })
  })
})
