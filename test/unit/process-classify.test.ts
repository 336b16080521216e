import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { EndedBy, ProcessEnd } from '../../src/process/agent-process.ts'
import { classify } from '../../src/process/classify.ts'
import type { Reading } from '../../src/process/output-reader.ts'
import type { Profile } from '../../src/process/profile.ts'
import { EMPTY_REPORT, type RunReport } from '../../src/process/report.ts'

const PROFILE: Profile = {
  id: 'some',
  title: 'Some CLI',
  command: { program: 'some', args: [] },
  prompt: { via: 'stdin' },
  env: { pass: [], set: {} },
  version: { args: ['--version'], tested: [] },
  login: null,
  install: 'npm install -g some',
  upstreamCommands: [],
  parseLine: () => [],
  terminalEvent: true,
  failures: [
    { reason: 'auth', match: ({ status }) => status === 401 },
    { reason: 'quota', match: /quota/i },
    { reason: 'rate-limit', match: /quota|slow down/i },
  ],
  stderrFailures: [{ reason: 'session-lost', match: /^No such session/m }],
  exitCodes: { 44: 'config', 127: 'bad-task' },
  exitGraceMs: 1000,
}
const PLAIN: Profile = { ...PROFILE, parseLine: null, terminalEvent: false }
const LIMITS = { wallMs: 3_600_000, stallMs: 900_000, outputBytes: 256_000_000 }

const exit = (more: Partial<Extract<ProcessEnd, { kind: 'exited' }>> = {}): ProcessEnd => ({
  kind: 'exited',
  exitCode: 0,
  signal: null,
  endedBy: null,
  durationMs: 1234,
  leftovers: 0,
  ...more,
})
const read = (report: Partial<RunReport> = {}, more: Partial<Reading> = {}): Reading => ({
  report: { ...EMPTY_REPORT, ...report },
  plain: { text: '', cut: false },
  stderr: '',
  unreadLines: 0,
  mute: false,
  ...more,
})
const DONE = { final: 'The answer', ended: { ok: true } }
const outcome = (end: ProcessEnd, reading: Reading, profile = PROFILE) =>
  classify(profile, end, reading, LIMITS)

describe('a run that we ended', () => {
  it.each<[EndedBy, object]>([
    ['timeout', { kind: 'failed', reason: 'timeout', detail: expect.stringContaining('1h00m') }],
    ['stalled', { kind: 'failed', reason: 'stalled', detail: expect.stringContaining('15m00s') }],
    ['output-limit', { kind: 'failed', reason: 'output-limit', detail: expect.stringContaining('256 MB') }],
    ['cancelled', { kind: 'cancelled' }],
    ['shutdown', { kind: 'released', reason: 'shutdown', facts: { sessionId: 's-1' } }],
    ['lease-lost', { kind: 'released', reason: 'lease-lost', facts: { sessionId: 's-1' } }],
  ])('is judged by why, %s, before what it said', (endedBy, expected) => {
    const reading = read({ ...DONE, sessionId: 's-1', fatal: { message: 'quota' } })
    expect(outcome(exit({ endedBy, exitCode: 0 }), reading)).toMatchObject(expected)
  })

  it('is completed when it only lingered after its turn', () => {
    const end = exit({ endedBy: 'lingering', exitCode: null, signal: 'SIGTERM' })
    expect(outcome(end, read(DONE))).toMatchObject({ kind: 'completed', result: 'The answer' })
  })

  it('is failed when its turn had failed and it lingered, and not crashed', () => {
    const end = exit({ endedBy: 'lingering', exitCode: null, signal: 'SIGKILL' })
    const reading = read({ ended: { ok: false } })
    expect(outcome(end, reading)).toMatchObject({ kind: 'failed', reason: 'exit' })
  })
})

describe('a run that did not start', () => {
  const notStarted = (code: string): ProcessEnd => ({ kind: 'not-started', code, message: `spawn ${code}` })

  it.each([
    ['ENOENT', 'not-installed'],
    ['EACCES', 'not-installed'],
    ['ENOTDIR', 'config'],
    ['ENOSPC', 'config'],
    ['EAGAIN', 'config'],
    ['UNKNOWN', 'config'],
  ])('is held at %s as %s: the task is not burnt', (code, reason) => {
    expect(outcome(notStarted(code), read())).toMatchObject({ kind: 'held', reason })
  })

  it('says how to install what is missing', () => {
    expect(outcome(notStarted('ENOENT'), read())).toMatchObject({
      detail: expect.stringContaining('npm install -g some'),
    })
  })
})

describe('a run that ended by itself', () => {
  it.each<[string, ProcessEnd, Reading, object]>([
    ['the first row that fits', exit(), read({ fatal: { message: 'Quota' } }), { reason: 'quota' }],
    ['the status', exit({ exitCode: 1 }), read({ fatal: { message: 'x', status: 401 } }), { reason: 'auth' }],
    [
      'exit, where no row fits, in the words of the CLI',
      exit({ exitCode: 1 }),
      read({ fatal: { message: 'Odd.' } }),
      { reason: 'exit', detail: 'Odd.' },
    ],
    [
      'a fatal error, whatever the exit',
      exit(),
      read({ ...DONE, fatal: { message: 'Odd.' } }),
      { reason: 'exit' },
    ],
    ['a signal', exit({ exitCode: null, signal: 'SIGSEGV' }), read(), { reason: 'crashed' }],
    [
      'a signal after the answer',
      exit({ exitCode: null, signal: 'SIGSEGV' }),
      read(DONE),
      { reason: 'crashed' },
    ],
    [
      'the exit code',
      exit({ exitCode: 3 }),
      read(),
      { reason: 'exit', detail: expect.stringContaining('3') },
    ],
    ['the exit code after the answer', exit({ exitCode: 3 }), read(DONE), { reason: 'exit' }],
    [
      'stderr, where there was no terminal event',
      exit({ exitCode: 1 }),
      read({}, { stderr: 'Hi\nNo such session: 7' }),
      { reason: 'session-lost' },
    ],
    [
      'not stderr after a terminal event, as it is talk then',
      exit({ exitCode: 1 }),
      read({ ended: { ok: true } }, { stderr: 'No such session: 7' }),
      { reason: 'exit' },
    ],
    ['no answer at exit 0', exit(), read({ ended: { ok: true } }), { reason: 'no-final-answer' }],
    ['an empty answer', exit(), read({ ...DONE, final: ' \n' }), { reason: 'no-final-answer' }],
    [
      'an empty answer after a message',
      exit(),
      read({ ...DONE, final: '', lastMessage: 'Let me see' }),
      { reason: 'no-final-answer' },
    ],
    ['no terminal event at exit 0', exit(), read({ final: 'Half' }), { reason: 'no-final-answer' }],
    ['a turn that failed at exit 0', exit(), read({ ...DONE, ended: { ok: false } }), { reason: 'exit' }],
  ])('is failed by %s', (_, end, reading, expected) => {
    expect(outcome(end, reading)).toMatchObject({ kind: 'failed', ...expected })
  })

  it('says in words that there was no answer', () => {
    const { detail } = outcome(exit(), read({ ended: { ok: true } })) as { detail: string }
    expect(detail).toContain('without a final answer')
  })

  it('is completed with the last message where the CLI does not state its answer', () => {
    const reading = read({ lastMessage: 'Said so', ended: { ok: true } })
    expect(outcome(exit(), reading)).toMatchObject({ kind: 'completed', result: 'Said so', truncated: false })
  })

  it('is completed with everything on stdout where the CLI has no events', () => {
    const reading = read({}, { plain: { text: 'All of it', cut: false } })
    expect(outcome(exit(), reading, PLAIN)).toMatchObject({ kind: 'completed', result: 'All of it' })
    expect(outcome(exit(), read(), PLAIN)).toMatchObject({ kind: 'failed', reason: 'no-final-answer' })
  })

  it('tells its facts', () => {
    const reading = read({ ...DONE, sessionId: 's', toolCalls: 2, usage: { inputTokens: 5, costUsd: 0.1 } })
    const { facts } = outcome(exit(), reading) as { facts: object }
    expect(facts).toEqual({
      ...{ sessionId: 's', toolCalls: 2, inputTokens: 5, costUsd: 0.1, durationMs: 1234, exitCode: 0 },
    })
  })
})

describe('the end of a limit', () => {
  const telling: Profile = {
    ...PROFILE,
    env: { pass: [], set: { TZ: 'Asia/Tokyo' } },
    resetsAt: (message, { now, timeZone }) => (timeZone === 'Asia/Tokyo' ? now + message.length : undefined),
  }
  const ended = (report: Partial<RunReport>, profile = telling) =>
    classify(profile, exit({ exitCode: 1 }), read(report), LIMITS, 1000)

  it.each<[string, Partial<RunReport>, number | undefined]>([
    ['is told by an event', { fatal: { message: 'quota' }, resetsAt: 7 }, 7],
    ['is told by the message, in the zone of the CLI', { fatal: { message: 'quota' } }, 1005],
    ['is not told by nothing', {}, undefined],
  ])('%s', (_, report, resetsAt) => {
    const told = ended(report)
    expect('resetsAt' in told ? told.resetsAt : undefined).toBe(resetsAt)
  })
})

describe('a run that was silent', () => {
  it.each([
    ['for which it tried again', 'Quota', 'quota'],
    ['stalled, where nobody knows for what it waits', 'Odd.', 'stalled'],
  ])('has the reason %s', (_, message, reason) => {
    const silent = outcome(exit({ endedBy: 'stalled' }), read({ retrying: { message } }))
    expect(silent).toMatchObject({ reason, detail: expect.stringMatching(`silent.*${message}`) })
  })
})

describe('why a run failed', () => {
  it.each<[string, Reading, string]>([
    [
      'its events, before all else',
      read({ fatal: { message: 'quota' } }, { stderr: 'No such session' }),
      'quota',
    ],
    ['its exit code where its events do not', read({ fatal: { message: 'Odd.' } }), 'config'],
    ['its exit code before what it wrote to stderr', read({}, { stderr: 'No such session' }), 'config'],
    ['its exit code after an answer', read(DONE), 'config'],
  ])('is told by %s', (_, reading, reason) => {
    expect(outcome(exit({ exitCode: 44 }), reading)).toMatchObject({ kind: 'failed', reason })
  })

  it('is not told by the exit of one that was ended by us after its turn', () => {
    const end = exit({ endedBy: 'lingering', exitCode: 44 })
    expect(outcome(end, read(DONE))).toMatchObject({ kind: 'completed' })
  })
})

describe('a program that the CLI needs and that is not there', () => {
  const stderr = "env: 'node': No such file or directory"
  const found = { ...PROFILE, exitCodes: {} }

  it.each([126, 127])('holds the task (%i), with what was said and where to look', (exitCode) => {
    const held = outcome(exit({ exitCode }), read({}, { mute: true, stderr: `warning\n${stderr}\n` }), found)
    expect(held).toMatchObject({ kind: 'held', reason: 'not-installed' })
    expect(held).toMatchObject({
      detail: expect.stringMatching(/exited with 12[67].*env: 'node': No such file.*PATH/),
    })
  })

  it.each<[string, ProcessEnd, Reading, Profile]>([
    ['said something', exit({ exitCode: 127 }), read({}, { stderr }), found],
    ['exited with another code', exit({ exitCode: 125 }), read({}, { mute: true, stderr }), found],
    ['means something else by it', exit({ exitCode: 127 }), read({}, { mute: true, stderr }), PROFILE],
  ])('is not what is missing to one that %s', (_, end, reading, profile) => {
    expect(outcome(end, reading, profile)).toMatchObject({ kind: 'failed' })
  })
})

describe('how much is told', () => {
  it('says that a plain answer lost its beginning', () => {
    const reading = read({}, { plain: { text: 'the end', cut: true } })
    expect(outcome(exit(), reading, PLAIN)).toMatchObject({ truncated: true, part: 'end', result: 'the end' })
  })

  it('gives a long answer whole, with the part that counts', () => {
    const text = 'ä'.repeat(600_000)
    const plain = read({}, { plain: { text, cut: false } })
    expect(outcome(exit(), plain, PLAIN)).toMatchObject({ result: text, truncated: false, part: 'end' })
    const told = outcome(exit(), read({ ...DONE, final: text }))
    expect(told).toMatchObject({ result: text, truncated: false })
    expect(told).not.toHaveProperty('part')
  })

  it.each([
    ['no end of the turn', {}],
    ['no answer', { ended: { ok: true } }],
  ])('says with %s that it stood in a line that is too long to be read, also the next time', (_, report) => {
    const told = outcome(exit(), read(report, { unreadLines: 2 }))
    expect(told).toMatchObject({
      reason: 'output-limit',
      final: true,
      detail: expect.stringMatching(/2 events of more/),
    })
    expect(outcome(exit(), read(report))).toMatchObject({ reason: 'no-final-answer' })
    expect(outcome(exit(), read(report))).not.toHaveProperty('final')
  })

  it('takes no line that is too long for the cause where there is an answer, or another cause', () => {
    expect(outcome(exit(), read(DONE, { unreadLines: 1 }))).toMatchObject({ kind: 'completed' })
    const lost = read({}, { unreadLines: 1, stderr: 'No such session' })
    expect(outcome(exit(), lost)).toMatchObject({ reason: 'session-lost' })
  })

  it('keeps the sentence and the end of stderr in 4 KiB', () => {
    const stderr = `${'early ä\n'.repeat(2000)}the cause`
    const { detail } = outcome(exit({ exitCode: 1 }), read({}, { stderr })) as { detail: string }
    expect(detail.startsWith('some exited with 1')).toBe(true)
    expect(detail.endsWith('the cause')).toBe(true)
    expect(Buffer.byteLength(detail)).toBeLessThanOrEqual(4096)
    expect(detail).not.toContain('\uFFFD')
  })

  it('keeps the end of stderr also after a long error message', () => {
    const reading = read({ fatal: { message: 'm'.repeat(100_000) } }, { stderr: 'the cause' })
    const { detail } = outcome(exit({ exitCode: 1 }), reading) as { detail: string }
    expect(detail.endsWith('the cause')).toBe(true)
    expect(Buffer.byteLength(detail)).toBeLessThanOrEqual(4096)
  })
})

it('always gives an outcome, whatever happened', () => {
  const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
  const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })
  const ends: fc.Arbitrary<ProcessEnd> = fc.oneof(
    fc.record({ kind: fc.constant('not-started' as const), code: text, message: text }),
    fc.record({
      kind: fc.constant('exited' as const),
      exitCode: orNull(fc.integer({ min: 0, max: 255 })),
      signal: orNull(fc.constantFrom<NodeJS.Signals>('SIGTERM', 'SIGKILL', 'SIGSEGV')),
      endedBy: orNull(
        fc.constantFrom<EndedBy>(
          ...([
            'timeout',
            'stalled',
            'output-limit',
            'cancelled',
            'shutdown',
            'lease-lost',
            'lingering',
          ] as const),
        ),
      ),
      durationMs: fc.nat(),
      leftovers: fc.nat(),
    }),
  )
  const readings: fc.Arbitrary<Reading> = fc.record({
    report: fc.record({
      sessionId: orNull(text),
      lastMessage: orNull(text),
      final: orNull(text),
      usage: fc.constant({}),
      toolCalls: fc.nat(),
      fatal: orNull(fc.record({ message: text })),
      retrying: orNull(fc.record({ message: text })),
      resetsAt: orNull(fc.nat()),
      ended: orNull(fc.record({ ok: fc.boolean() })),
    }),
    plain: fc.record({ text, cut: fc.boolean() }),
    stderr: text,
    unreadLines: fc.nat(),
    mute: fc.boolean(),
  })
  fc.assert(
    fc.property(ends, readings, fc.constantFrom(PROFILE, PLAIN), (end, reading, profile) => {
      const made = outcome(end, reading, profile)
      expect(['completed', 'failed', 'cancelled', 'held', 'released']).toContain(made.kind)
      if (made.kind === 'completed') expect(made.result.trim()).not.toBe('')
      if (made.kind === 'failed') expect(Buffer.byteLength(made.detail)).toBeLessThanOrEqual(4096)
    }),
  )
})

describe('the detail of a failed run', () => {
  const said = (stdout: string, stderr = '') => read({}, { plain: { text: stdout, cut: false }, stderr })
  const detail = (reading: Reading) => {
    const end = outcome(exit({ exitCode: 1 }), reading, PLAIN)
    return end.kind === 'failed' ? end.detail : ''
  }

  it('ends with what a CLI without events said on stdout, unless it said something on stderr', () => {
    expect(detail(said('starting\nno such model'))).toBe('some exited with 1\n\nstarting\nno such model')
    expect(detail(said('starting', 'no such model'))).toBe('some exited with 1\n\nno such model')
    expect(detail(said(' \n', ' \n'))).toBe('some exited with 1')
  })

  it('has the end of a long stdout only', () => {
    const text = detail(said(`${'x'.repeat(100_000)} the cause`))
    expect(Buffer.byteLength(text)).toBe(4096)
    expect(text.endsWith('x the cause')).toBe(true)
  })
})
