import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { linkLog, promptPathOf, removePrompts, touchLog } from '../../src/worker/folder.ts'
import { useClosers } from '../rig/daemon.ts'

const onClose = useClosers()

describe('touchLog', () => {
  it('makes the log file of the agent young and leaves others as they are', async () => {
    const root = await mkdtemp(join(tmpdir(), 'tw-touch-'))
    onClose(() => rm(root, { recursive: true }))
    const logs = join(root, '.tt', 'logs')
    await mkdir(logs, { recursive: true })
    for (const name of ['worker-1.log', 'worker-2.log']) {
      await writeFile(join(logs, name), 'old\n')
      await utimes(join(logs, name), 0, 0)
    }
    touchLog(root, 'worker-1')
    expect((await stat(join(logs, 'worker-1.log'))).mtimeMs).toBeGreaterThan(Date.now() - 60_000)
    expect((await stat(join(logs, 'worker-2.log'))).mtimeMs).toBe(0)
  })

  it('makes no file', async () => {
    const root = await mkdtemp(join(tmpdir(), 'tw-touch-'))
    onClose(() => rm(root, { recursive: true }))
    touchLog(root, 'worker-1')
    expect(await readdir(root)).toEqual([])
  })
})

describe('linkLog', () => {
  it('shows the log of the task in hand, and no other file is touched', async () => {
    const root = await mkdtemp(join(tmpdir(), 'tw-link-'))
    onClose(() => rm(root, { recursive: true }))
    const logs = join(root, '.tt', 'logs')
    await mkdir(logs, { recursive: true })
    for (const task of ['a', 'b']) {
      await writeFile(join(logs, `${task}.log`), task)
      linkLog(root, 'worker-1', join(logs, `${task}.log`))
      expect(await readFile(join(logs, 'worker-1.log'), 'utf8')).toBe(task)
    }
    await writeFile(join(logs, 'worker-2.log'), 'of tt spawn')
    linkLog(root, 'worker-2', join(logs, 'a.log'))
    expect((await lstat(join(logs, 'worker-2.log'))).isFile()).toBe(true)
    linkLog(join(root, 'no-such-folder'), 'worker-1', 'a.log')
  })
})

it('removes the prompt files of a task, and those of no other', async () => {
  const root = await mkdtemp(join(tmpdir(), 'tw-prompts-'))
  onClose(() => rm(root, { recursive: true }))
  const tasks = join(root, '.tt', 'tasks')
  await mkdir(tasks, { recursive: true })
  const [mine, also, other] = ['a', 'a', 'ab'].map((taskId, run) =>
    promptPathOf(root, { taskId, runId: String(run) }),
  ) as [string, string, string]
  for (const path of [mine, also, other, join(tasks, 'a.result.md')]) await writeFile(path, 'x')
  removePrompts(root, 'a')
  expect(await readdir(tasks)).toEqual(expect.arrayContaining(['a.result.md', 'ab.2.prompt.md']))
  expect(await readdir(tasks)).toHaveLength(2)
})
