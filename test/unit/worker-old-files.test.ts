import {
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { WorkerEvent } from '../../src/domain/worker-event.ts'
import { type KeepRules, type RunFile, removeOldFiles, superfluous } from '../../src/worker/old-files.ts'
import { useClosers } from '../rig/daemon.ts'

const onClose = useClosers()

const DAY_MS = 86_400_000
const NOW = 1000 * DAY_MS
const idOf = (letter: string) => `${letter.repeat(8)}-0000-4000-8000-000000000000`
const file = (letter: string, days: number, bytes = 1): RunFile => ({
  path: `/${letter}.log`,
  taskId: idOf(letter),
  bytes,
  changedAt: NOW - days * DAY_MS,
})

describe('which files of runs are too many', () => {
  const rest: [string, RunFile[], KeepRules, string][] = [
    ['none without limits', [file('a', 9000, 1e12)], { keepMs: 0, keepBytes: 0 }, ''],
    ['those that are too old', [file('a', 3), file('b', 1)], { keepMs: 2 * DAY_MS, keepBytes: 0 }, 'a'],
    ['not one that is just old enough', [file('a', 2)], { keepMs: 2 * DAY_MS, keepBytes: 0 }, ''],
    [
      'the oldest of what is too much',
      [file('c', 3, 40), file('a', 1, 40), file('b', 2, 40)],
      { keepMs: 0, keepBytes: 100 },
      'c',
    ],
    ['none of what is just enough', [file('a', 1, 50), file('b', 2, 50)], { keepMs: 0, keepBytes: 100 }, ''],
    [
      'one that is too much by itself, and all that are older',
      [file('a', 1, 101), file('b', 2, 1)],
      { keepMs: 0, keepBytes: 100 },
      'ab',
    ],
    [
      'not what is in hand of this process or was changed a moment ago, which counts all the same',
      [file('a', 0.0001, 100), file('d', 9, 100), file('b', 8, 1)],
      { keepMs: 2 * DAY_MS, keepBytes: 100 },
      'b',
    ],
  ]
  it.each(rest)('%s', (_, files, rules, expected) => {
    const gone = superfluous(files, { ...rules, now: NOW, inHand: new Set([idOf('d')]) })
    expect(
      gone
        .map(({ path }) => path[1])
        .sort()
        .join(''),
    ).toBe(expected)
  })

  it('spares all files of a task whose log is young', () => {
    const old = { ...file('a', 100), path: '/a.prompt.md' }
    const rules = { keepMs: DAY_MS, keepBytes: 1, now: NOW, inHand: new Set<string>() }
    expect(superfluous([file('a', 0), old], rules)).toEqual([])
    expect(superfluous([file('b', 0), old], rules)).toEqual([old])
  })
})

async function newTown() {
  const root = await mkdtemp(join(tmpdir(), 'tw-old-'))
  onClose(() => rm(root, { recursive: true }))
  const folder = (name: string) => join(root, '.tt', name)
  for (const name of ['logs', 'tasks']) mkdirSync(folder(name), { recursive: true })
  const old = (path: string, text = 'x') => {
    writeFileSync(path, text)
    utimesSync(path, 0, 0)
    return path
  }
  const events: WorkerEvent[] = []
  const rules = {
    keepMs: DAY_MS,
    keepBytes: 0,
    inHand: new Set<string>(),
    emit: (event: WorkerEvent) => void events.push(event),
  }
  const tidy = (more: Partial<typeof rules> = {}) => removeOldFiles(root, { ...rules, ...more })
  return { root, logs: folder('logs'), tasks: folder('tasks'), old, events, tidy }
}

describe('removing old files', () => {
  it('takes the logs, results and prompts of runs, says how much, and leaves the young', async () => {
    const { logs, tasks, old, events, tidy } = await newTown()
    old(join(logs, `${idOf('a')}.log`), 'abc')
    old(join(tasks, `${idOf('a')}.result.md`), 'abc')
    old(join(tasks, `${idOf('b')}.prompt.md`), 'abc')
    writeFileSync(join(logs, `${idOf('c')}.log`), 'young')
    await tidy()
    expect(await readdir(logs)).toEqual([`${idOf('c')}.log`])
    expect(await readdir(tasks)).toEqual([])
    expect(events).toEqual([{ type: 'old-files-removed', count: 3, bytes: 9 }])
    await tidy()
    expect(events).toHaveLength(1)
  })

  it('leaves what is not ours: other names, folders and links', async () => {
    const { root, logs, tasks, old, tidy } = await newTown()
    const elsewhere = old(join(root, 'elsewhere'))
    const kept = [
      old(join(logs, 'worker-1.log')),
      old(join(logs, `${idOf('a')}.log.bak`)),
      old(join(logs, `x${idOf('a')}.log`)),
      old(join(tasks, `${idOf('a')}.md`)),
      old(join(tasks, `${idOf('a')}.log`)),
    ]
    const link = join(logs, `${idOf('b')}.log`)
    symlinkSync(elsewhere, link)
    mkdirSync(join(logs, `${idOf('c')}.log`))
    await tidy()
    expect(kept.filter((path) => !existsSync(path))).toEqual([])
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(existsSync(elsewhere)).toBe(true)
    expect(existsSync(join(logs, `${idOf('c')}.log`))).toBe(true)
  })

  it('does not follow a link in the place of the folder', async () => {
    const { root, logs, old, tidy } = await newTown()
    const elsewhere = join(root, 'elsewhere')
    mkdirSync(elsewhere)
    const other = old(join(elsewhere, `${idOf('a')}.log`))
    await rm(logs, { recursive: true })
    symlinkSync(elsewhere, logs)
    await tidy()
    expect(existsSync(other)).toBe(true)
  })

  it("takes an agent's link to a log that goes, and leaves the others", async () => {
    const { logs, old, tidy } = await newTown()
    old(join(logs, `${idOf('a')}.log`))
    writeFileSync(join(logs, `${idOf('b')}.log`), 'young')
    symlinkSync(`${idOf('a')}.log`, join(logs, 'worker-1.log'))
    symlinkSync(`${idOf('b')}.log`, join(logs, 'worker-2.log'))
    symlinkSync(`../../${idOf('a')}.log`, join(logs, 'mine.log'))
    await tidy()
    expect(await readdir(logs)).toEqual([`${idOf('b')}.log`, 'mine.log', 'worker-2.log'])
    expect(readlinkSync(join(logs, 'worker-2.log'))).toBe(`${idOf('b')}.log`)
  })

  it('needs no folders', async () => {
    const { root, events, tidy } = await newTown()
    await rm(join(root, '.tt'), { recursive: true })
    await tidy()
    expect(events).toEqual([])
  })

  it('can be done by several at once', async () => {
    const { logs, old, events, tidy } = await newTown()
    for (const letter of 'abcdef') old(join(logs, `${idOf(letter)}.log`))
    await Promise.all(Array.from({ length: 4 }, () => tidy()))
    expect(await readdir(logs)).toEqual([])
    expect(events.filter(({ type }) => type === 'old-files-stay')).toEqual([])
  })
})
