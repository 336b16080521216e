import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { completeWithTt } from '../../src/process/tt.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tw-tt-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A `tt` that does what the script says. */
async function report(script: string, result: string): Promise<string | null> {
  await writeFile(join(folder, 'tt'), `#!/bin/sh\n${script}\n`)
  await chmod(join(folder, 'tt'), 0o755)
  return await completeWithTt({
    townRoot: folder,
    redisUrl: 'redis://h',
    env: { PATH: folder },
    taskId: 't-1',
    result,
  })
}

it('hands over a result of any length, cut to what an argument holds, with a word that it was cut', async () => {
  expect(await report('printf %s "$6" > got', 'ü—'.repeat(40_000))).toBeNull()
  const got = await readFile(join(folder, 'got'), 'utf8')
  expect(got).toMatch(/^--result=(ü—)+/)
  expect(got).toMatch(/\[… cut: the result has 200000 bytes\]$/)
  expect(Buffer.byteLength(got)).toBeLessThan(128 * 1024)
})

it('says why it failed, and not what was handed over', async () => {
  expect(await report('echo "no such task" >&2; exit 3', 'SECRET')).toBe(
    'tt task complete failed: no such task',
  )
  expect(await report('exit 3', 'SECRET')).toBe('tt task complete failed: exit code 3')
})
