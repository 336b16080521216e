import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../src/config/command-line.ts'
import { WorkerError } from '../../src/domain/errors.ts'

function errorOf(command: string): WorkerError {
  try {
    parseCommandLine(command)
  } catch (error) {
    if (error instanceof WorkerError) return error
    throw error
  }
  throw new Error(`${command} was taken`)
}

describe('parseCommandLine', () => {
  it.each([
    ['agent', ['agent']],
    ['  agent   --print\t-x ', ['agent', '--print', '-x']],
    ['agent -c effort="medium"', ['agent', '-c', 'effort=medium']],
    ['agent \'a b\' "c d" e\\ f', ['agent', 'a b', 'c d', 'e f']],
    ["agent ''", ['agent', '']],
    [
      "agent '$HOME' \\$HOME '*' \\* '|' \"a;b\" '#' '`'",
      ['agent', '$HOME', '$HOME', '*', '*', '|', 'a;b', '#', '`'],
    ],
    ['agent "say \\"hi\\"" it\\\'s', ['agent', 'say "hi"', "it's"]],
    ["agent $'a\\nb'", ['agent', 'a\nb']],
    ['agent 5$ a~b --to=~', ['agent', '5$', 'a~b', '--to=~']],
    ['"/opt/my agent/bin/agent" -x', ['/opt/my agent/bin/agent', '-x']],
    ['agent -c model_providers.x={name=1}', ['agent', '-c', 'model_providers.x={name=1}']],
  ])('splits %s', (command, words) => {
    const { program, args } = parseCommandLine(command)
    expect([program, ...args]).toEqual(words)
  })

  it('gives back every list of words that was quoted', () => {
    const word = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'))
    const words = fc.array(word, { minLength: 1 }).filter(([program]) => program !== '')
    fc.assert(
      fc.property(words, (list) => {
        const command = list.map((text) => `'${text.replaceAll("'", "'\\''")}'`).join(' ')
        const { program, args } = parseCommandLine(command)
        expect([program, ...args]).toEqual(list)
      }),
    )
  })

  it.each([
    ['a | b', 'the shell operator |'],
    ['a && b', 'the shell operator &&'],
    ['a; b', 'the shell operator ;'],
    ['a > out', 'the shell operator >'],
    ['a < in', 'the shell operator <'],
    ['a 2>&1', 'the shell operator >'],
    ['(a)', 'the shell operator ('],
    ['a &', 'the shell operator &'],
    ['a $HOME', 'the variable $HOME'],
    ['a "$HOME/x"', 'the variable $HOME'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's.
    ['a ${HOME:-x}/y', 'the variable ${HOME:-x}'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's.
    ['a "${HOME}/x"', 'the variable ${HOME}'],
    ['a ${', 'the variable ${'],
    ['a $1', 'the variable $1'],
    ['a $(date)', 'a command substitution: $('],
    ['a "x $(date)"', 'a command substitution: $('],
    ['a `date`', 'a command substitution: `'],
    ['a "`date`"', 'a command substitution: `'],
    ['~/bin/a', 'the home folder sign ~'],
    ['a *.md', 'the file pattern *'],
    ['a file?', 'the file pattern ?'],
    ['a [ab]', 'the file pattern ['],
    ['a # note', 'the comment sign #'],
    ['a\nb', 'a line break'],
    ['a \\\nb', 'a line break'],
    ['a "b\\\nc"', 'a line break'],
    ['a "$[1]"', 'a command substitution: $['],
    ["a 'b", "a quote without its end: '"],
    ['a "b', 'a quote without its end: "'],
    ['a \\', 'a lone \\'],
    ['KEY=secret a', 'a variable assignment before the program: KEY='],
    ["''", 'an empty program'],
    ['  ', 'an empty text'],
    ['a\0', 'a NUL character'],
  ])('refuses %j', (command, found) => {
    const error = errorOf(command)
    expect(error.code).toBe('config')
    expect(error.message).toBe(
      `Expected the command to be a program and its arguments without shell syntax, got ${found}`,
    )
    expect(error.remedy).toBe(
      'Commands run without a shell: put the line into a script file and name that file, or quote what is meant literally.',
    )
  })

  it('makes words of any text or refuses it, and never fails otherwise', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab \'"\\$`{}()[]*?|&;<>#~=\n') })
    fc.assert(
      fc.property(text, (command) => {
        try {
          const { program, args } = parseCommandLine(command)
          expect(program).not.toBe('')
          expect(args.every((word) => typeof word === 'string')).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(WorkerError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
