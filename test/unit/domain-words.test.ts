import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asWorkerError, messageOf, WorkerError } from '../../src/domain/errors.ts'
import { decodeEvent } from '../../src/domain/event.ts'
import { REASONS } from '../../src/domain/outcome.ts'
import { composePrompt, fitPrompt, keptNote, type PromptParts } from '../../src/domain/prompt.ts'

const BARE: PromptParts = { description: 'Fix the bug', tags: [], notes: [] }

describe('composePrompt', () => {
  it.each<[string, Partial<PromptParts>, string]>([
    ['the task alone', {}, 'Fix the bug'],
    [
      'a role',
      { role: 'reviewer' },
      '# Your role\n\nYou are the reviewer of this team.\n\n# Task\n\nFix the bug',
    ],
    [
      'the instructions of a role instead of its name',
      { role: 'reviewer', roleInstructions: '\nRead only.\n' },
      '# Your role\n\nRead only.\n\n# Task\n\nFix the bug',
    ],
    [
      'the name of a role whose instructions are blank',
      { role: 'tester', roleInstructions: ' \n' },
      '# Your role\n\nYou are the tester of this team.\n\n# Task\n\nFix the bug',
    ],
    [
      'notes, oldest first, each under its bullet',
      { notes: ['one', 'two\nlines\n'] },
      '# Messages since your last task\n\n- one\n- two\n  lines\n\n# Task\n\nFix the bug',
    ],
    ['tags', { tags: ['a', 'b c'] }, '# Tags\n\na, b c\n\n# Task\n\nFix the bug'],
    [
      'all of it, the task last',
      { role: 'dev', notes: ['n'], tags: ['t'] },
      '# Your role\n\nYou are the dev of this team.\n\n# Messages since your last task\n\n- n\n\n# Tags\n\nt\n\n# Task\n\nFix the bug',
    ],
  ])('composes %s', (_, parts, prompt) => {
    expect(composePrompt({ ...BARE, ...parts })).toBe(prompt)
  })

  it('ends with the task, whole, whatever else there is', () => {
    const texts = fc.array(fc.string({ unit: 'binary' }))
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), texts, texts, (description, tags, notes) => {
        expect(composePrompt({ description, tags, notes }).endsWith(description)).toBe(true)
      }),
    )
  })
})

describe('keptNote', () => {
  it.each([
    ['fits', 'news'],
    ['just fits', 'x'.repeat(32 * 1024)],
  ])('keeps a message that %s as it is', (_, note) => {
    expect(keptNote(note)).toBe(note)
  })

  it('cuts a long one to what a prompt tells of it', () => {
    const kept = keptNote('ü'.repeat(5_000_000))
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(32 * 1024)
    expect(kept).toMatch(/^ü+ \[… cut: this message has 10000000 bytes\]$/)
    const parts = { description: 'x', tags: [], notes: [kept] }
    expect(fitPrompt(parts, Number.POSITIVE_INFINITY).prompt).toContain(`- ${kept}\n`)
  })
})

describe('fitPrompt', () => {
  it('cuts a note that is long by itself, and counts those that were not handed over', () => {
    const { prompt, notesUsed } = fitPrompt(
      { ...BARE, notes: ['x'.repeat(1_000_000)], notesLeft: 7 },
      Number.POSITIVE_INFINITY,
    )
    expect(notesUsed).toBe(1)
    expect(prompt).toMatch(/x{1000} \[… cut: this message has 1000000 bytes\]/)
    expect(prompt).toContain('7 newer messages do not fit in here')
    expect(bytes(prompt)).toBeLessThan(40_000)
  })

  const bytes = (text: string) => Buffer.byteLength(text)

  it('holds all notes where there is room', () => {
    const parts = { ...BARE, notes: ['one', 'two'] }
    const prompt = composePrompt(parts)
    expect(fitPrompt(parts, bytes(prompt))).toEqual({ prompt, notesUsed: 2 })
  })

  it('keeps the newest notes for the next prompt, and says how many', () => {
    const notes = ['a'.repeat(50), 'ä'.repeat(25), 'c'.repeat(50), 'd'.repeat(50)]
    const prompt = `# Messages since your last task\n\n- ${notes[0]}\n- ${notes[1]}\n- (2 newer messages do not fit in here: to be told with your next task)\n\n# Task\n\nFix the bug`
    expect(fitPrompt({ ...BARE, notes }, bytes(prompt))).toEqual({ prompt, notesUsed: 2 })
    expect(fitPrompt({ ...BARE, notes }, bytes(prompt) - 1).notesUsed).toBe(1)
  })

  it('is the bare task where not even a word on the notes fits, and where the task alone is too long', () => {
    expect(fitPrompt({ ...BARE, notes: ['n'] }, 11)).toEqual({ prompt: 'Fix the bug', notesUsed: 0 })
    expect(fitPrompt({ ...BARE, notes: ['n'] }, 5)).toEqual({ prompt: 'Fix the bug', notesUsed: 0 })
  })

  it('cuts a note that would stand before all others for ever', () => {
    const { prompt, notesUsed } = fitPrompt({ ...BARE, notes: ['ü'.repeat(600), 'after'] }, 1000)
    expect(prompt).toContain(`- ${'ü'.repeat(250)} [… cut: this message has 1200 bytes]\n- after`)
    expect(notesUsed).toBe(2)
  })

  it('leaves out a NUL of a note, which no argument can hold', () => {
    expect(composePrompt({ ...BARE, notes: ['a\0b'] })).toContain('- ab\n')
  })

  it('never cuts the task, and is within its limit whenever the task is', () => {
    const inputs = fc.tuple(fc.string({ unit: 'binary' }), fc.array(fc.string()), fc.nat({ max: 400 }))
    fc.assert(
      fc.property(inputs, ([description, notes, maxBytes]) => {
        const { prompt, notesUsed } = fitPrompt({ description, notes, tags: [] }, maxBytes)
        expect(prompt.endsWith(description)).toBe(true)
        expect(notesUsed).toBeLessThanOrEqual(notes.length)
        if (bytes(description) <= maxBytes) expect(bytes(prompt)).toBeLessThanOrEqual(maxBytes)
      }),
    )
  })
})

describe('decodeEvent', () => {
  it('reads an event of upstream', () => {
    const data =
      '{"event_type":"task_completed","agent_id":"a","message":"m","timestamp":"2026-11-21T09:05:50Z","new":1}'
    expect(decodeEvent(data)).toMatchObject({ event_type: 'task_completed', agent_id: 'a', message: 'm' })
  })

  it.each(['', 'no', 'null', '5', '"x"', '[]', '{}', '{"event_type":5,"message":"m"}', '{"event_type":"x"}'])(
    'does not take %j for an event',
    (data) => {
      expect(decodeEvent(data)).toBeNull()
    },
  )
})

describe('the reasons', () => {
  it('are single words, each there once', () => {
    expect(new Set(REASONS).size).toBe(REASONS.length)
    for (const reason of REASONS) expect(reason).toMatch(/^[a-z]+(-[a-z]+)*$/)
  })
})

describe('WorkerError', () => {
  it('carries its code, its remedy and its cause', () => {
    const cause = new Error('inner')
    const error = new WorkerError('config', 'outer', { remedy: 'do this', cause })
    expect(error).toMatchObject({
      name: 'WorkerError',
      code: 'config',
      message: 'outer',
      remedy: 'do this',
      cause,
    })
    expect(asWorkerError(error)).toBe(error)
  })

  it.each([
    [new TypeError('broke'), 'broke'],
    ['a text', 'a text'],
    [undefined, 'undefined'],
    [null, 'null'],
  ])('makes an internal error of %s', (thrown, message) => {
    const error = asWorkerError(thrown)
    expect([error.code, error.message, error.cause]).toEqual(['internal', message, thrown])
    expect(messageOf(thrown)).toBe(message)
  })
})
