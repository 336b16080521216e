import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { addToBacklog, claimBacklogTask, lookAtBacklog, pushBacklog } from '../../src/store/backlog.ts'
import { pushOnce } from '../../src/store/push.ts'
import { getTask, startTask } from '../../src/store/tasks.ts'
import { useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()
const { register, claimed } = useWorker(here)

const add = async (description: string, tags: string[] = []) =>
  (await addToBacklog(here.redis, here.town, { description, tags })).taskId
const look = (from: number, count: number, seen = '') =>
  lookAtBacklog(here.redis, here.town, { from, count, seen })

describe('a push whose reply got lost', () => {
  it('is there once, at either end', async () => {
    const list = here.town.backlog
    for (const end of ['head', 'tail'] as const) {
      const text = newId()
      await pushOnce(here.redis, list, 'between', { end })
      const length = await pushOnce(here.redis, list, text, { end })
      expect(await pushOnce(here.redis, list, text, { end })).toBe(length)
    }
  })

  it('leaves an id in the backlog once', async () => {
    const id = await add('X')
    expect(await pushBacklog(here.redis, here.town, id)).toBe(1)
  })
})

describe('claiming a task of the backlog', () => {
  it('takes it off the list wherever it stands', async () => {
    const lease = await register()
    const id = await add('X')
    await here.redis.rpush(here.town.backlog, 'other', id)
    const claim = { taskId: id, agentId: lease.agentId }
    expect(await claimBacklogTask(here.redis, here.town, claim)).toEqual({ kind: 'claimed' })
    expect(await here.redis.lrange(here.town.backlog, 0, -1)).toEqual(['other'])
  })

  it('leaves a task to the live worker that runs it', async () => {
    const [one, two] = [await register('one'), await register('two')]
    const id = await add('X')
    await claimBacklogTask(here.redis, here.town, { taskId: id, agentId: one.agentId })
    const { digest } = await claimed(one)
    await startTask(one, { digest, taskId: id, startId: newId(), cli: 'demo' })
    await pushBacklog(here.redis, here.town, id)
    const second = { taskId: id, agentId: two.agentId }
    expect(await claimBacklogTask(here.redis, here.town, second)).toEqual({ kind: 'taken' })
    expect(await getTask(here.redis, here.town, id)).toMatchObject({
      state: 'running',
      assignedTo: one.agentId,
    })
    expect(await here.redis.llen(two.agent.inbox)).toBe(0)
    // The other one died: its task is taken over.
    await pushBacklog(here.redis, here.town, id)
    await here.redis.del(one.agent.lease)
    expect(await claimBacklogTask(here.redis, here.town, second)).toEqual({ kind: 'claimed' })
  })
})

describe('looking at the backlog', () => {
  it('goes on where it ended, and takes off what is at its end', async () => {
    const ids = []
    for (let at = 0; at < 5; at += 1) ids.push(await add(`task ${at}`, [`tag-${at}`]))
    await here.redis.hset(here.town.task(ids[1] ?? ''), { state: 'cancelled' })
    await here.redis.hset(here.town.task(ids[2] ?? ''), { state: 'completed' })
    const first = await look(0, 3)
    expect(first).toMatchObject({ next: 1, tasks: [{ id: ids[0], tags: ['tag-0'], description: 'task 0' }] })
    const second = await look(first.next ?? -1, 3)
    expect(second).toMatchObject({ next: null, tasks: [{ id: ids[3] }, { id: ids[4] }] })
    expect(await here.redis.lrange(here.town.backlog, 0, -1)).toEqual([ids[0], ids[3], ids[4]])
  })

  it('reads nothing when it is as it was', async () => {
    await add('X')
    const { mark } = await look(0, 9)
    expect(await look(0, 9, mark)).toEqual({ mark, next: null, tasks: [] })
    await add('Y')
    expect((await look(0, 9, mark)).tasks).toHaveLength(2)
  })

  it('passes over what has no record', async () => {
    await here.redis.rpush(here.town.backlog, newId())
    expect(await look(0, 9)).toMatchObject({ next: null, tasks: [] })
  })
})
