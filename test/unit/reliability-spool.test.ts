import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { deferred } from '../../src/base/deferred.ts'
import { newId } from '../../src/domain/ids.ts'
import type { WorkerEvent } from '../../src/domain/worker-event.ts'
import { Spool, type Spooled } from '../../src/reliability/spool.ts'
import { until } from '../rig/until.ts'

const agentId = newId()
let root: string
let events: WorkerEvent[]
let spool: Spool

beforeEach(async () => {
  root = join(await mkdtemp(join(tmpdir(), 'tw-spool-')), 'spool')
  events = []
  spool = new Spool({ root, agentId, emit: (event) => void events.push(event) })
})

afterEach(() => rm(join(root, '..'), { recursive: true, force: true }))

const result = (text = 'the result'): Spooled => ({ taskId: newId(), startId: newId(), text })
const files = (folder: string) => readdir(join(root, folder)).catch(() => [])
const types = () => events.map(({ type }) => type)
const away = () => Promise.reject(new Error('away'))

describe('a result that is written at once', () => {
  it('never touches the disk', async () => {
    expect(await spool.during(result(), async () => 'written')).toBe('written')
    expect(events).toEqual([])
    await expect(stat(root)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('a result that is not written within a second', () => {
  it('lies on disk for its owner alone until it is written', async () => {
    const written = deferred<string>()
    const kept = result()
    const done = spool.during(kept, () => written.promise)
    await until(() => spool.holds, 'the result is held')
    const [name = ''] = await files(agentId)
    expect(name).toBe(`${kept.taskId}-${kept.startId}.json`)
    const path = join(root, agentId, name)
    expect(await readFile(path, 'utf8')).toBe('the result')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect((await stat(join(root, agentId))).mode & 0o777).toBe(0o700)
    expect(await spool.list()).toEqual({ results: [kept], unreadable: [] })
    written.resolve('written')
    expect(await done).toBe('written')
    expect(await files(agentId)).toEqual([])
    expect(spool.holds).toBe(false)
    expect(types()).toEqual(['result-spooled'])
  })

  it('stays on disk when the write fails, at once', async () => {
    const kept = result()
    await expect(spool.during(kept, away)).rejects.toThrow('away')
    expect(await files(agentId)).toHaveLength(1)
    expect(spool.holds).toBe(false)
    const next = new Spool({ root, agentId, emit: () => undefined })
    expect((await next.list()).results).toEqual([kept])
    await next.remove(kept)
    await next.remove(kept)
    expect(await files(agentId)).toEqual([])
  })
})

describe('a spool that cannot be written', () => {
  it('is told, and the write goes on', async () => {
    await writeFile(root, 'a file in the place of the folder')
    const written = deferred<string>()
    const done = spool.during(result(), () => written.promise)
    await until(() => events.length > 0, 'it is told')
    expect(events).toMatchObject([{ type: 'spool-failed', detail: expect.stringMatching(/ENOTDIR|EEXIST/) }])
    expect(spool.holds).toBe(false)
    written.resolve('written')
    expect(await done).toBe('written')
    await expect(spool.during(result(), away)).rejects.toThrow('away')
    expect(await spool.list()).toEqual({ results: [], unreadable: [] })
  })
})

describe('what lies in the spool', () => {
  const path = (name: string) => join(root, agentId, name)
  beforeEach(async () => {
    await mkdir(join(root, agentId), { recursive: true })
  })

  it('is told apart from what is no result, and from what is only half written', async () => {
    const kept = result()
    await spool.during(kept, away).catch(() => undefined)
    await writeFile(path('notes.json'), '{}')
    await mkdir(path(`${newId()}-${newId()}.json`))
    await writeFile(path('fresh.json.tmp'), '{')
    await writeFile(path('stale.json.tmp'), '{')
    await utimes(path('stale.json.tmp'), 0, 0)
    const { results, unreadable } = await spool.list()
    expect(results).toEqual([kept])
    expect(unreadable).toHaveLength(2)
    expect(await files(agentId)).toContain('fresh.json.tmp')
    expect(await files(agentId)).not.toContain('stale.json.tmp')
  })

  it('stays where it is, and is told, when the disk does not give it now', async () => {
    const name = `${newId()}-${newId()}.json`
    await symlink(name, path(name))
    expect(await spool.list()).toEqual({ results: [], unreadable: [] })
    expect(events).toMatchObject([
      { type: 'spool-unread', path: path(name), detail: expect.stringMatching(/ELOOP/) },
    ])
    expect(await files(agentId)).toEqual([name])
  })

  it('that is gone meanwhile is nothing', async () => {
    const name = `${newId()}-${newId()}.json`
    await symlink('nowhere', path(name))
    expect(await spool.list()).toEqual({ results: [], unreadable: [] })
    expect(events).toEqual([])
  })

  it('is set aside with the reason in its name, also what nobody can read', async () => {
    const kept = result()
    await spool.during(kept, away).catch(() => undefined)
    await writeFile(path('notes.json'), '{}')
    await spool.keep(kept, 'ended')
    await spool.keep('notes.json', 'unreadable')
    expect(await files(agentId)).toEqual([])
    expect((await files('kept')).sort()).toEqual(
      [`${agentId}-${kept.taskId}-${kept.startId}.ended.json`, `${agentId}-notes.unreadable.json`].sort(),
    )
    expect(types()).toEqual(['result-spooled', 'result-kept', 'result-kept'])
  })

  it('is bounded: of what was set aside the oldest goes', async () => {
    for (let day = 1; day <= 103; day += 1) {
      const kept = result()
      await spool.during(kept, away).catch(() => undefined)
      await utimes(path(`${kept.taskId}-${kept.startId}.json`), day * 86_400, day * 86_400)
      await spool.keep(kept, 'gone')
    }
    const left = await files('kept')
    expect(left).toHaveLength(100)
    const ages = await Promise.all(left.map(async (name) => (await stat(join(root, 'kept', name))).mtimeMs))
    expect(Math.min(...ages)).toBe(4 * 86_400_000)
  })

  it('is bounded in bytes as well, but for the newest', async () => {
    const huge = async (day: number, megabytes = 100) => {
      const kept = result()
      await spool.during(kept, away).catch(() => undefined)
      const file = path(`${kept.taskId}-${kept.startId}.json`)
      // A hole takes no room on the disk of the test.
      await truncate(file, megabytes << 20)
      await utimes(file, day * 86_400, day * 86_400)
      await spool.keep(kept, 'gone')
      return `${agentId}-${kept.taskId}-${kept.startId}.gone.json`
    }
    const names: string[] = []
    for (let day = 1; day <= 4; day += 1) names.push(await huge(day))
    expect((await files('kept')).sort()).toEqual(names.slice(2).sort())
    const newest = await huge(5, 300)
    expect(await files('kept')).toEqual([newest])
  })

  it('is told when it cannot be set aside', async () => {
    await spool.keep(result(), 'gone')
    expect(types()).toEqual(['spool-failed'])
  })
})
