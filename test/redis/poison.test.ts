import { describe, expect, it } from 'vitest'
import { listDeadLetters, retryDeadLetter } from '../../src/store/dead-letters.ts'
import { recentEvents } from '../../src/store/events.ts'
import { claimMessage, type Poison, putAsideMessage } from '../../src/store/inbox.ts'
import type { Lease } from '../../src/store/lease.ts'
import { recoverPeer } from '../../src/store/peers.ts'
import { cancelTask, getTask } from '../../src/store/tasks.ts'
import { endOfLostRun } from '../../src/worker/lost-run.ts'
import { useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()
const { register, assign, claimAndStart } = useWorker(here)

const DETAIL = 'five workers died with it in hand'
const WHY = { reason: 'crashed', detail: DETAIL } as const

/** The worker dies: its lease runs out. */
const die = (lease: Lease) => here.redis.del(lease.agent.lease)

/** A worker that claims what so many workers before it died with. */
async function afterDeaths(count: number): Promise<{ lease: Lease; taskId: string }> {
  let lease = await register()
  const taskId = await assign(lease)
  for (let deaths = 0; deaths < count; deaths += 1) {
    await claimMessage(lease)
    await die(lease)
    lease = await register()
  }
  return { lease, taskId }
}

async function poisonOf(lease: Lease): Promise<Poison> {
  const claim = await claimMessage(lease)
  if (claim.kind !== 'poison') throw new Error(`no poison: ${claim.kind}`)
  return claim
}

describe('a message with which workers died', () => {
  it('is handed over up to the fifth death', async () => {
    const { lease } = await afterDeaths(4)
    expect(await claimMessage(lease)).toMatchObject({ kind: 'message' })
    await die(lease)
    expect(await claimMessage(await register())).toMatchObject({ kind: 'poison', deaths: 5 })
  })

  it('is the one that was in hand, not what waited behind it or was there for an idle worker', async () => {
    let lease = await register()
    await assign(lease)
    for (let deaths = 0; deaths < 6; deaths += 1) {
      await die(lease)
      lease = await register()
    }
    expect(await claimMessage(lease)).toMatchObject({ kind: 'message' })
  })

  it('is blamed as well when a peer gave it back', async () => {
    let lease = await register()
    await assign(lease)
    for (let deaths = 0; deaths < 5; deaths += 1) {
      expect(await claimMessage(lease)).toMatchObject({ kind: 'message' })
      await die(lease)
      expect(await recoverPeer(here.redis, here.town, lease.agentId, endOfLostRun)).toMatchObject({
        messages: 1,
      })
      lease = await register()
    }
    expect(await claimMessage(lease)).toMatchObject({ kind: 'poison', deaths: 5 })
  })

  it('is put aside with its text, its task failed, and the next one is handed over', async () => {
    const { lease, taskId } = await afterDeaths(5)
    const next = await assign(lease, 'next')
    const poison = await poisonOf(lease)
    const id = await putAsideMessage(lease, poison, WHY)
    expect(await listDeadLetters(here.redis, here.town)).toMatchObject([
      { id, reason: 'crashed', detail: DETAIL, taskId, message: expect.stringContaining(taskId) },
    ])
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
      state: 'failed',
      reason: 'crashed',
      result: DETAIL,
    })
    const events = await recentEvents(here.redis, here.town.events, 50)
    expect(events.filter(({ event }) => event.event_type === 'task_failed')).toHaveLength(1)
    expect(await claimMessage(lease)).toMatchObject({ kind: 'message', raw: expect.stringContaining(next) })
    expect(await putAsideMessage(lease, poison, WHY)).toBeNull()
  })

  it('leaves a task alone that has ended', async () => {
    const { lease, taskId } = await afterDeaths(5)
    await cancelTask(here.redis, here.town, taskId, 'not wanted')
    await putAsideMessage(lease, await poisonOf(lease), WHY)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'cancelled' })
  })

  it('is put aside also where nobody can read it', async () => {
    let lease = await register()
    await here.redis.rpush(lease.agent.inbox, 'no { message')
    for (let deaths = 0; deaths < 5; deaths += 1) {
      await claimMessage(lease)
      await die(lease)
      lease = await register()
    }
    expect(await putAsideMessage(lease, await poisonOf(lease), WHY)).not.toBeNull()
    expect(await here.redis.exists(lease.agent.inFlight, lease.agent.deaths)).toBe(0)
  })

  it('that is brought back from the dead letters begins anew', async () => {
    const { lease, taskId } = await afterDeaths(5)
    await putAsideMessage(lease, await poisonOf(lease), WHY)
    const [letter] = await listDeadLetters(here.redis, here.town)
    if (!letter) throw new Error('no dead letter')
    await retryDeadLetter(here.redis, here.town, { letter, agentId: lease.agentId })
    const { started } = await claimAndStart(lease, taskId)
    expect(started).toMatchObject({ kind: 'started', attempt: 1 })
  })
})
