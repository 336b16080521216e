import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { decodeMessage } from '../../src/domain/message.ts'
import {
  findAgent,
  getAgent,
  leaveTown,
  listAgents,
  registerAgent,
  setAgentState,
} from '../../src/store/agents.ts'
import { listDeadLetters } from '../../src/store/dead-letters.ts'
import { recentEvents } from '../../src/store/events.ts'
import { acknowledgeMessage, claimMessage, putAsideMessage } from '../../src/store/inbox.ts'
import { type Lease, pulse } from '../../src/store/lease.ts'
import { assignTask, getTask, releaseTask, retryTask, settleTask, startTask } from '../../src/store/tasks.ts'
import { settlement, useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()

const { register, assign, claimed, claimAndStart } = useWorker(here)

describe('registering', () => {
  it('writes a record that tt can read', async () => {
    const lease = await register()
    const record = await here.redis.hgetall(lease.agent.record)
    expect(record).toMatchObject({
      id: lease.agentId,
      name: 'worker-1',
      agent_type: 'worker',
      state: 'idle',
      cli: 'demo',
      role_id: 'backend',
      tasks_completed: '0',
      rounds_completed: '0',
      spawn_mode: 'fresh',
    })
    expect(Math.abs(Date.parse(record.created_at ?? '') - Date.now())).toBeLessThan(60_000)
    expect(record.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/)
  })

  it('says who holds a name that is in use', async () => {
    await register()
    const again = await registerAgent(here.redis, here.town, {
      name: 'Worker-1',
      cli: 'demo',
      role: undefined,
      leaseMs: 1000,
      extra: {},
    })
    expect(again).toMatchObject({ kind: 'held', host: 'box', pid: '42' })
  })

  it('gives the same name the same id again', async () => {
    const first = await register()
    await leaveTown(first, 'bye')
    expect((await register()).agentId).toBe(first.agentId)
  })

  it('takes the id of a record that tt spawn made', async () => {
    const id = newId()
    await here.redis.hset(here.town.agent(id).record, { id, name: 'worker-1', state: 'stopped' })
    expect((await register()).agentId).toBe(id)
  })

  it('ends two first registrations of one name with one id and one holder', async () => {
    const who = { name: 'w', cli: 'demo', role: undefined, leaseMs: 30_000, extra: {} }
    const both = await Promise.all([
      registerAgent(here.redis, here.town, who),
      registerAgent(here.redis, here.town, who),
    ])
    expect(both.map(({ kind }) => kind).sort()).toEqual(['held', 'registered'])
    expect(await listAgents(here.redis, here.town)).toHaveLength(1)
  })

  it('leaves a paused agent paused', async () => {
    const lease = await register()
    await leaveTown(lease, 'bye')
    await here.redis.hset(lease.agent.record, 'state', 'paused')
    const who = { name: 'worker-1', cli: 'demo', role: undefined, leaseMs: 30_000, extra: {} }
    await registerAgent(here.redis, here.town, who)
    expect((await getAgent(here.redis, here.town, lease.agentId))?.state).toBe('paused')
  })
})

describe('assigning', () => {
  it('writes the task before its message and both in a form that can be read', async () => {
    const lease = await register()
    const taskId = await assign(lease, 'Refactor "x"\nline 2 — ü')
    const [raw = ''] = await here.redis.lrange(lease.agent.inbox, 0, -1)
    const decoded = decodeMessage(raw)
    expect(decoded).toMatchObject({
      ok: true,
      message: { from: SUPERVISOR_ID, to: lease.agentId, body: { type: 'task_assign', task_id: taskId } },
    })
    expect(JSON.parse(raw).created_at).toMatch(/Z$/)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
      description: 'Refactor "x"\nline 2 — ü',
      state: 'assigned',
      assignedTo: lease.agentId,
      tags: ['a'],
    })
  })
})

describe('the way of a task', () => {
  it('goes from assigned to running to completed and leaves nothing in flight', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest, started } = await claimAndStart(lease, taskId)
    expect(started).toMatchObject({ kind: 'started', attempt: 1, task: { state: 'running', tags: ['a'] } })
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({
      state: 'working',
      currentTask: taskId,
    })
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({ kind: 'ok' })
    const task = await getTask(here.redis, here.town, taskId)
    expect(task).toMatchObject({ state: 'completed', result: 'ok', toolCalls: 2 })
    expect(Date.parse(task?.completedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(task?.startedAt ?? ''))
    const agent = await getAgent(here.redis, here.town, lease.agentId)
    expect(agent).toMatchObject({ state: 'idle', tasksCompleted: 1, roundsCompleted: 1 })
    expect(agent?.currentTask).toBeUndefined()
    expect(await here.redis.exists(lease.agent.inFlight, lease.agent.inbox)).toBe(0)
    const events = await recentEvents(here.redis, here.town.events, 10)
    expect(events.map(({ event }) => event.event_type)).toEqual([
      'agent_spawned',
      'agent_state_changed',
      'task_assigned',
      'agent_state_changed',
      'task_completed',
    ])
  })

  it('hands a claimed message over again until it is settled', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    await assign(lease)
    const first = await claimMessage(lease)
    expect(await claimMessage(lease)).toEqual(first)
    expect(await here.redis.llen(lease.agent.inFlight)).toBe(1)
    expect(first).toMatchObject({ kind: 'message', raw: expect.stringContaining(taskId) })
  })

  it('takes urgent messages before the inbox', async () => {
    const lease = await register()
    await here.redis.rpush(lease.agent.inbox, 'later')
    await here.redis.lpush(lease.agent.urgent, 'first')
    expect(await claimMessage(lease)).toMatchObject({ kind: 'message', raw: 'first' })
  })

  it('counts a start once when it is repeated with the same start id', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId, 'same')
    const again = await startTask(lease, { digest, taskId, startId: 'same', cli: 'demo' })
    expect(again).toMatchObject({ kind: 'started', attempt: 1 })
    const next = await startTask(lease, { digest, taskId, startId: 'other', cli: 'demo' })
    expect(next).toMatchObject({ kind: 'started', attempt: 2 })
  })

  it('settles once when the settle is repeated', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    const end = settlement(digest, taskId)
    expect(await settleTask(lease, end)).toMatchObject({ kind: 'ok' })
    expect(await settleTask(lease, end)).toMatchObject({ kind: 'ok' })
    expect((await getAgent(here.redis, here.town, lease.agentId))?.tasksCompleted).toBe(1)
  })

  it('keeps the end that the CLI wrote itself', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    await here.redis.hset(here.town.task(taskId), { state: 'completed', result: 'by tt' })
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({
      kind: 'ended',
      state: 'completed',
    })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ result: 'by tt', toolCalls: 2 })
    expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
  })

  it('does not make a deleted task again', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    await here.redis.del(here.town.task(taskId))
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({ kind: 'gone' })
    expect(await here.redis.exists(here.town.task(taskId))).toBe(0)
  })

  it.each(['completed', 'failed', 'cancelled'])('24: does not start a task that is %s', async (state) => {
    const lease = await register()
    const taskId = await assign(lease)
    await here.redis.hset(here.town.task(taskId), { state })
    const { started } = await claimAndStart(lease, taskId)
    expect(started).toMatchObject({ kind: 'ended', state })
    expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
  })

  it('does not start a task that another live worker runs, and takes over from a dead one', async () => {
    const [mine, other] = [await register('a'), await register('b')]
    const taskId = await assign(mine)
    await here.redis.hset(here.town.task(taskId), { state: 'running', assigned_to: other.agentId })
    const { started } = await claimAndStart(mine, taskId)
    expect(started).toEqual({ kind: 'elsewhere', agentId: other.agentId })
    await here.redis.del(other.agent.lease)
    await here.redis.rpush(mine.agent.inbox, 'again')
    const { started: again } = await claimAndStart(mine, taskId)
    expect(again).toMatchObject({ kind: 'started', task: { assignedTo: mine.agentId } })
  })

  it('does not start a task whose message is in flight no more: the reply that said so got lost', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimed(lease)
    await here.redis.del(lease.agent.inFlight)
    const start = { digest, taskId, startId: newId(), cli: 'demo' }
    expect(await startTask(lease, start)).toEqual({ kind: 'duplicate' })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'assigned' })
  })

  it('makes a record for a message that carries its own text', async () => {
    const lease = await register()
    const taskId = newId()
    await here.redis.rpush(lease.agent.inbox, 'm')
    const { digest } = await claimed(lease)
    const start = { digest, taskId, startId: newId(), cli: 'demo' }
    expect(await startTask(lease, start)).toEqual({ kind: 'missing' })
    expect(await startTask(lease, { ...start, description: 'Say hi' })).toMatchObject({
      kind: 'started',
      task: { description: 'Say hi', state: 'running' },
    })
  })

  it('gives a task back at the head of the inbox, uncounted, with its session', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { raw, digest } = await claimAndStart(lease, taskId)
    const later = await assign(lease)
    const back = {
      digest,
      taskId,
      releaseId: newId(),
      agentState: 'draining',
      counted: true,
      sessionId: 's-1',
    } as const
    await releaseTask(lease, { ...back, message: 'shutdown' })
    await releaseTask(lease, { ...back, message: 'shutdown' })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
      state: 'assigned',
      attempts: 0,
      sessionId: 's-1',
    })
    const inbox = await here.redis.lrange(lease.agent.inbox, 0, -1)
    expect(inbox).toEqual([raw, expect.stringContaining(later)])
  })

  it('keeps what cannot be run in the dead letters with its text', async () => {
    const lease = await register()
    await here.redis.rpush(lease.agent.inbox, '{broken')
    const message = await claimed(lease)
    const id = (await putAsideMessage(lease, message, { reason: 'bad-task', detail: 'not JSON' })) ?? ''
    expect(await putAsideMessage(lease, message, { reason: 'bad-task', detail: 'not JSON' })).toBeNull()
    const [entry] = (await here.redis.xrange(here.town.deadLetters, id, id)) as [string, string[]][]
    expect(entry?.[1]).toEqual(
      expect.arrayContaining(['message', '{broken', 'reason', 'bad-task', 'agent', 'worker-1']),
    )
    expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
  })

  it('knows a message whose bytes are no UTF-8, and keeps them as they are', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const bytes = Buffer.from([0xff, 0xfe, 0x20, 0x6e])
    await here.redis.lpush(lease.agent.inbox, bytes)
    const id =
      (await putAsideMessage(lease, await claimed(lease), { reason: 'bad-task', detail: 'not JSON' })) ?? ''
    const [entry] = await here.redis.xrangeBuffer(here.town.deadLetters, id, id)
    expect(entry?.[1]?.some((field) => field.equals(bytes))).toBe(true)
    const { started, digest } = await claimAndStart(lease, taskId)
    expect(started.kind).toBe('started')
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({ kind: 'ok' })
    expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
  })

  it('settles a task also where its answer, event and activity cannot be pushed', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    const asker = newId()
    for (const key of [here.town.agent(asker).inbox, lease.agent.events, lease.agent.activity]) {
      await here.redis.del(key)
      await here.redis.set(key, 'no list and no stream')
    }
    const end = settlement(digest, taskId, { reply: { to: asker, raw: '{}' } })
    expect(await settleTask(lease, end)).toMatchObject({ kind: 'ok' })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'completed' })
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ state: 'idle' })
  })

  it('keeps a note until a settled run has used it', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    await here.redis.lpush(lease.agent.inbox, 'info')
    await acknowledgeMessage(lease, await claimed(lease), { note: 'the API moved' })
    const { digest, started } = await claimAndStart(lease, taskId)
    expect(started).toMatchObject({ notes: ['the API moved'] })
    await here.redis.rpush(lease.agent.notes, 'came later')
    await settleTask(lease, settlement(digest, taskId, { notesUsed: 1 }))
    expect(await here.redis.lrange(lease.agent.notes, 0, -1)).toEqual(['came later'])
  })
})

describe('what has no end of its own', () => {
  it('keeps the newest 1000 notes, and tells how many went', async () => {
    const lease = await register()
    await here.redis.rpush(lease.agent.notes, ...Array.from({ length: 1001 }, (_, index) => `old ${index}`))
    await here.redis.lpush(lease.agent.inbox, 'info')
    expect(await acknowledgeMessage(lease, await claimed(lease), { note: 'new' })).toEqual({
      kind: 'ok',
      forgotten: 2,
    })
    const notes = await here.redis.lrange(lease.agent.notes, 0, -1)
    expect([notes.length, notes[0], notes.at(-1)]).toEqual([1000, 'old 2', 'new'])
    await here.redis.lpush(lease.agent.inbox, 'info')
    expect(await acknowledgeMessage(lease, await claimed(lease))).toEqual({ kind: 'ok', forgotten: 0 })
  })

  it('keeps 10,000 dead letters', async () => {
    const lease = await register()
    const letters = here.redis.pipeline()
    for (let count = 0; count < 10_200; count += 1) letters.xadd(here.town.deadLetters, '*', 'message', 'x')
    await letters.exec()
    await putAside(lease, 'newest')
    // The server drops whole nodes of a hundred.
    expect(await here.redis.xlen(here.town.deadLetters)).toBeLessThanOrEqual(10_100)
    expect((await listDeadLetters(here.redis, here.town, 1))[0]).toMatchObject({ message: 'newest' })
  })

  it('lets no more than 64 MiB of dead letters stand in Redis: the oldest go', async () => {
    const lease = await register()
    const big = 'x'.repeat(10_000_000)
    await putAside(lease, 'first')
    for (let count = 1; count <= 8; count += 1) await putAside(lease, `${count}${big}`)
    const size = await here.redis.memory('USAGE', here.town.deadLetters, 'SAMPLES', 0)
    expect(size).toBeLessThanOrEqual(64 * 1024 * 1024)
    const left = await listDeadLetters(here.redis, here.town)
    expect(left.map(({ message }) => message[0]).join('')).toBe('345678')
  })

  it('keeps the newest dead letter whole, whatever its size', async () => {
    const lease = await register()
    await putAside(lease, 'first')
    const huge = 'x'.repeat(70_000_000)
    await putAside(lease, huge)
    const left = await listDeadLetters(here.redis, here.town)
    expect(left.map(({ message }) => message.length)).toEqual([huge.length])
  })

  async function putAside(lease: Lease, text: string): Promise<void> {
    await here.redis.lpush(lease.agent.inbox, text)
    const why = { reason: 'bad-task', detail: 'unreadable' } as const
    expect(await putAsideMessage(lease, await claimed(lease), why)).not.toBeNull()
  }
})

describe('fencing', () => {
  it('refuses every write of a worker whose lease another one took', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { raw, digest } = await claimAndStart(lease, taskId)
    await here.redis.set(lease.agent.lease, 'somebody else')
    const before = await here.redis.hgetall(here.town.task(taskId))
    const writes = [
      () => claimMessage(lease),
      () => startTask(lease, { digest, taskId, startId: newId(), cli: 'demo' }),
      () => settleTask(lease, settlement(digest, taskId)),
      () =>
        releaseTask(lease, {
          digest,
          taskId,
          releaseId: newId(),
          agentState: 'idle',
          counted: true,
          message: '',
        }),
      () => acknowledgeMessage(lease, { raw, digest }),
      () => putAsideMessage(lease, { digest }, { reason: 'bad-task', detail: '' }),
      () => pulse(lease, { state: 'working', taskId, alive: true }),
      () => setAgentState(lease, { state: 'idle', message: '' }),
      () => leaveTown(lease, ''),
    ]
    for (const write of writes) await expect(write()).rejects.toThrow('The lease of this agent is lost')
    expect(await here.redis.hgetall(here.town.task(taskId))).toEqual(before)
    expect(await here.redis.lrange(lease.agent.inFlight, 0, -1)).toEqual([raw])
  })
})

describe('the heartbeat', () => {
  it('takes a lease again that only ran out, and every write does', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    await here.redis.del(lease.agent.lease)
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({ kind: 'ok' })
    expect(await here.redis.get(lease.agent.lease)).toBe(lease.token)
  })

  it('does not take a lease again that another worker held and left meanwhile', async () => {
    const lease = await register()
    await here.redis.del(lease.agent.lease)
    await leaveTown(await register(), 'bye')
    await expect(pulse(lease, { state: 'idle', taskId: null, alive: true })).rejects.toThrow('lost')
  })

  it('says that Redis lost its data when nothing tells of a registration', async () => {
    const lease = await register()
    await here.redis.del(lease.agent.lease, lease.agent.owner, lease.agent.record)
    await expect(pulse(lease, { state: 'idle', taskId: null, alive: true })).rejects.toThrow('does not know')
  })

  it('says that Redis lost its data when what it has is older than this registration', async () => {
    const before = await register()
    const old = await here.redis.get(before.agent.owner)
    await leaveTown(before, 'bye')
    const lease = await register()
    // As with a server that read a snapshot of an hour ago.
    await here.redis.del(lease.agent.lease)
    await here.redis.set(lease.agent.owner, old ?? '')
    await expect(pulse(lease, { state: 'idle', taskId: null, alive: true })).rejects.toThrow('does not know')
    await here.redis.set(lease.agent.lease, 'an old token')
    await expect(pulse(lease, { state: 'idle', taskId: null, alive: true })).rejects.toThrow('does not know')
  })

  it('keeps what waits for its next attempt, however long that takes', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    await here.redis.zadd(lease.agent.delayed, 1, 'of an older version')
    await here.redis.expire(lease.agent.delayed, 60)
    const again = { retryId: newId(), delayMs: 60_000, reason: 'exit', extras: {} } as const
    await retryTask(lease, { ...again, digest, taskId, eventMessage: '', activity: '' })
    expect(await here.redis.ttl(lease.agent.delayed)).toBe(-1)
  })

  it('leaves nothing of an agent for ever but its record, its mail and its name', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    await here.redis.lpush(lease.agent.inbox, 'info')
    await acknowledgeMessage(lease, await claimed(lease), { note: 'the API moved' })
    const { digest } = await claimAndStart(lease, taskId)
    await settleTask(lease, settlement(digest, taskId))
    await pulse(lease, { state: 'idle', taskId: null, alive: true })
    await leaveTown(lease, 'bye')
    const own = await here.redis.keys(`${here.town.base}:worker:${lease.agentId}:*`)
    expect(own.length).toBeGreaterThan(2)
    for (const key of own) expect({ key, ttl: (await here.redis.ttl(key)) > 0 }).toEqual({ key, ttl: true })
  })

  it('takes a second goodbye, whose first reply got lost, for the same', async () => {
    const lease = await register()
    expect(await leaveTown(lease, 'bye')).toBe(0)
    const events = await here.redis.xlen(lease.agent.events)
    expect(await leaveTown(lease, 'bye')).toBe(0)
    expect(await here.redis.xlen(lease.agent.events)).toBe(events)
  })

  it.each(['stopped', 'idle', 'starting'])(
    'puts %s right while a run is in hand, with any beat',
    async (state) => {
      const lease = await register()
      await here.redis.hset(lease.agent.record, 'state', state)
      const beat = await pulse(lease, { state: 'working', taskId: null, alive: false })
      expect(beat).toMatchObject({ state: 'working' })
      expect((await getAgent(here.redis, here.town, lease.agentId))?.state).toBe('working')
    },
  )

  it('does not call an agent working whose run was settled while the beat was on its way', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId, 'this-start')
    const beat = { state: 'working', taskId, startId: 'this-start', alive: true } as const
    await here.redis.hset(lease.agent.record, 'state', 'idle')
    expect(await pulse(lease, beat)).toMatchObject({ state: 'working' })
    await settleTask(lease, settlement(digest, taskId))
    expect(await pulse(lease, beat)).toMatchObject({ state: 'idle' })
  })

  it('puts a state right that a stale read brought back', async () => {
    const lease = await register()
    await here.redis.hset(lease.agent.record, 'state', 'stopped')
    await pulse(lease, { state: 'idle', taskId: null, alive: true })
    expect((await getAgent(here.redis, here.town, lease.agentId))?.state).toBe('idle')
  })

  it('leaves a pause alone and tells it', async () => {
    const lease = await register()
    await here.redis.hset(lease.agent.record, 'state', 'paused')
    const beat = await pulse(lease, { state: 'idle', taskId: null, alive: true })
    expect(beat).toMatchObject({ kind: 'ok', state: 'paused', stopRequested: false, task: null })
    expect(await claimMessage(lease)).toEqual({ kind: 'paused' })
  })

  it('tells a stop and says draining while the worker still works', async () => {
    const lease = await register()
    await here.redis
      .multi()
      .setex(lease.agent.stop, 3600, '1')
      .hset(lease.agent.record, 'state', 'stopped')
      .exec()
    const beat = await pulse(lease, { state: 'working', taskId: null, alive: true })
    expect(beat).toMatchObject({ state: 'draining', stopRequested: true })
    expect(await claimMessage(lease)).toEqual({ kind: 'stopping' })
  })

  it('does not make a pruned record again', async () => {
    const lease = await register()
    await here.redis.del(lease.agent.record)
    expect(await pulse(lease, { state: 'idle', taskId: null, alive: true })).toEqual({ kind: 'evicted' })
    await leaveTown(lease, 'bye')
    expect(await here.redis.exists(lease.agent.record)).toBe(0)
  })

  it('tells that the task was cancelled', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    await claimAndStart(lease, taskId)
    await here.redis.hset(here.town.task(taskId), 'state', 'cancelled')
    expect(await pulse(lease, { state: 'working', taskId, alive: true })).toMatchObject({ task: 'cancelled' })
  })
})

describe('leaving', () => {
  it('gives what is in flight back in its order and writes stopped', async () => {
    const lease = await register()
    await here.redis.rpush(lease.agent.inFlight, 'one', 'two')
    await here.redis.rpush(lease.agent.inbox, 'three')
    expect(await leaveTown(lease, 'bye')).toBe(2)
    expect(await here.redis.lrange(lease.agent.inbox, 0, -1)).toEqual(['one', 'two', 'three'])
    expect(await here.redis.exists(lease.agent.lease, lease.agent.inFlight)).toBe(0)
    expect((await getAgent(here.redis, here.town, lease.agentId))?.state).toBe('stopped')
  })
})

describe('leaving while the agent is paused', () => {
  it('leaves the pause to the next worker of the name', async () => {
    const lease = await register()
    await here.redis.hset(lease.agent.record, 'state', 'paused')
    await leaveTown(lease, 'bye')
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ state: 'paused' })
    const { agentId } = await register()
    expect(agentId).toBe(lease.agentId)
  })

  it('is stopped where somebody asked for that', async () => {
    const lease = await register()
    await here.redis.hset(lease.agent.record, 'state', 'paused')
    await here.redis.set(lease.agent.stop, '1')
    await leaveTown(lease, 'bye')
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ state: 'stopped' })
  })
})

describe('finding an agent', () => {
  it.each(['worker-1', 'WORKER-1', 'id', 'short'])('by %s', async (how) => {
    const lease = await register()
    const reference =
      how === 'id' ? lease.agentId.toUpperCase() : how === 'short' ? lease.agentId.slice(0, 4) : how
    expect((await findAgent(here.redis, here.town, reference)).id).toBe(lease.agentId)
  })

  it('names the agents that exist when there is none of that name', async () => {
    await register()
    await expect(findAgent(here.redis, here.town, 'nobody')).rejects.toMatchObject({
      message: expect.stringMatching(/^No agent "nobody" in town town-\d+$/),
      remedy: 'Known agents: worker-1',
    })
  })

  it('names the candidates when more than one is meant', async () => {
    for (const id of [newId(), newId()])
      await here.redis.hset(here.town.agent(id).record, { id, name: 'twin' })
    await expect(findAgent(here.redis, here.town, 'twin')).rejects.toThrow(
      /more than one agent: twin \(.*\), twin \(/,
    )
  })
})

describe('a name and its agents', () => {
  const who = { name: 'worker-1', cli: 'demo', role: undefined, leaseMs: 30_000, extra: {} }

  it('belongs to the live record when the record that had it is gone', async () => {
    const first = await register()
    await leaveTown(first, 'bye')
    await here.redis.del(first.agent.record)
    const id = newId()
    await here.redis.hset(here.town.agent(id).record, { id, name: 'Worker-1', state: 'stopped' })
    expect((await register()).agentId).toBe(id)
    expect(await here.redis.hget(here.town.names, 'worker-1')).toBe(id)
    expect(await listAgents(here.redis, here.town)).toHaveLength(1)
  })

  it('keeps its inbox when there is no record of it at all', async () => {
    const first = await register()
    const taskId = await assign(first)
    await here.redis.del(first.agent.lease, first.agent.record)
    const second = await register()
    expect(second.agentId).toBe(first.agentId)
    expect(await claimMessage(second)).toMatchObject({ raw: expect.stringContaining(taskId) })
  })

  it('is taken at once from a holder that is dead, with the task that it had', async () => {
    const dead = { host: 'box', pid: 42, pid_started: 'then' }
    const first = await registerAgent(here.redis, here.town, { ...who, extra: dead })
    if (first.kind !== 'registered') throw new Error('held')
    const taskId = await assign(first.lease)
    await claimMessage(first.lease)
    const asked: object[] = []
    const isGone = async (holder: object) => {
      asked.push(holder)
      return true
    }
    const second = await registerAgent(here.redis, here.town, { ...who, isGone })
    expect(asked).toEqual([{ host: 'box', pid: '42', startedAt: 'then' }])
    if (second.kind !== 'registered') throw new Error('held')
    expect(second.lease.agentId).toBe(first.lease.agentId)
    expect(await claimMessage(second.lease)).toMatchObject({ raw: expect.stringContaining(taskId) })
    await expect(claimMessage(first.lease)).rejects.toThrow()
    expect(await here.redis.hexists(second.lease.agent.record, 'pid_started')).toBe(0)
  })

  it('is not taken from a holder that lives, nor from one that took it meanwhile', async () => {
    const first = await register()
    const isGone = async () => false
    expect(await registerAgent(here.redis, here.town, { ...who, isGone })).toMatchObject({ kind: 'held' })
    let asked = 0
    const tooLate = async () => {
      asked += 1
      if (asked === 1) await here.redis.set(first.agent.lease, 'another')
      return asked === 1
    }
    expect(await registerAgent(here.redis, here.town, { ...who, isGone: tooLate })).toMatchObject({
      kind: 'held',
    })
    expect(await here.redis.get(first.agent.lease)).toBe('another')
  })
})

describe('an assignment whose reply got lost', () => {
  it('is made once and told as made', async () => {
    const lease = await register()
    // As ioredis does after a reconnect: the same command once more.
    const twice = here.redis.duplicate()
    try {
      const evalsha = twice.evalsha.bind(twice) as (...args: unknown[]) => Promise<unknown>
      const again = async (...args: unknown[]) => {
        await evalsha(...args)
        return await evalsha(...args)
      }
      Object.assign(twice, { evalsha: again })
      const task = { description: 'Do X', tags: [], priority: 'normal' } as const
      const assigned = await assignTask(twice, here.town, lease.agentId, task)
      expect(assigned).toMatchObject({ agentState: 'idle', waiting: 1 })
      expect(await getTask(here.redis, here.town, assigned.taskId)).toMatchObject({ state: 'assigned' })
      expect(await here.redis.llen(lease.agent.inbox)).toBe(1)
    } finally {
      twice.disconnect()
    }
  })
})
