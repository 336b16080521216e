import { expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { lockLimitOf, marked } from '../../src/process/run-mark.ts'

const command = (program: string) => ({ program, args: ['-x'], stdin: 'in', promptFile: null })
const runId = newId()

it('is a number of the run alone, beyond what somebody would choose', () => {
  const [one = '', other = ''] = [lockLimitOf(newId()), lockLimitOf(newId())].map(String)
  expect(one).not.toBe(other)
  expect(one).toBe(String(Number(one)))
  expect(Number.isSafeInteger(Number(one))).toBe(true)
  expect(Number(one)).toBeGreaterThanOrEqual(2 ** 48)
  expect(['', 'run-1', 'x'.repeat(36)].map(lockLimitOf)).toEqual([null, null, null])
})

it('leaves what cannot be started as it is, to say so itself, and what belongs to no run', () => {
  const programs = ['/no/such/program', '/etc/passwd', '/etc', 'sh']
  for (const program of programs) expect(marked(command(program), runId)).toEqual(command(program))
  expect(marked(command('/bin/sh'), '')).toEqual(command('/bin/sh'))
})

it.runIf(process.platform === 'linux')(
  'on Linux, which alone has prlimit: changes nothing else of a command',
  () => {
    const { program, args, ...rest } = marked(command('/bin/sh'), runId)
    expect(program).toMatch(/\/prlimit$/)
    expect(args).toEqual([`--locks=${lockLimitOf(runId)}:`, '--', '/bin/sh', '-x'])
    expect(rest).toEqual({ stdin: 'in', promptFile: null })
  },
)
