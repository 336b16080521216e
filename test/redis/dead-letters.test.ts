import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { encodeMessage, newMessage } from '../../src/domain/message.ts'
import { type DeadLetter, listDeadLetters, retryDeadLetter } from '../../src/store/dead-letters.ts'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import type { Lease } from '../../src/store/lease.ts'
import { getTask, settleTask } from '../../src/store/tasks.ts'
import { settlement, useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()

/** A task that failed for good, and its dead letter. */
interface Failed {
  readonly town: TownKeys
  readonly lease: Lease
  readonly taskId: string
  readonly letter: DeadLetter
}

describe.each(['hash', 'json'] as const)('bringing back a dead letter, with %s records', (format) => {
  async function failed(): Promise<Failed> {
    const town = townKeys(here.town.town, format)
    const { register, assign, claimAndStart } = useWorker({ redis: here.redis, town })
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    const end = { state: 'failed', reason: 'exit', bury: 'it is broken' } as const
    await settleTask(lease, settlement(digest, taskId, end))
    const [letter] = await listDeadLetters(here.redis, town)
    if (!letter) throw new Error('there is no dead letter')
    return { town, lease, taskId, letter }
  }

  /** Somebody else writes into the task. */
  async function write({ town, taskId }: Failed, fields: Record<string, string>): Promise<void> {
    const key = town.task(taskId)
    if (format === 'hash') await here.redis.hset(key, fields)
    else
      await here.redis.set(
        key,
        JSON.stringify({ ...JSON.parse((await here.redis.get(key)) ?? ''), ...fields }),
      )
  }

  const retry = ({ town, lease, letter }: Failed, undo = false) =>
    retryDeadLetter(here.redis, town, { letter, agentId: lease.agentId, undo })

  it.each(['completed', 'cancelled'] as const)(
    'leaves a task alone that was %s since, unless that is undone',
    async (state) => {
      const all = await failed()
      await write(all, { state, result: 'by a person' })
      expect(await retry(all)).toBe(state)
      expect(await getTask(here.redis, all.town, all.taskId)).toMatchObject({ state, result: 'by a person' })
      expect(await listDeadLetters(here.redis, all.town)).toHaveLength(1)
      expect(await retry(all, true)).toBe('ok')
      expect(await getTask(here.redis, all.town, all.taskId)).toMatchObject({
        state: 'assigned',
        attempts: 0,
      })
      expect(await here.redis.lrange(all.lease.agent.inbox, 0, -1)).toEqual([all.letter.message])
    },
  )

  it.each(['inbox', 'urgent', 'inFlight', 'delayed'] as const)(
    'leaves a task alone whose message lies in the key %s of whoever has it',
    async (place) => {
      const all = await failed()
      const other = newId()
      await write(all, { state: 'assigned', assigned_to: other })
      const body = { type: 'task_assign', task_id: all.taskId } as const
      const createdAt = new Date().toISOString()
      const raw = encodeMessage(newMessage({ from: SUPERVISOR_ID, to: other, body, createdAt }))
      const key = all.town.agent(other)[place]
      if (place === 'delayed') await here.redis.zadd(key, 1, raw)
      else await here.redis.rpush(key, 'no JSON', raw)
      expect(await retry(all)).toBe('in-hand')
      expect(await here.redis.exists(all.lease.agent.inbox)).toBe(0)
    },
  )

  it('brings back a task that is called assigned while nobody has its message', async () => {
    const all = await failed()
    await write(all, { state: 'assigned' })
    await here.redis.rpush(
      all.lease.agent.inbox,
      `{"type":"informational","id":"x","summary":"${all.taskId}"}`,
    )
    expect(await retry(all)).toBe('ok')
    expect(await here.redis.lindex(all.lease.agent.inbox, -1)).toBe(all.letter.message)
  })

  it('leaves one alone that a live worker runs, and not one whose worker is gone', async () => {
    const all = await failed()
    await write(all, { state: 'running' })
    expect(await retry(all)).toBe('in-hand')
    await here.redis.del(all.lease.agent.lease)
    expect(await retry(all)).toBe('ok')
  })

  it('writes nothing where the inbox is of another type', async () => {
    const all = await failed()
    await here.redis.set(all.lease.agent.inbox, 'no list')
    await expect(retry(all)).rejects.toThrow(/^WRONGTYPE/)
    expect(await getTask(here.redis, all.town, all.taskId)).toMatchObject({ state: 'failed' })
    expect(await listDeadLetters(here.redis, all.town)).toHaveLength(1)
  })

  it('leaves one that holds no message', async () => {
    const all = await failed()
    const id = (await here.redis.xadd(all.town.deadLetters, '*', 'task_id', all.taskId)) ?? ''
    expect(await retry({ ...all, letter: { ...all.letter, id } })).toBe('empty')
    expect(await getTask(here.redis, all.town, all.taskId)).toMatchObject({ state: 'failed' })
  })
})
