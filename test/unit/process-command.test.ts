import { describe, expect, it } from 'vitest'
import { buildCommand, longestPrompt, MAX_ARGUMENT_BYTES } from '../../src/process/command.ts'
import type { Profile } from '../../src/process/profile.ts'

const profileWith = (prompt: Profile['prompt']) => ({
  title: 'Some CLI',
  command: { program: 'some', args: ['run', '-'] },
  prompt,
})

const build = (prompt: Profile['prompt'], text: string, extra: string[] = []) =>
  buildCommand(profileWith(prompt), { prompt: text, promptFile: '/tmp/p.md', extra })

describe('the command of a run', () => {
  it.each<[string, Profile['prompt'], object]>([
    ['stdin', { via: 'stdin' }, { args: ['run', '-', '-m', 'x'], stdin: 'Do it', promptFile: null }],
    [
      'argument',
      { via: 'argument' },
      { args: ['run', '-', '-m', 'x', 'Do it'], stdin: null, promptFile: null },
    ],
    [
      'argument with a flag',
      { via: 'argument', flag: '--prompt' },
      { args: ['run', '-', '-m', 'x', '--prompt', 'Do it'], stdin: null, promptFile: null },
    ],
    [
      'file',
      { via: 'file', flag: '-f' },
      {
        args: ['run', '-', '-m', 'x', '-f', '/tmp/p.md'],
        stdin: null,
        promptFile: { path: '/tmp/p.md', text: 'Do it' },
      },
    ],
  ])('hands the prompt over by %s', (_, prompt, expected) => {
    expect(build(prompt, 'Do it', ['-m', 'x'])).toEqual({
      ok: true,
      command: { program: 'some', ...expected },
    })
  })

  it('keeps a prompt that begins with a hyphen from being read as an option', () => {
    expect(build({ via: 'argument' }, '--help')).toMatchObject({ command: { args: ['run', '-', ' --help'] } })
    expect(build({ via: 'stdin' }, '--help')).toMatchObject({ command: { stdin: '--help' } })
  })

  it.each([
    [MAX_ARGUMENT_BYTES - 1, true],
    [MAX_ARGUMENT_BYTES, false],
  ])('takes an argument of %i bytes: %s', (bytes, ok) => {
    expect(build({ via: 'argument' }, 'x'.repeat(bytes)).ok).toBe(ok)
  })

  it('counts bytes, not characters', () => {
    expect(build({ via: 'argument' }, 'ä'.repeat(MAX_ARGUMENT_BYTES / 2)).ok).toBe(false)
  })

  it('names limit and remedy when an argument is too long', () => {
    const built = build({ via: 'argument' }, 'x'.repeat(200_000))
    expect(built).toMatchObject({ ok: false, reason: 'bad-task' })
    const detail = built.ok ? '' : built.detail
    for (const part of ['200000', '131071', 'prompt = "file"', '"stdin"']) expect(detail).toContain(part)
  })

  it.each(['stdin', 'argument', 'file'] as const)('holds the limit of the CLI for %s', (via) => {
    expect(build({ via, maxBytes: 10 }, 'x'.repeat(10)).ok).toBe(true)
    const refused = build({ via, maxBytes: 10 }, 'x'.repeat(11))
    expect(refused).toMatchObject({
      ok: false,
      reason: 'bad-task',
      detail: expect.stringContaining('Some CLI'),
    })
  })

  it('refuses a NUL as an argument, which the system would cut, and takes it on stdin', () => {
    expect(build({ via: 'argument' }, 'a\0b')).toMatchObject({ ok: false, reason: 'bad-task' })
    expect(build({ via: 'stdin' }, 'a\0b').ok).toBe(true)
  })

  it.each<[Profile['prompt'], number]>([
    [{ via: 'stdin' }, Number.POSITIVE_INFINITY],
    [{ via: 'file', maxBytes: 10 }, 10],
    [{ via: 'argument' }, MAX_ARGUMENT_BYTES - 2],
    [{ via: 'argument', maxBytes: 10 }, 10],
  ])('takes a prompt of the longest length for %j', (prompt, longest) => {
    expect(longestPrompt({ prompt })).toBe(longest)
    if (longest < 1e6) expect(build(prompt, '-'.padEnd(longest)).ok).toBe(true)
  })
})
