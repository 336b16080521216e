import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { completeWithTt } from '../../src/process/tt.ts'
import { isAlive } from '../rig/census.ts'
import { until } from '../rig/until.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tw-tt-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A `tt` that does what the script says. */
async function report(script: string, result: string, signal?: AbortSignal): Promise<string | null> {
  await writeFile(join(folder, 'tt'), `#!/bin/sh\n${script}\n`)
  await chmod(join(folder, 'tt'), 0o755)
  return await completeWithTt({
    townRoot: folder,
    redisUrl: 'redis://h',
    env: { PATH: `${folder}:${process.env.PATH}` },
    taskId: 't-1',
    result,
    ...(signal ? { signal } : {}),
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

it('is ended with all that came of it, when the worker is to end', async () => {
  const end = new AbortController()
  const stays = 'trap "" TERM; while :; do sleep 0.05; done'
  const script = `setsid sh -c 'echo $$ > far; ${stays}' & echo $$ > near; ${stays}`
  const reported = report(script, 'done', end.signal)
  const [near, far] = await Promise.all(['near', 'far'].map(pidIn))
  end.abort('shutdown')
  expect(await reported).toBe('tt task complete failed: it was ended, as the worker ends')
  expect([near, far].map(Number).filter(isAlive)).toEqual([])
})

const pidIn = (name: string) =>
  until(
    () =>
      readFile(join(folder, name), 'utf8').then(
        (text) => text.trim() || null,
        () => null,
      ),
    `there is ${name}`,
  )
