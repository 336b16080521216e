import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../src/domain/delivery.ts'
import { idWithin, newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { decodeMessage, encodeMessage, type MessageBody, newMessage } from '../../src/domain/message.ts'
import { getAgent } from '../../src/store/agents.ts'
import { listDeadLetters, retryDeadLetter } from '../../src/store/dead-letters.ts'
import { recentEvents } from '../../src/store/events.ts'
import { acknowledgeMessage, putAsideMessage } from '../../src/store/inbox.ts'
import type { Lease } from '../../src/store/lease.ts'
import { recoverPeer } from '../../src/store/peers.ts'
import { MOST_REMEMBERED, REMEMBERED_MS } from '../../src/store/scripts/shared.ts'
import { getTask, releaseTask, retryTask, settleTask, startTask } from '../../src/store/tasks.ts'
import { endOfLostRun } from '../../src/worker/lost-run.ts'
import { settlement, useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()
const { register, assign, claimed } = useWorker(here)

const ASKER = newId()

/** Puts a message into the inbox of an agent, as it came from the asker. */
async function send(lease: Lease, body: MessageBody, to = lease.agentId) {
  const message = newMessage({ from: ASKER, to, body, createdAt: new Date().toISOString() })
  const raw = encodeMessage(message)
  await here.redis.rpush(lease.agent.inbox, raw)
  return { id: message.id, raw }
}

const SAY_HI = { type: 'task', description: 'Say hi' } as const

/** Claims the next message and starts its task as a worker of this delivery does. */
async function startNext(
  lease: Lease,
  delivery: Delivery,
  change: { startId?: string; taskId?: string } = {},
) {
  const { raw, digest } = await claimed(lease)
  const decoded = decodeMessage(raw)
  if (!decoded.ok) throw new Error(decoded.error)
  const { id, body } = decoded.message
  const memory = delivery === 'at-least-once' ? {} : { messageId: id }
  const start = {
    digest,
    taskId: body.type === 'task_assign' ? body.task_id : id,
    startId: newId(),
    cli: 'demo',
    atMostOnce: delivery === 'at-most-once',
    ...(body.type === 'task' ? { description: body.description } : {}),
    ...memory,
    ...change,
  }
  const settle = (more: Parameters<typeof settlement>[2] = {}) =>
    settleTask(lease, settlement(digest, start.taskId, { ...memory, ...more }))
  return { start, memory, started: await startTask(lease, start), settle }
}

const handled = (lease: Lease) => here.redis.zrange(lease.agent.handled, '0', '-1')
const task = (id: string) => getTask(here.redis, here.town, id)
const recover = (lease: Lease) => recoverPeer(here.redis, here.town, lease.agentId, endOfLostRun)
const mark = (id: string) => here.redis.hget(here.town.task(id), 'delivery')
const answers = async () =>
  (await here.redis.lrange(here.town.agent(ASKER).inbox, 0, -1)).map((raw) => JSON.parse(raw))

/** The ends that the events tell of a task. */
async function endsOf(id: string): Promise<string[]> {
  const events = await recentEvents(here.redis, here.town.events, 100)
  const of = events.filter(
    ({ event }) => event.task_id === id && /task_(completed|failed)/.test(event.event_type),
  )
  return of.map(({ event }) => event.event_type)
}

describe('exactly once', () => {
  it.each(['inbox', 'urgent'] as const)(
    'drops a copy that lies in %s, also where the record is gone; at least once it is run again',
    async (list) => {
      for (const delivery of ['exactly-once', 'at-least-once'] as const) {
        const lease = await register(delivery)
        const { id, raw } = await send(lease, SAY_HI)
        await (await startNext(lease, delivery)).settle()
        await here.redis.del(here.town.task(id))
        await here.redis.rpush(lease.agent[list], raw)
        const { started } = await startNext(lease, delivery)
        expect(started.kind).toBe(delivery === 'exactly-once' ? 'duplicate' : 'started')
        expect(await here.redis.exists(here.town.task(id))).toBe(delivery === 'exactly-once' ? 0 : 1)
        expect(await here.redis.llen(lease.agent.inFlight)).toBe(delivery === 'exactly-once' ? 0 : 1)
      }
    },
  )

  it('drops a copy whose task somebody opened again, or that was left running', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const [raw = ''] = await here.redis.lrange(lease.agent.inbox, 0, -1)
    await (await startNext(lease, 'exactly-once')).settle({ state: 'running' })
    for (const state of ['running', 'assigned']) {
      await here.redis.hset(here.town.task(taskId), 'state', state)
      await here.redis.rpush(lease.agent.inbox, raw)
      expect((await startNext(lease, 'exactly-once')).started).toEqual({ kind: 'duplicate' })
    }
    expect(await task(taskId)).toMatchObject({ attempts: 1 })
  })

  it('runs a message again that was started and never settled', async () => {
    const lease = await register()
    const { id } = await send(lease, SAY_HI)
    await startNext(lease, 'exactly-once')
    expect(await handled(lease)).toEqual([])
    const { started, settle } = await startNext(lease, 'exactly-once')
    expect(started).toMatchObject({ kind: 'started', attempt: 2 })
    await settle()
    expect(await handled(lease)).toEqual([id])
  })

  it('drops a copy of what waits for its next attempt, and runs that when it is due', async () => {
    const lease = await register()
    const { id, raw } = await send(lease, SAY_HI)
    const { start } = await startNext(lease, 'exactly-once')
    const again = { digest: start.digest, taskId: id, retryId: newId(), reason: 'exit', extras: {} } as const
    await retryTask(lease, { ...again, delayMs: 60_000, eventMessage: '', activity: '' })
    await here.redis.rpush(lease.agent.inbox, raw)
    expect((await startNext(lease, 'exactly-once')).started).toEqual({ kind: 'duplicate' })
    await here.redis.zadd(lease.agent.delayed, 1, raw)
    expect((await startNext(lease, 'exactly-once')).started).toMatchObject({ kind: 'started', attempt: 2 })
  })

  it('keeps a note once and answers a question once', async () => {
    const lease = await register()
    const copies = async (end: { note?: string; reply?: { to: string; raw: string } }) => {
      const messageId = newId()
      const came = []
      for (const text of ['one', 'two']) {
        await here.redis.rpush(lease.agent.inbox, `${messageId} ${text}`)
        came.push((await acknowledgeMessage(lease, await claimed(lease), { ...end, messageId })).kind)
      }
      return came
    }
    expect(await copies({ note: 'the API moved' })).toEqual(['ok', 'duplicate'])
    expect(await copies({ reply: { to: ASKER, raw: '{}' } })).toEqual(['ok', 'duplicate'])
    expect(await here.redis.lrange(lease.agent.notes, 0, -1)).toEqual(['the API moved'])
    expect(await answers()).toHaveLength(1)
    expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
  })

  it('remembers an id for a day, and no longer', async () => {
    const lease = await register()
    const { id, raw } = await send(lease, SAY_HI)
    const [seconds] = await here.redis.time()
    const now = Number(seconds) * 1000
    await here.redis.zadd(lease.agent.handled, now - REMEMBERED_MS + 60_000, id)
    expect((await startNext(lease, 'exactly-once')).started).toEqual({ kind: 'duplicate' })
    await here.redis.zadd(lease.agent.handled, now - REMEMBERED_MS - 1, id, now - REMEMBERED_MS - 1, 'old')
    await here.redis.rpush(lease.agent.inbox, raw)
    const { started, settle } = await startNext(lease, 'exactly-once')
    expect(started.kind).toBe('started')
    await settle()
    expect(await handled(lease)).toEqual([id])
    expect(await here.redis.pttl(lease.agent.handled)).toBeGreaterThan(REMEMBERED_MS - 60_000)
  })

  it('remembers the newest ten thousand and no more', async () => {
    const lease = await register()
    const now = Date.now()
    const many = Array.from({ length: MOST_REMEMBERED }, (_, at) => [now - 60_000 + at, `id-${at}`]).flat()
    await here.redis.zadd(lease.agent.handled, ...many)
    const { id } = await send(lease, SAY_HI)
    await (await startNext(lease, 'exactly-once')).settle()
    const kept = await handled(lease)
    expect(kept).toHaveLength(MOST_REMEMBERED)
    expect([kept[0], kept.at(-1)]).toEqual(['id-1', id])
  })

  it('loses its memory and nothing else where the key holds something else', async () => {
    const lease = await register()
    await here.redis.set(lease.agent.handled, 'no sorted set')
    const { id } = await send(lease, SAY_HI)
    expect(await (await startNext(lease, 'exactly-once')).settle()).toMatchObject({ kind: 'ok' })
    expect(await task(id)).toMatchObject({ state: 'completed' })
  })

  it('remembers nothing where all is run at least once', async () => {
    const lease = await register()
    await send(lease, SAY_HI)
    await (await startNext(lease, 'at-least-once')).settle()
    expect(await here.redis.exists(lease.agent.handled)).toBe(0)
  })
})

describe('at most once', () => {
  it('starts a task a single time, whoever asks in whatever mode', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const first = await startNext(lease, 'at-most-once', { startId: 'first' })
    expect(first.started).toMatchObject({ kind: 'started', attempt: 1 })
    // The reply of the start may have got lost.
    expect((await startNext(lease, 'at-most-once', { startId: 'first' })).started).toMatchObject({
      kind: 'started',
      attempt: 1,
    })
    for (const delivery of ['at-most-once', 'at-least-once', 'exactly-once'] as const) {
      const { started } = await startNext(lease, delivery)
      expect(started).toMatchObject({ kind: 'lost-run', attempt: 1, task: { id: taskId, state: 'running' } })
    }
    const [raw = ''] = await here.redis.lrange(lease.agent.inFlight, 0, -1)
    expect(raw).toContain(taskId)
  })

  it('hands a lost run to another agent that got its message, to be settled and not to be run', async () => {
    const dead = await register('dead')
    const other = await register('other')
    const taskId = await assign(dead)
    await startNext(dead, 'at-most-once')
    await here.redis.del(dead.agent.lease)
    await here.redis.lmove(dead.agent.inFlight, other.agent.inbox, 'LEFT', 'RIGHT')
    const { started, settle } = await startNext(other, 'at-least-once')
    expect(started.kind).toBe('lost-run')
    expect(await settle({ state: 'failed', reason: 'crashed', bury: 'died' })).toMatchObject({ kind: 'ok' })
    expect(await task(taskId)).toMatchObject({ state: 'failed', reason: 'crashed', attempts: 1 })
    expect(await listDeadLetters(here.redis, here.town)).toMatchObject([{ taskId, reason: 'crashed' }])
  })

  it('drops a copy of a message that was run, also where the record is gone', async () => {
    const lease = await register()
    const { id, raw } = await send(lease, SAY_HI)
    const { settle } = await startNext(lease, 'at-most-once')
    expect([await mark(id), await handled(lease)]).toEqual(['at-most-once', [id]])
    await settle()
    expect(await mark(id)).toBeNull()
    await here.redis.del(here.town.task(id))
    await here.redis.rpush(lease.agent.inbox, raw)
    expect((await startNext(lease, 'at-most-once')).started).toEqual({ kind: 'duplicate' })
  })

  it('lets a task run whose CLI could not be started', async () => {
    const lease = await register()
    const { id } = await send(lease, SAY_HI)
    const { start, memory } = await startNext(lease, 'at-most-once')
    const back = {
      digest: start.digest,
      taskId: id,
      releaseId: newId(),
      agentState: 'error',
      counted: true,
    } as const
    await releaseTask(lease, { ...back, ...memory, message: 'no CLI' })
    expect([await mark(id), await handled(lease)]).toEqual([null, []])
    expect((await startNext(lease, 'at-most-once')).started).toMatchObject({ kind: 'started', attempt: 1 })
  })

  it('lets a person have it run once more from the dead letters', async () => {
    const lease = await register()
    const { id } = await send(lease, SAY_HI)
    await startNext(lease, 'at-most-once')
    const bad = { reason: 'bad-task', detail: 'refused' } as const
    await putAsideMessage(lease, await claimed(lease), bad)
    await here.redis.hset(here.town.task(id), 'state', 'failed')
    const [letter] = await listDeadLetters(here.redis, here.town)
    if (!letter) throw new Error('there is no dead letter')
    expect(await retryDeadLetter(here.redis, here.town, { letter, agentId: lease.agentId })).toBe('ok')
    expect((await startNext(lease, 'at-most-once')).started).toMatchObject({ kind: 'started', attempt: 1 })
  })
})

describe('recovering a dead peer that runs at most once', () => {
  it('loses nothing where the dead letters cannot be written', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    await startNext(lease, 'at-most-once')
    await here.redis.del(lease.agent.lease)
    await here.redis.set(here.town.deadLetters, 'no stream')
    await expect(recover(lease)).rejects.toThrow('WRONGTYPE')
    expect(await here.redis.llen(lease.agent.inFlight)).toBe(1)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'running' })
    await here.redis.del(here.town.deadLetters)
    expect(await recover(lease)).toMatchObject({ lost: [taskId] })
    expect(await here.redis.xlen(here.town.deadLetters)).toBe(1)
  })

  /** An agent whose worker died in the middle of a run, with more in flight and in the inbox. */
  async function dead(body: MessageBody = SAY_HI, to?: string) {
    const lease = await register()
    const message = await send(lease, body, to)
    const run = await startNext(
      lease,
      'at-most-once',
      to ? { taskId: idWithin(message.id, lease.agentId) } : {},
    )
    await here.redis.rpush(lease.agent.inFlight, 'second')
    await here.redis.del(lease.agent.lease)
    return { lease, ...message, ...run, taskId: run.start.taskId }
  }

  it('fails its task with the message in the dead letters, tells the asker, and gives the rest back', async () => {
    const { lease, taskId, raw, id } = await dead()
    expect(await recover(lease)).toEqual({
      agentId: lease.agentId,
      name: 'worker-1',
      messages: 1,
      lost: [taskId],
    })
    expect(await here.redis.lrange(lease.agent.inbox, 0, -1)).toEqual(['second'])
    const failed = await task(taskId)
    expect(failed).toMatchObject({ state: 'failed', reason: 'crashed', attempts: 1 })
    expect(failed?.completedAt).toBeDefined()
    expect(await mark(taskId)).toBeNull()
    expect(await listDeadLetters(here.redis, here.town)).toMatchObject([
      { agentId: lease.agentId, agent: 'worker-1', reason: 'crashed', message: raw, taskId },
    ])
    expect(await answers()).toMatchObject([
      {
        type: 'task_failed',
        task_id: taskId,
        from: lease.agentId,
        correlation_id: id,
        error: failed?.result,
      },
    ])
    expect(await endsOf(taskId)).toEqual(['task_failed'])
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({
      state: 'error',
      lastError: expect.stringMatching(/worker died.* at most once/),
    })
    await register()
    expect(await here.redis.llen(lease.agent.inFlight)).toBe(0)
  })

  it('is done once by two at the same time', async () => {
    const { lease, taskId } = await dead()
    const other = here.redis.duplicate()
    try {
      const both = await Promise.all([
        recover(lease),
        recoverPeer(other, here.town, lease.agentId, endOfLostRun),
      ])
      expect(both.filter(Boolean)).toHaveLength(1)
    } finally {
      other.disconnect()
    }
    expect(await endsOf(taskId)).toEqual(['task_failed'])
    expect(
      [await listDeadLetters(here.redis, here.town), await answers()].map(({ length }) => length),
    ).toEqual([1, 1])
  })

  it('writes nothing before it knows the end, and nothing when the worker is back by then', async () => {
    const { lease, taskId } = await dead()
    const late = recoverPeer(here.redis, here.town, lease.agentId, (lost) => {
      // Sent before the second step.
      void here.redis.set(lease.agent.lease, lease.token)
      return endOfLostRun(lost)
    })
    expect(await late).toBeNull()
    expect(await task(taskId)).toMatchObject({ state: 'running' })
    expect(await here.redis.llen(lease.agent.inFlight)).toBe(2)
  })

  it('tells the conductor of a mission, and finds the message of what was told to several', async () => {
    const { lease, taskId } = await dead(SAY_HI, newId())
    await here.redis.hset(here.town.task(taskId), 'tags', JSON.stringify(['mission-task:work']))
    await recover(lease)
    expect(await task(taskId)).toMatchObject({ state: 'failed' })
    expect(await listDeadLetters(here.redis, here.town)).toHaveLength(1)
    const [letter = ''] = await here.redis.lrange(here.town.agent(SUPERVISOR_ID).inbox, 0, -1)
    expect(JSON.parse(letter)).toMatchObject({ type: 'query', question: expect.stringContaining(taskId) })
    expect(await answers()).toEqual([])
  })

  it('works on records that are JSON texts', async () => {
    const { lease, taskId } = await dead()
    for (const key of [lease.agent.record, here.town.task(taskId)]) {
      const record = await here.redis.hgetall(key)
      await here.redis.del(key)
      await here.redis.set(key, JSON.stringify(record))
    }
    expect(await recover(lease)).toMatchObject({ lost: [taskId] })
    expect(await task(taskId)).toMatchObject({ state: 'failed', reason: 'crashed' })
  })

  it('leaves a task alone that somebody ended meanwhile', async () => {
    const { lease, taskId } = await dead()
    await here.redis.hset(here.town.task(taskId), { state: 'completed', result: 'by tt' })
    expect(await recover(lease)).toMatchObject({ messages: 2, lost: [] })
    expect(await task(taskId)).toMatchObject({ state: 'completed', result: 'by tt' })
  })
})
