import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { rotateServerLog } from '../../src/server/server-log.ts'
import { useClosers } from '../rig/daemon.ts'

const onClose = useClosers()

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-server-log-'))
  onClose(() => rm(folder, { recursive: true }))
  return folder
}

it('puts a long log aside, one at most, and makes an empty one for its owner alone', async () => {
  const folder = await newFolder()
  const log = join(folder, 'redis.log')
  for (const text of ['first', 'second']) {
    writeFileSync(log, text)
    await rotateServerLog(log, 4)
  }
  expect(await readdir(folder)).toEqual(['redis.log', 'redis.log.1'])
  expect(readFileSync(`${log}.1`, 'utf8')).toBe('second')
  expect(readFileSync(log, 'utf8')).toBe('')
  expect(statSync(log).mode & 0o777).toBe(0o600)
})

it('leaves one that is short, and needs none', async () => {
  const folder = await newFolder()
  const log = join(folder, 'redis.log')
  await rotateServerLog(log, 4)
  expect(await readdir(folder)).toEqual([])
  writeFileSync(log, 'text')
  await rotateServerLog(log, 4)
  expect(await readdir(folder)).toEqual(['redis.log'])
})
