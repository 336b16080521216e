import { beforeEach, describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { decodeMessage, type Message, newMessage, type Priority } from '../../src/domain/message.ts'
import { registerAgent } from '../../src/store/agents.ts'
import { addToBacklog, claimBacklogTask, findInBacklog, listBacklog } from '../../src/store/backlog.ts'
import { recentEvents } from '../../src/store/events.ts'
import { waitForMessage } from '../../src/store/inbox.ts'
import { townKeys } from '../../src/store/keys.ts'
import { type Lease, pulse } from '../../src/store/lease.ts'
import { peekMail, sendMessage } from '../../src/store/mail.ts'
import { assignTask, cancelTask, getTask } from '../../src/store/tasks.ts'
import { useWorker } from '../rig/leased.ts'
import { connectAs, useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()
const { claimAndStart } = useWorker(here)
let lease: Lease

beforeEach(async () => {
  const who = { name: 'worker-1', cli: 'demo', role: undefined, leaseMs: 30_000, extra: {} }
  const registered = await registerAgent(here.redis, here.town, who)
  if (registered.kind !== 'registered') throw new Error('held')
  lease = registered.lease
})

function message(summary: string, priority: Priority = 'normal'): Message {
  const body = { type: 'informational', summary } as const
  return newMessage({
    from: SUPERVISOR_ID,
    to: lease.agentId,
    body,
    priority,
    createdAt: new Date().toISOString(),
  })
}

async function summaries(list: 'inbox' | 'urgent'): Promise<string[]> {
  const raws = await peekMail(here.redis, here.town, lease.agentId, { list })
  return raws.map((raw) => {
    const decoded = decodeMessage(raw)
    return decoded.ok && decoded.message.body.type === 'informational' ? decoded.message.body.summary : '?'
  })
}

/** What is said on the channel that wakes the agent, from now on. */
async function listen(): Promise<{ heard: string[]; close: () => void }> {
  const heard: string[] = []
  const subscriber = here.redis.duplicate()
  subscriber.on('message', (_, word) => heard.push(word))
  await subscriber.subscribe(lease.agent.wake)
  return { heard, close: () => subscriber.disconnect() }
}

describe('sending', () => {
  it('puts urgent and high at the head, normal and low at the tail, and wakes the worker', async () => {
    const { heard, close } = await listen()
    try {
      for (const priority of ['normal', 'low', 'high', 'urgent'] as const)
        await sendMessage(here.redis, here.town, message(priority, priority))
      expect(await summaries('inbox')).toEqual(['urgent', 'high', 'normal', 'low'])
      expect(await sendMessage(here.redis, here.town, message('now'), { urgentList: true })).toBe(1)
      expect(await summaries('urgent')).toEqual(['now'])
      await until(() => heard.length === 5, 'every message wakes')
      expect(await peekMail(here.redis, here.town, lease.agentId, { count: 2 })).toHaveLength(2)
    } finally {
      close()
    }
  })
})

describe('the backlog', () => {
  async function addTask(fields: object = {}): Promise<string> {
    const id = newId()
    await here.redis.hset(here.town.task(id), {
      id,
      description: 'Do X',
      state: 'pending',
      tags: '[]',
      ...fields,
    })
    await here.redis.rpush(here.town.backlog, id)
    return id
  }

  it.each(['hash', 'json'] as const)(
    'takes a new task at its end, as a record that is %s',
    async (format) => {
      const town = townKeys(here.town.town, format)
      const first = await addToBacklog(here.redis, town, { description: 'Do "X"\nü', tags: ['a', 'b'] })
      const second = await addToBacklog(here.redis, town, { description: 'Do Y', tags: [] })
      expect([first.waiting, second.waiting]).toEqual([1, 2])
      const listed = await listBacklog(here.redis, town)
      expect(listed.map(({ id }) => id)).toEqual([first.taskId, second.taskId])
      expect(listed).toMatchObject([
        { task: { description: 'Do "X"\nü', state: 'pending', tags: ['a', 'b'] } },
        { task: { description: 'Do Y', tags: [] } },
      ])
      expect(listed[0]?.task?.assignedTo).toBeUndefined()
      expect(await here.redis.type(town.task(first.taskId))).toBe(format === 'hash' ? 'hash' : 'string')
      const claim = { taskId: first.taskId, agentId: lease.agentId }
      expect(await claimBacklogTask(here.redis, town, claim)).toEqual({ kind: 'claimed' })
      expect(await getTask(here.redis, town, first.taskId)).toMatchObject({
        state: 'assigned',
        tags: ['a', 'b'],
      })
    },
  )

  it('finds what stands in it by the beginning of an id, also without a record', async () => {
    const taskId = await addTask()
    await here.redis.rpush(here.town.backlog, 'abcd-nothing', 'abcd-other')
    expect(await findInBacklog(here.redis, here.town, taskId.slice(0, 8).toUpperCase())).toBe(taskId)
    expect(await findInBacklog(here.redis, here.town, 'abcd-n')).toBe('abcd-nothing')
    await expect(findInBacklog(here.redis, here.town, 'abcd')).rejects.toThrow(/2 tasks of the backlog begin/)
    await claimBacklogTask(here.redis, here.town, { taskId, agentId: lease.agentId })
    await expect(findInBacklog(here.redis, here.town, taskId)).rejects.toThrow(
      /not in the backlog: it is assigned/,
    )
    await expect(findInBacklog(here.redis, here.town, newId())).rejects.toThrow(/No task/)
  })

  it('gives a task to an agent, once', async () => {
    const taskId = await addTask()
    expect(await listBacklog(here.redis, here.town)).toMatchObject([
      { id: taskId, task: { state: 'pending' } },
    ])
    const claim = { taskId, agentId: lease.agentId }
    expect(await claimBacklogTask(here.redis, here.town, claim)).toEqual({ kind: 'claimed' })
    expect(await claimBacklogTask(here.redis, here.town, claim)).toEqual({ kind: 'taken' })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
      state: 'assigned',
      assignedTo: lease.agentId,
    })
    const [raw = ''] = await peekMail(here.redis, here.town, lease.agentId)
    expect(decodeMessage(raw)).toMatchObject({
      ok: true,
      message: { body: { type: 'task_assign', task_id: taskId } },
    })
    expect(await listBacklog(here.redis, here.town)).toEqual([])
  })

  it('gives away a task in a state that nobody knows', async () => {
    const taskId = await addTask({ state: 'dreaming' })
    expect(await claimBacklogTask(here.redis, here.town, { taskId, agentId: lease.agentId })).toEqual({
      kind: 'claimed',
    })
  })

  it('keeps what an agent that is not there asks for, and lets go of what cannot be done', async () => {
    const taskId = await addTask()
    expect(await claimBacklogTask(here.redis, here.town, { taskId, agentId: newId() })).toEqual({
      kind: 'no-agent',
    })
    expect(await listBacklog(here.redis, here.town)).toHaveLength(1)
    const ended = await addTask({ state: 'completed' })
    expect(await claimBacklogTask(here.redis, here.town, { taskId: ended, agentId: lease.agentId })).toEqual({
      kind: 'ended',
      state: 'completed',
    })
    const gone = newId()
    await here.redis.rpush(here.town.backlog, gone)
    expect((await listBacklog(here.redis, here.town)).at(-1)).toEqual({ id: gone, task: null })
    expect(await claimBacklogTask(here.redis, here.town, { taskId: gone, agentId: lease.agentId })).toEqual({
      kind: 'missing',
    })
    expect((await listBacklog(here.redis, here.town)).map(({ id }) => id)).toEqual([taskId])
    expect(await here.redis.llen(lease.agent.inbox)).toBe(0)
  })
})

describe('cancelling', () => {
  const task = { description: 'Do X', tags: [], priority: 'normal' } as const

  it('ends a task that waits, for good, and tells it', async () => {
    const { taskId } = await assignTask(here.redis, here.town, lease.agentId, task)
    expect(await cancelTask(here.redis, here.town, taskId, 'not needed')).toEqual({
      kind: 'cancelled',
      before: 'assigned',
      agentId: lease.agentId,
    })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
      state: 'cancelled',
      result: 'not needed',
      reason: 'cancelled',
    })
    expect((await claimAndStart(lease, taskId)).started).toEqual({ kind: 'ended', state: 'cancelled' })
    expect(await cancelTask(here.redis, here.town, taskId, 'again')).toEqual({
      kind: 'ended',
      state: 'cancelled',
    })
    const [event] = (await recentEvents(here.redis, here.town.events, 1)).map((placed) => placed.event)
    expect(event).toMatchObject({ event_type: 'task_failed', reason: 'cancelled', task_id: taskId })
  })

  it('wakes the worker that runs it, and its next beat sees it', async () => {
    const { taskId } = await assignTask(here.redis, here.town, lease.agentId, task)
    await claimAndStart(lease, taskId)
    const { heard, close } = await listen()
    try {
      expect(await cancelTask(here.redis, here.town, taskId, 'stop')).toMatchObject({ before: 'running' })
      await until(() => heard.includes('cancel'), 'the worker is woken')
    } finally {
      close()
    }
    expect(await pulse(lease, { state: 'working', taskId, alive: false })).toMatchObject({
      task: 'cancelled',
    })
  })

  it('takes a task off the backlog that nobody has', async () => {
    const id = newId()
    await here.redis.hset(here.town.task(id), { id, state: 'pending' })
    await here.redis.rpush(here.town.backlog, id)
    expect(await cancelTask(here.redis, here.town, id, 'no')).toMatchObject({ agentId: null })
    expect(await listBacklog(here.redis, here.town)).toEqual([])
  })

  it('takes a state that nobody knows for pending, as Tinytown does', async () => {
    const id = newId()
    await here.redis.hset(here.town.task(id), { id, state: 'dreaming' })
    expect(await cancelTask(here.redis, here.town, id, 'no')).toMatchObject({ before: 'pending' })
  })

  it('refuses a task that is not there', async () => {
    await expect(cancelTask(here.redis, here.town, newId(), 'no')).rejects.toThrow(/is gone in town/)
  })
})

describe('waiting for a message', () => {
  it('ends by itself for a user who may not ask for the number of a connection', async () => {
    const blocking = await connectAs(here, '-client|id')
    try {
      const stop = new AbortController()
      const waiting = waitForMessage(blocking, lease, 1, stop.signal)
      await until(async () => /cmd=blmove/.test(String(await here.redis.client('LIST'))), 'it is blocked')
      stop.abort()
      expect(await waiting).toBe(false)
      await sendMessage(here.redis, here.town, message('one'))
      expect(await waitForMessage(blocking, lease, 1)).toBe(true)
    } finally {
      blocking.disconnect()
    }
  })
})
