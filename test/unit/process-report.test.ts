import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from '../../src/process/profile.ts'
import { addEvent, EMPTY_REPORT, type RunReport, StderrTail, TextTail } from '../../src/process/report.ts'

const fold = (events: readonly AgentEvent[]) => events.reduce(addEvent, EMPTY_REPORT)

describe('a report', () => {
  it.each<[string, AgentEvent[], Partial<RunReport>]>([
    [
      'the last session',
      [
        { type: 'session', id: 'a' },
        { type: 'session', id: 'b', model: 'm' },
      ],
      { sessionId: 'b' },
    ],
    [
      'the last message',
      [
        { type: 'message', text: 'one' },
        { type: 'message', text: 'two' },
      ],
      { lastMessage: 'two' },
    ],
    [
      'the last statement of the answer',
      [
        { type: 'final', text: 'one' },
        { type: 'final', text: '' },
      ],
      { final: '' },
    ],
    [
      'of each number of the usage the last one',
      [
        { type: 'usage', usage: { inputTokens: 1, outputTokens: 2 } },
        { type: 'usage', usage: { inputTokens: 3, costUsd: 0.5 } },
      ],
      { usage: { inputTokens: 3, outputTokens: 2, costUsd: 0.5 } },
    ],
    [
      'the tools that finished',
      [
        { type: 'tool-started', id: '1', name: 'shell', detail: 'ls' },
        { type: 'tool-finished', id: '1', ok: true },
        { type: 'tool-finished', id: '2', ok: false },
      ],
      { toolCalls: 2 },
    ],
    [
      'the first fatal error',
      [
        { type: 'error', fatal: false, message: 'again' },
        { type: 'error', fatal: true, message: 'first', status: 401 },
        { type: 'error', fatal: true, message: 'second' },
      ],
      { fatal: { type: 'error', fatal: true, message: 'first', status: 401 } as RunReport['fatal'] },
    ],
    [
      'the last terminal event',
      [
        { type: 'end', ok: false },
        { type: 'end', ok: true },
      ],
      { ended: { ok: true } },
    ],
    ['the limit that refuses the run', [{ type: 'limit', resetsAt: 5 }], { resetsAt: 5 }],
    [
      'no limit that refuses no longer',
      [
        { type: 'limit', resetsAt: 5 },
        { type: 'limit', resetsAt: null },
      ],
      { resetsAt: null },
    ],
    [
      'after what it tries again',
      [
        { type: 'notice', text: 'again', error: { message: 'no network' } },
        { type: 'notice', text: 'still waiting' },
      ],
      { retrying: { message: 'no network' } },
    ],
    [
      'nothing of a try that got further',
      [
        { type: 'notice', text: 'again', error: { message: 'no network' } },
        { type: 'message', text: 'one' },
      ],
      { lastMessage: 'one', retrying: null },
    ],
    ['nothing of a notice', [{ type: 'notice', text: 'retrying' }], {}],
  ])('keeps %s', (_, events, expected) => {
    expect(fold(events)).toEqual({ ...EMPTY_REPORT, ...expected })
  })

  it('stays as small as its last events for 100,000 of them', () => {
    let report = EMPTY_REPORT
    for (let count = 0; count < 100_000; count += 1) {
      report = addEvent(report, { type: 'message', text: `message ${count}` })
      report = addEvent(report, { type: 'tool-finished', id: String(count), ok: true })
      report = addEvent(report, { type: 'usage', usage: { inputTokens: count } })
    }
    expect(report.toolCalls).toBe(100_000)
    expect(JSON.stringify(report).length).toBeLessThan(300)
  })
})

describe('TextTail', () => {
  it('is the end of the text, in whole lines, within both its limits', () => {
    const lines = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'ä'), minLength: 1, maxLength: 12 }))
    const limits = [fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 6 })] as const
    fc.assert(
      fc.property(lines, ...limits, (all, maxChars, maxLines) => {
        const tail = new TextTail(maxChars, maxLines)
        for (const line of all) tail.add(line)
        const kept = tail.text === '' ? [] : tail.text.split('\n')
        expect(tail.text.length).toBeLessThanOrEqual(maxChars)
        expect(kept.length).toBeLessThanOrEqual(maxLines)
        expect(all.join('\n').endsWith(tail.text)).toBe(true)
        expect(tail.cut).toBe(tail.text !== all.join('\n'))
        if (all.length > 0) expect(kept.length).toBeGreaterThan(0)
      }),
    )
  })

  it('keeps the same end however often it lets go what lies before', () => {
    const tail = new TextTail(100, 10)
    for (let count = 0; count < 10_000; count += 1) tail.add(`line ${count}`)
    expect(tail.text).toBe(Array.from({ length: 10 }, (_, index) => `line ${9990 + index}`).join('\n'))
    expect(tail.cut).toBe(true)
  })

  it('says that nothing is missing while nothing is', () => {
    const tail = new TextTail(100)
    expect([tail.text, tail.cut]).toEqual(['', false])
    tail.add('a')
    tail.add('')
    tail.add('b')
    expect([tail.text, tail.cut]).toEqual(['a\n\nb', false])
  })
})

describe('StderrTail', () => {
  it('keeps the beginning of a long line', () => {
    const tail = new StderrTail()
    tail.add(`Error: ${'x'.repeat(10_000)}`)
    expect(tail.text).toMatch(/^Error: x+…$/)
    expect(tail.text.length).toBe(401)
  })
})
