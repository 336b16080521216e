import { describe, expect, it } from 'vitest'
import { OutputReader, renderEvent } from '../../src/process/output-reader.ts'
import type { AgentEvent, Profile } from '../../src/process/profile.ts'

/** Each line is one event as JSON; `boom` breaks the parser. */
function parseLine(line: string): AgentEvent[] {
  if (line === 'boom') throw new TypeError('cannot read it')
  return line.startsWith('{') ? [JSON.parse(line) as AgentEvent] : []
}

function readerOf(parse: Profile['parseLine'], redact?: (text: string) => string) {
  const shown: string[] = []
  const signs = { terminal: 0, life: 0 }
  const reader = new OutputReader({
    profile: { parseLine: parse } as unknown as Profile,
    show: (text) => shown.push(text),
    onTerminal: () => {
      signs.terminal += 1
    },
    onLife: () => {
      signs.life += 1
    },
    ...(redact ? { redact } : {}),
  })
  const say = (...events: AgentEvent[]) =>
    reader.push('stdout', Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join('')))
  return { reader, shown, signs, say }
}

describe('a CLI with events', () => {
  it('folds its events into a report', () => {
    const { reader, say } = readerOf(parseLine)
    say({ type: 'session', id: 's-1' }, { type: 'message', text: 'one' }, { type: 'message', text: 'two' })
    say(
      { type: 'tool-started', id: 't', name: 'shell', detail: 'ls' },
      { type: 'tool-finished', id: 't', ok: true },
    )
    say(
      { type: 'usage', usage: { inputTokens: 1, outputTokens: 2 } },
      { type: 'usage', usage: { inputTokens: 9 } },
    )
    say({ type: 'error', message: 'a hiccup', fatal: false }, { type: 'final', text: 'done' })
    say({ type: 'end', ok: true })
    expect(reader.finish().report).toEqual({
      sessionId: 's-1',
      lastMessage: 'two',
      final: 'done',
      usage: { inputTokens: 9, outputTokens: 2 },
      toolCalls: 1,
      resetsAt: null,
      fatal: null,
      retrying: null,
      ended: { ok: true },
    })
  })

  it('reads a line that comes in pieces, also through a character', () => {
    const { reader } = readerOf(parseLine)
    const bytes = Buffer.from('{"type":"message","text":"Grüße"}\n')
    for (const byte of bytes) reader.push('stdout', Buffer.from([byte]))
    expect(reader.finish().report.lastMessage).toBe('Grüße')
  })

  it('reads a last line without a line end', () => {
    const { reader } = readerOf(parseLine)
    reader.push('stdout', Buffer.from('{"type":"message","text":"last"}'))
    expect(reader.finish().report.lastMessage).toBe('last')
  })

  it('tells of the terminal event when it comes', () => {
    const { signs, say } = readerOf(parseLine)
    say({ type: 'message', text: 'x' })
    expect(signs.terminal).toBe(0)
    say({ type: 'end', ok: false })
    expect(signs.terminal).toBe(1)
  })

  it('does not take notices for a sign of life: a CLI without a network retries for ever', () => {
    const { signs, say } = readerOf(parseLine)
    say({ type: 'notice', text: 'retry 1' }, { type: 'notice', text: 'retry 2' })
    expect(signs.life).toBe(0)
    say({ type: 'tool-finished', id: 't', ok: true })
    expect(signs.life).toBe(1)
  })

  it('gives one sign of life for all lines that come at once', () => {
    const { reader, signs } = readerOf(parseLine)
    reader.push('stdout', Buffer.from('y\n'.repeat(10_000)))
    expect(signs.life).toBe(1)
  })

  it('goes on after a line that breaks the parser, and says so', () => {
    const { reader, shown, say } = readerOf(parseLine)
    reader.push('stdout', Buffer.from('boom\n'))
    say({ type: 'final', text: 'done' })
    expect(reader.finish().report.final).toBe('done')
    expect(shown.join('\n')).toContain('cannot read it')
  })

  it.each([
    ['stdout', false],
    ['stderr', true],
  ] as const)('knows whether anything came on stdout (%s)', (stream, mute) => {
    const { reader } = readerOf(parseLine)
    reader.push(stream, Buffer.from('no event'))
    expect(reader.finish().mute).toBe(mute)
  })

  it('reads a result of 10 MB in one line', () => {
    const { reader, say } = readerOf(parseLine)
    say({ type: 'final', text: 'r'.repeat(10_000_000) }, { type: 'end', ok: true })
    const { report, unreadLines } = reader.finish()
    expect([report.final?.length, report.ended, unreadLines]).toEqual([10_000_000, { ok: true }, 0])
  })

  it('does not read a line of more than 16 Mi characters, says so, and goes on', () => {
    const { reader, shown, say } = readerOf(parseLine)
    const chunk = Buffer.alloc(1024 * 1024, 'x')
    for (let i = 0; i < 20; i += 1) reader.push('stdout', chunk)
    reader.push('stdout', Buffer.from('\n'))
    say({ type: 'final', text: 'done' }, { type: 'end', ok: true })
    expect(shown.filter((text) => text.includes('was not read'))).toHaveLength(1)
    const { report, unreadLines } = reader.finish()
    expect(report).toMatchObject({ final: 'done', ended: { ok: true } })
    expect(unreadLines).toBe(1)
  })

  it('shows an answer that was not said before, and does not repeat one that was', () => {
    const { shown, say } = readerOf(parseLine)
    say({ type: 'message', text: 'said' }, { type: 'final', text: 'said' }, { type: 'final', text: 'new' })
    expect(shown).toEqual(['said', 'new'])
  })
})

describe('a CLI without events', () => {
  it('takes all of stdout as the answer, without colours', () => {
    const { reader, shown } = readerOf(null)
    reader.push('stdout', Buffer.from('\u001b[31mred\u001b[0m\nplain\u0007\n'))
    expect(reader.finish().plain).toEqual({ text: 'red\nplain', cut: false })
    expect(shown).toEqual(['red', 'plain'])
  })

  it('keeps the end of a long answer and says that it is cut', () => {
    const { reader } = readerOf(null)
    const chunk = Buffer.from(`${'x'.repeat(1000)}\n`.repeat(100))
    for (let i = 0; i < 30; i += 1) reader.push('stdout', chunk)
    reader.push('stdout', Buffer.from('THE END'))
    const { text, cut } = reader.finish().plain
    expect(cut).toBe(true)
    expect(text.length).toBeLessThanOrEqual(1024 * 1024)
    expect(text.endsWith('THE END')).toBe(true)
  })

  it('keeps the end of a line that is longer than what is read of one', () => {
    const { reader, shown } = readerOf(null)
    reader.push('stdout', Buffer.from('first\n'))
    for (let i = 0; i < 12; i += 1) reader.push('stdout', Buffer.alloc(1024 * 1024, 'x'))
    reader.push('stdout', Buffer.from('THE END\r\nand more'))
    const { text, cut } = reader.finish().plain
    expect(cut).toBe(true)
    expect(text.endsWith('xTHE END\nand more')).toBe(true)
    expect(text.length).toBeLessThanOrEqual(1024 * 1024)
    expect(shown.map((line) => line.slice(-5))).toEqual(['first', 'x […]', ' more'])
  })

  it('takes 2,000,000 short lines without getting slow', () => {
    const { reader } = readerOf(null)
    const chunk = Buffer.from('short line\n'.repeat(10_000))
    const begun = performance.now()
    for (let i = 0; i < 200; i += 1) reader.push('stdout', chunk)
    expect(reader.finish().plain.cut).toBe(true)
    expect(performance.now() - begun).toBeLessThan(20_000)
  })
})

describe('stderr', () => {
  it('is kept to its last 40 lines', () => {
    const { reader } = readerOf(parseLine)
    for (let i = 0; i < 1000; i += 1) reader.push('stderr', Buffer.from(`line ${i}\n`))
    const lines = reader.finish().stderr.split('\n')
    expect(lines).toHaveLength(40)
    expect(lines.at(-1)).toBe('line 999')
  })

  it('is bounded whatever comes, also without a line end', () => {
    const { reader } = readerOf(parseLine)
    for (let i = 0; i < 200; i += 1) reader.push('stderr', Buffer.alloc(65_536, 'y'))
    expect(reader.finish().stderr.length).toBeLessThan(20_000)
  })
})

describe('an event as a person reads it', () => {
  it.each<[AgentEvent, string | null]>([
    [{ type: 'session', id: 's', model: 'm' }, '· session s (m)'],
    [{ type: 'message', text: 'Hello' }, 'Hello'],
    [{ type: 'tool-started', id: '1', name: 'edit', detail: 'a.ts' }, '$ edit: a.ts'],
    [{ type: 'tool-finished', id: '1', ok: true }, null],
    [{ type: 'tool-finished', id: '1', name: 'edit', ok: false }, '! edit failed'],
    [{ type: 'error', message: 'broken', fatal: true }, '! broken'],
    [{ type: 'notice', text: 'retry' }, '· retry'],
    [{ type: 'usage', usage: {} }, null],
    [{ type: 'end', ok: true }, null],
  ])('shows %j as %j', (event, expected) => {
    expect(renderEvent(event)).toBe(expected)
  })
})

describe('secrets', () => {
  const redact = (text: string) => text.replaceAll('hunter22', '[redacted]')

  it('are not in what is shown, nor in the report', () => {
    const { reader, shown, say } = readerOf(parseLine, redact)
    say({ type: 'message', text: 'it is hunter22' }, { type: 'final', text: 'yes, hunter22' })
    say({ type: 'tool-started', id: 't', name: 'shell', detail: 'login hunter22' })
    say({ type: 'error', message: 'hunter22 was refused', fatal: true, code: 'hunter22' })
    reader.push('stdout', Buffer.from('{"type":"notice","text":"hunter\\u0032\\u0032"}\n'))
    reader.push('stderr', Buffer.from('hunter\u001b[1m22\n'))
    const reading = reader.finish()
    expect(JSON.stringify([shown, reading])).not.toContain('hunter22')
    expect(reading).toMatchObject({
      report: { lastMessage: 'it is [redacted]', final: 'yes, [redacted]', fatal: { code: '[redacted]' } },
      stderr: '[redacted]',
    })
  })

  it('are taken out before a parser cuts a text within one', () => {
    const cuts = (line: string): AgentEvent[] => [{ type: 'message', text: line.slice(0, 12) }]
    const { reader } = readerOf(cuts, redact)
    reader.push('stdout', Buffer.from('it is hunter22\n'))
    expect(reader.finish().report.lastMessage).toBe('it is [redac')
  })

  it('that are words of the CLI itself do not keep its events from being read', () => {
    const { reader } = readerOf(parseLine, (text) => text.replaceAll('message', '[redacted]'))
    reader.push('stdout', Buffer.from('{"type":"message","text":"a message"}\n'))
    expect(reader.finish().report.lastMessage).toBe('a [redacted]')
  })
})
