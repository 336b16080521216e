import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { getAgent, leaveTown, setAgentState } from '../../src/store/agents.ts'
import { recentEvents } from '../../src/store/events.ts'
import { acknowledgeMessage, claimMessage, pluckMessage } from '../../src/store/inbox.ts'
import { Forgotten, type Lease, pulse } from '../../src/store/lease.ts'
import { cancelTask, getTask, releaseTask, settleTask, startTask } from '../../src/store/tasks.ts'
import { settlement, useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()
const { register, assign, claimed, claimAndStart } = useWorker(here)

const setTask = (id: string, fields: Record<string, string>) => here.redis.hset(here.town.task(id), fields)

async function runInHand(lease: Lease) {
  const taskId = await assign(lease)
  return { taskId, digest: (await claimAndStart(lease, taskId)).digest }
}

async function eventTypes(): Promise<string[]> {
  return (await recentEvents(here.redis, here.town.events, 100)).map(({ event }) => event.event_type)
}

describe('a task state that somebody wrote during the run', () => {
  it.each(['pending', 'assigned', 'in_flight', 'doing', ''])('%j gives way to the result', async (state) => {
    const lease = await register()
    const { taskId, digest } = await runInHand(lease)
    await setTask(taskId, { state })
    expect(await settleTask(lease, settlement(digest, taskId, { result: 'THE RESULT' }))).toMatchObject({
      kind: 'ok',
    })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
      state: 'completed',
      result: 'THE RESULT',
    })
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ tasksCompleted: 1 })
  })

  it.each(['pending', 'in_flight', 'doing'])('%j is put right when the task is given back', async (state) => {
    const lease = await register()
    const { taskId, digest } = await runInHand(lease)
    await setTask(taskId, { state })
    const back = {
      digest,
      taskId,
      releaseId: newId(),
      agentState: 'idle',
      counted: true,
      message: 'back',
    } as const
    await releaseTask(lease, back)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'assigned', attempts: 0 })
  })

  it.each(['completed', 'failed', 'cancelled'])('%s stands', async (state) => {
    const lease = await register()
    const { taskId, digest } = await runInHand(lease)
    await setTask(taskId, { state, result: 'theirs' })
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({ kind: 'ended', state })
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({
      state,
      result: 'theirs',
      toolCalls: 2,
    })
  })

  it('running for another agent is left to that one, with everything that it writes', async () => {
    const [lease, other] = [await register('one'), await register('two')]
    const { taskId, digest } = await runInHand(lease)
    await setTask(taskId, { assigned_to: other.agentId, result: 'not yet' })
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({
      kind: 'ended',
      state: 'running',
    })
    const task = await getTask(here.redis, here.town, taskId)
    expect(task).toMatchObject({ state: 'running', assignedTo: other.agentId, result: 'not yet' })
    expect(task?.toolCalls).toBeUndefined()
    expect(await claimMessage(lease)).toMatchObject({ kind: 'empty' })
  })
})

describe.each(['failed', 'cancelled', 'running'] as const)(
  'a task that another agent was given during a run that %s',
  (state) => {
    it('is left to that one, with the message taken and the agent idle', async () => {
      const [lease, other] = [await register('one'), await register('two')]
      const { taskId, digest } = await runInHand(lease)
      await setTask(taskId, { state: 'assigned', assigned_to: other.agentId, delivery: 'at-most-once' })
      const end = settlement(digest, taskId, { state, reason: 'exit', bury: 'it is broken' })
      expect(await settleTask(lease, end)).toMatchObject({ kind: 'ended', state: 'assigned', rounds: 1 })
      const task = await getTask(here.redis, here.town, taskId)
      expect(task).toMatchObject({ state: 'assigned', assignedTo: other.agentId })
      expect(task).not.toHaveProperty('toolCalls')
      expect(await here.redis.hget(here.town.task(taskId), 'delivery')).toBe('at-most-once')
      expect(await here.redis.exists(here.town.deadLetters, lease.agent.inFlight)).toBe(0)
      expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ state: 'idle' })
      expect(await eventTypes()).not.toContain('task_failed')
    })
  },
)

describe('a cancel', () => {
  it('is told once', async () => {
    const lease = await register()
    const { taskId, digest } = await runInHand(lease)
    await cancelTask(here.redis, here.town, taskId, 'stop it')
    const end = settlement(digest, taskId, { state: 'cancelled', result: 'Cancelled', reason: 'cancelled' })
    expect(await settleTask(lease, end)).toMatchObject({ kind: 'ended', state: 'cancelled' })
    expect((await eventTypes()).filter((type) => type === 'task_failed')).toHaveLength(1)
  })

  it('that nobody told is told with the end of the run', async () => {
    const lease = await register()
    const { taskId, digest } = await runInHand(lease)
    await setTask(taskId, { state: 'cancelled' })
    await settleTask(lease, settlement(digest, taskId, { state: 'cancelled', reason: 'cancelled' }))
    expect((await eventTypes()).filter((type) => type === 'task_failed')).toHaveLength(1)
  })
})

describe('that a task was assigned', () => {
  const toldOf = async () => (await eventTypes()).filter((type) => type === 'task_assigned')

  it('is told once by our own assign', async () => {
    await runInHand(await register())
    expect(await toldOf()).toHaveLength(1)
  })

  it('is told by the start where tt assigned it, and not again when it is taken up', async () => {
    const lease = await register()
    const taskId = newId()
    await setTask(taskId, { id: taskId, description: 'Do X', state: 'assigned', assigned_to: lease.agentId })
    await here.redis.rpush(lease.agent.inbox, 'x')
    const { digest } = await claimAndStart(lease, taskId)
    expect(await eventTypes()).toEqual([
      'agent_spawned',
      'agent_state_changed',
      'task_assigned',
      'agent_state_changed',
    ])
    await startTask(lease, { digest, taskId, startId: newId(), cli: 'demo' })
    expect(await toldOf()).toHaveLength(1)
  })
})

describe('the answer that goes out with a settle', () => {
  it('is asked for again when it tells of another end than the one that stands', async () => {
    const lease = await register()
    const { taskId, digest } = await runInHand(lease)
    await setTask(taskId, { state: 'completed', result: 'BY THE CHILD' })
    const end = settlement(digest, taskId, { state: 'failed', reply: { to: SUPERVISOR_ID, raw: 'failed' } })
    expect(await settleTask(lease, end)).toEqual({ kind: 'reread', state: 'completed' })
    const mailbox = here.town.agent(SUPERVISOR_ID).inbox
    expect(await here.redis.lrange(mailbox, 0, -1)).toEqual([])
    const again = { ...end, reply: { to: SUPERVISOR_ID, raw: 'BY THE CHILD', tellsOf: 'completed' } } as const
    expect(await settleTask(lease, again)).toMatchObject({ kind: 'ended', state: 'completed' })
    expect(await here.redis.lrange(mailbox, 0, -1)).toEqual(['BY THE CHILD'])
  })
})

describe('notes', () => {
  async function note(lease: Lease, text: string): Promise<void> {
    await here.redis.rpush(lease.agent.inbox, text)
    await acknowledgeMessage(lease, await claimed(lease), { note: text })
  }

  it('of a run that failed are told to the next one', async () => {
    const lease = await register()
    await note(lease, 'NEWS')
    const first = await assign(lease)
    const { digest } = await claimAndStart(lease, first)
    await settleTask(lease, settlement(digest, first, { state: 'failed', notesUsed: 1 }))
    const second = await claimAndStart(lease, await assign(lease))
    expect(second.started).toMatchObject({ notes: ['NEWS'] })
  })

  it('do not make a prompt long: some are handed over, with the number of the others', async () => {
    const lease = await register()
    await here.redis.rpush(
      lease.agent.notes,
      ...Array.from({ length: 500 }, (_, at) => `${at} ${'x'.repeat(1000)}`),
    )
    const { started } = await claimAndStart(lease, await assign(lease))
    if (started.kind !== 'started') throw new Error(started.kind)
    expect(started.notes[0]).toMatch(/^0 /)
    expect(started.notes.join('').length).toBeLessThanOrEqual(32 * 1024)
    expect(started.notes.length + started.notesLeft).toBe(500)
  })

  it('that are no list keep no task from its run, and a message that would be one goes to the dead letters', async () => {
    const lease = await register()
    await here.redis.set(lease.agent.notes, 'no list')
    const { digest, started } = await claimAndStart(lease, await assign(lease))
    expect(started).toMatchObject({ kind: 'started', notes: [], notesLeft: 0 })
    const taskId = started.kind === 'started' ? started.task.id : ''
    expect(await settleTask(lease, settlement(digest, taskId, { notesUsed: 1 }))).toMatchObject({
      kind: 'ok',
    })
    await here.redis.rpush(lease.agent.inbox, 'news')
    const claim = await claimed(lease)
    expect(await acknowledgeMessage(lease, claim, { note: 'news' })).toEqual({
      kind: 'no-notes',
      type: 'string',
    })
    expect(await claimed(lease)).toEqual(claim)
  })
})

describe('a pause', () => {
  it('gives back what a wait took while it was written, where everybody sees it', async () => {
    const lease = await register()
    await here.redis.rpush(lease.agent.inFlight, '{"type":"ping"}', 'two')
    await here.redis.rpush(lease.agent.inbox, 'three')
    await setAgentState(lease, { state: 'paused', message: 'paused' })
    expect(await claimMessage(lease)).toEqual({ kind: 'paused' })
    expect(await here.redis.lrange(lease.agent.inbox, 0, -1)).toEqual(['{"type":"ping"}', 'two', 'three'])
    expect(await pluckMessage(lease, ['ping'], { head: 9, tail: 9 })).toMatchObject({
      raw: '{"type":"ping"}',
    })
  })
})

describe('an agent record', () => {
  const beat = { state: 'idle', taskId: null, alive: true } as const

  it('that lost its id alone gets it back', async () => {
    const lease = await register()
    await here.redis.hdel(lease.agent.record, 'id')
    expect(await pulse(lease, beat)).toMatchObject({ kind: 'ok' })
    await here.redis.hdel(lease.agent.record, 'id')
    expect(await claimMessage(lease)).toMatchObject({ kind: 'empty' })
    expect(await here.redis.hget(lease.agent.record, 'id')).toBe(lease.agentId)
  })

  it('that a late write left behind is no agent', async () => {
    const lease = await register()
    await here.redis.del(lease.agent.record)
    await here.redis.hset(lease.agent.record, { state: 'idle' })
    expect(await pulse(lease, beat)).toEqual({ kind: 'evicted' })
    expect(await claimMessage(lease)).toEqual({ kind: 'evicted' })
  })

  async function afterRound() {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    await settleTask(lease, settlement(digest, taskId))
    return lease
  }

  it('whose rounds a late write set back is gone on with', async () => {
    const lease = await afterRound()
    await here.redis.hset(lease.agent.record, 'rounds_completed', '1')
    expect(await claimMessage(lease, 2)).toEqual({ kind: 'empty', rounds: 1, delayed: 0 })
  })

  it.each(['not there', 'an older one'])(
    'whose rounds are 0 again while the receipt is %s is one of a Redis that lost data',
    async (what) => {
      const lease = await afterRound()
      await here.redis.hset(lease.agent.record, 'rounds_completed', '0')
      if (what === 'not there') await here.redis.del(lease.agent.receipt)
      else await here.redis.set(lease.agent.receipt, newId())
      await expect(claimMessage(lease, 1)).rejects.toThrow(Forgotten)
    },
  )

  it('whose rounds are 0 again after a task that was given back is the one of another worker', async () => {
    const lease = await afterRound()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    const back = {
      digest,
      taskId,
      releaseId: newId(),
      agentState: 'idle',
      counted: true,
      message: 'back',
    } as const
    await releaseTask(lease, back)
    await here.redis.hset(lease.agent.record, 'rounds_completed', '0')
    expect(await claimMessage(lease, 1)).toEqual({ kind: 'restarted' })
  })

  it('whose rounds count from 0 again is the one of another worker', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const { digest } = await claimAndStart(lease, taskId)
    expect(await settleTask(lease, settlement(digest, taskId))).toEqual({ kind: 'ok', rounds: 1 })
    expect(await claimMessage(lease, 0)).toEqual({ kind: 'empty', rounds: 1, delayed: 0 })
    await here.redis.hset(lease.agent.record, { state: 'idle', rounds_completed: '0' })
    expect(await claimMessage(lease, 1)).toEqual({ kind: 'restarted' })
    await leaveTown(lease, 'bye', { keepRecord: true })
    expect(await here.redis.hget(lease.agent.record, 'state')).toBe('idle')
  })
})

describe('an agent in error', () => {
  const prune = ({ agent }: Lease) =>
    here.redis.del(agent.record, agent.inbox, agent.urgent, agent.activity, agent.stop)
  const beat = { state: 'error', taskId: null, alive: false } as const

  it('that is pruned registers again with its queue', async () => {
    const lease = await register()
    await here.redis.rpush(lease.agent.inbox, 'one', 'two')
    await here.redis.rpush(lease.agent.urgent, 'urgent')
    await pulse(lease, beat)
    await here.redis.rpush(lease.agent.inbox, 'three')
    await pulse(lease, beat)
    await prune(lease)
    expect(await pulse(lease, beat)).toEqual({ kind: 'evicted' })
    await here.redis.del(lease.agent.lease)
    const again = await register()
    expect(again.agentId).toBe(lease.agentId)
    expect(await here.redis.lrange(again.agent.inbox, 0, -1)).toEqual(['one', 'two', 'three'])
    expect(await here.redis.lrange(again.agent.urgent, 0, -1)).toEqual(['urgent'])
  })

  it('keeps no copy of what was taken, nor beyond the trouble', async () => {
    const lease = await register()
    await here.redis.rpush(lease.agent.inbox, 'one')
    await pulse(lease, beat)
    await here.redis.del(lease.agent.inbox)
    await pulse(lease, beat)
    expect(await here.redis.exists(lease.agent.spareInbox)).toBe(0)
    await here.redis.rpush(lease.agent.inbox, 'two')
    await pulse(lease, beat)
    expect(await here.redis.exists(lease.agent.spareInbox)).toBe(1)
    await pulse(lease, { ...beat, state: 'idle' })
    expect(await here.redis.exists(lease.agent.spareInbox)).toBe(0)
  })
})
