import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { asWorkerError, messageOf, WorkerError } from '../../src/domain/errors.ts'
import { decodeEvent } from '../../src/domain/event.ts'
import { REASONS } from '../../src/domain/outcome.ts'
import { composePrompt, type PromptParts } from '../../src/domain/prompt.ts'

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
