import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { getAgent } from '../../src/store/agents.ts'
import { recentEvents } from '../../src/store/events.ts'
import { recoverPeer } from '../../src/store/peers.ts'
import { getTask, settleTask } from '../../src/store/tasks.ts'
import { endOfLostRun } from '../../src/worker/lost-run.ts'
import { settlement, useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()
const { register, assign, claimAndStart } = useWorker(here)

/** A worker that died with a result, and the next one of its name. */
async function afterDeath({ recovered }: { recovered: boolean }) {
  const before = await register()
  const taskId = await assign(before)
  const { digest } = await claimAndStart(before, taskId)
  await assign(before, 'waits')
  await here.redis.del(before.agent.lease)
  if (recovered) await recoverPeer(here.redis, here.town, before.agentId, endOfLostRun)
  const lease = await register()
  return { lease, taskId, end: settlement(digest, taskId, { spooled: true }) }
}

describe('a spooled result', () => {
  it.each([true, false])(
    'is written once with its counts, and its message is taken wherever it is (recovered: %s)',
    async (recovered) => {
      const { lease, taskId, end } = await afterDeath({ recovered })
      expect(await settleTask(lease, end)).toMatchObject({ kind: 'ok' })
      expect(await settleTask(lease, end)).toMatchObject({ kind: 'ok' })
      expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
        state: 'completed',
        result: 'ok',
        attempts: 1,
      })
      expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({
        tasksCompleted: 1,
        roundsCompleted: 1,
      })
      expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
      const waiting = await here.redis.lrange(lease.agent.inbox, 0, -1)
      expect(waiting).toHaveLength(1)
      expect(waiting[0]).not.toContain(taskId)
      const events = await recentEvents(here.redis, here.town.events, 50)
      expect(events.filter(({ event }) => event.event_type === 'task_completed')).toHaveLength(1)
    },
  )

  it.each([
    ['ended', { state: 'completed', result: 'by tt' }],
    ['ended', { state: 'cancelled' }],
    ['ended', { state: 'pending' }],
    ['elsewhere', { assigned_to: newId() }],
    ['elsewhere', { state: 'assigned', assigned_to: newId() }],
  ])('is left, as %s, where the task is %j', async (why, change) => {
    const { lease, taskId, end } = await afterDeath({ recovered: false })
    await here.redis.hset(here.town.task(taskId), change)
    const before = await here.redis.hgetall(here.town.task(taskId))
    const events = await here.redis.xlen(here.town.events)
    expect(await settleTask(lease, end)).toMatchObject({ kind: 'left', why })
    expect(await here.redis.hgetall(here.town.task(taskId))).toEqual(before)
    expect(await here.redis.xlen(here.town.events)).toBe(events)
    expect(await here.redis.llen(lease.agent.inFlight)).toBe(1)
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ roundsCompleted: 0 })
  })

  it('is left where the task is gone', async () => {
    const { lease, taskId, end } = await afterDeath({ recovered: true })
    await here.redis.del(here.town.task(taskId))
    expect(await settleTask(lease, end)).toMatchObject({ kind: 'left', why: 'gone' })
    expect(await here.redis.exists(here.town.task(taskId))).toBe(0)
  })

  it('that was written after all, only its reply got lost, is taken for written', async () => {
    const before = await register()
    const taskId = await assign(before)
    const { digest } = await claimAndStart(before, taskId)
    const end = settlement(digest, taskId)
    await settleTask(before, end)
    await here.redis.del(before.agent.lease)
    expect(await settleTask(await register(), { ...end, spooled: true })).toMatchObject({ kind: 'ok' })
    expect(await getAgent(here.redis, here.town, before.agentId)).toMatchObject({ tasksCompleted: 1 })
  })
})
