import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { LogFile } from '../../src/observability/log-file.ts'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tw-log-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

it('keeps six files, none longer than the limit, and loses the oldest lines only', async () => {
  const dir = await folder()
  const file = new LogFile(join(dir, 'worker.log'), 25)
  for (let number = 10; number < 40; number++) file.write(`line ${number}\n`)
  const names = ['worker.log', ...[1, 2, 3, 4, 5].map((number) => `worker.log.${number}`)]
  expect((await readdir(dir)).sort()).toEqual(names)
  const texts = await Promise.all(names.map((name) => readFile(join(dir, name), 'utf8')))
  expect(texts.every((text) => text.length <= 25)).toBe(true)
  const lines = texts.reverse().join('').trim().split('\n')
  expect(lines).toEqual(Array.from({ length: 18 }, (_, index) => `line ${22 + index}`))
})

it('goes on in a file that was deleted or moved', async () => {
  const dir = await folder()
  const path = join(dir, 'worker.log')
  const file = new LogFile(path)
  file.write('one\n')
  await rm(path)
  file.write('two\n')
  expect(await readFile(path, 'utf8')).toBe('two\n')
})

it('loses a line that cannot be written, and no more', async () => {
  const dir = await folder()
  const file = new LogFile(join(dir, 'worker.log'))
  await rm(dir, { recursive: true })
  expect(() => file.write('lost\n')).not.toThrow()
})
