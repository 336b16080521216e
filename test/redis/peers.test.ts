import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { encodeMessage, newMessage } from '../../src/domain/message.ts'
import { getAgent, leaveTown } from '../../src/store/agents.ts'
import { recentEvents } from '../../src/store/events.ts'
import { claimMessage } from '../../src/store/inbox.ts'
import { Forgotten, type Lease, LeaseLost, pulse } from '../../src/store/lease.ts'
import { lookAtPeers, recoverPeer } from '../../src/store/peers.ts'
import { getTask, settleTask, startTask } from '../../src/store/tasks.ts'
import { endOfLostRun } from '../../src/worker/lost-run.ts'
import { settlement, useWorker } from '../rig/leased.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()
const { register, assign, claimed, claimAndStart } = useWorker(here)

/** A look that waits for nobody. */
const look = (graceMs = 0) => lookAtPeers(here.redis, here.town, { graceMs, turnMs: 0 })
const recover = (lease: Lease) => recoverPeer(here.redis, here.town, lease.agentId, endOfLostRun)
const inbox = (lease: Lease) => here.redis.lrange(lease.agent.inbox, 0, -1)

/** An agent whose worker died in the middle of its task; another one waits. */
async function dead(name = 'worker-1') {
  const lease = await register(name)
  const taskId = await assign(lease)
  const run = await claimAndStart(lease, taskId)
  const waiting = await assign(lease)
  await here.redis.del(lease.agent.lease)
  return { lease, taskId, waiting, ...run }
}

describe('a Redis without memory', () => {
  it('lets a worker keep its lease, and take it again that has run out', async () => {
    const lease = await register('worker-1')
    const beat = { state: 'idle', taskId: null, alive: true } as const
    await here.redis.config('SET', 'maxmemory', '1')
    try {
      await here.redis.pexpire(lease.agent.lease, 500)
      expect(await pulse(lease, beat)).toMatchObject({ kind: 'ok' })
      expect(await here.redis.pttl(lease.agent.lease)).toBeGreaterThan(500)
      await here.redis.del(lease.agent.lease)
      expect(await pulse(lease, beat)).toMatchObject({ kind: 'ok' })
      expect(await here.redis.get(lease.agent.lease)).toBe(lease.token)
    } finally {
      await here.redis.config('SET', 'maxmemory', '0')
    }
  })
})

describe('a look at the peers', () => {
  it('finds the agent whose lease is gone while it has something in flight, once its grace is over', async () => {
    const { lease } = await dead()
    const first = await look(60_000)
    expect(first.dead).toEqual([])
    expect(first.againMs).toBeGreaterThan(50_000)
    expect(first.againMs).toBeLessThanOrEqual(60_000)
    expect(await look(0)).toEqual({ dead: [lease.agentId], againMs: null })
  })

  it('leaves alone whoever lives, has nothing in flight, or left in good order', async () => {
    const alive = await register('alive')
    await claimAndStart(alive, await assign(alive))
    const idle = await register('idle')
    await here.redis.del(idle.agent.lease)
    const left = await register('left')
    await claimAndStart(left, await assign(left))
    await leaveTown(left, 'bye')
    expect(await look()).toEqual({ dead: [], againMs: null })
    expect(await here.redis.sismember(here.town.watched, left.agentId)).toBe(0)
  })

  it('finds a dead one although a key of another agent is something else', async () => {
    const odd = await register('odd')
    await here.redis.set(odd.agent.inFlight, 'a text')
    await here.redis.del(odd.agent.lease)
    const { lease } = await dead()
    expect((await look()).dead).toEqual([lease.agentId])
  })

  it('begins the grace anew for a worker that was back in between', async () => {
    const { lease } = await dead()
    await look(60_000)
    await here.redis.set(lease.agent.lease, lease.token)
    expect(await look(60_000)).toEqual({ dead: [], againMs: null })
    await here.redis.del(lease.agent.lease)
    expect((await look(1)).dead).toEqual([])
  })

  it('begins the grace anew where the clock of the server was put back', async () => {
    const { lease } = await dead()
    const later = String(Date.now() + 3_600_000)
    await here.redis.hset(here.town.seen, { looked: later, [lease.agentId]: later })
    const { dead: found, againMs } = await look(1000)
    expect(found).toEqual([])
    expect(againMs).toBeLessThanOrEqual(1000)
  })

  it('looks after an agent without a record no more', async () => {
    const { lease } = await dead()
    await here.redis.del(lease.agent.record)
    expect(await look()).toEqual({ dead: [], againMs: null })
    expect(await here.redis.exists(here.town.watched)).toBe(0)
  })

  it('is made once a turn, and tells the others when a grace is over', async () => {
    await dead()
    const turn = { graceMs: 30_000, turnMs: 60_000 }
    await lookAtPeers(here.redis, here.town, turn)
    await here.redis.del(here.town.watched)
    const second = await lookAtPeers(here.redis, here.town, turn)
    expect(second.dead).toEqual([])
    expect(second.againMs).toBeGreaterThan(20_000)
    expect(second.againMs).toBeLessThanOrEqual(30_000)
  })

  it('is made before its turn where a grace is over', async () => {
    const { lease } = await dead()
    const turn = { graceMs: 30_000, turnMs: 60_000 }
    await lookAtPeers(here.redis, here.town, turn)
    const past = String(Date.now() - 31_000)
    await here.redis.hset(here.town.seen, { [lease.agentId]: past, due: past })
    expect(await lookAtPeers(here.redis, here.town, turn)).toEqual({ dead: [lease.agentId], againMs: null })
  })

  it('leaves nothing behind when nobody looks any more', async () => {
    await look()
    expect(await here.redis.pttl(here.town.seen)).toBeGreaterThan(0)
  })
})

describe('recovering a dead peer', () => {
  it('gives back what waited for its next attempt as well, in its order', async () => {
    const lease = await register()
    const { delayed, lease: key } = lease.agent
    await here.redis.zadd(delayed, 2, 'second', 1, 'first')
    await here.redis.rpush(lease.agent.inbox, 'third')
    expect((await look()).dead).toEqual([])
    await here.redis.del(key)
    expect((await look()).dead).toEqual([lease.agentId])
    expect(await recover(lease)).toMatchObject({ messages: 2 })
    expect(await inbox(lease)).toEqual(['first', 'second', 'third'])
    expect(await here.redis.exists(delayed)).toBe(0)
  })

  it('gives everything back to the head of the inbox in its order, the task assigned and the agent in error', async () => {
    const { lease, taskId, raw } = await dead()
    await here.redis.hset(here.town.task(taskId), 'session_id', 's-1')
    await here.redis.rpush(lease.agent.inFlight, 'second')
    const before = await inbox(lease)
    expect(await recover(lease)).toEqual({ agentId: lease.agentId, name: 'worker-1', messages: 2, lost: [] })
    expect(await inbox(lease)).toEqual([raw, 'second', ...before])
    expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
    const task = await getTask(here.redis, here.town, taskId)
    expect(task).toMatchObject({
      state: 'assigned',
      assignedTo: lease.agentId,
      attempts: 1,
      sessionId: 's-1',
    })
    expect(task?.startedAt).toBeUndefined()
    const agent = await getAgent(here.redis, here.town, lease.agentId)
    expect(agent).toMatchObject({ state: 'error', lastError: expect.stringMatching(/worker died/) })
    expect(agent?.currentTask).toBeUndefined()
    const [last] = (await recentEvents(here.redis, here.town.events, 20)).slice(-1)
    expect(last?.event).toMatchObject({
      event_type: 'agent_state_changed',
      agent_id: lease.agentId,
      task_id: taskId,
      old_state: 'Working',
      new_state: 'Error',
    })
  })

  it('is done once by two at the same time', async () => {
    const { lease, raw } = await dead()
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
    expect((await inbox(lease)).filter((message) => message === raw)).toHaveLength(1)
    const events = await recentEvents(here.redis, here.town.events, 20)
    expect(events.filter(({ event }) => event.new_state === 'Error')).toHaveLength(1)
  })

  it('finds the task by the message where the record of the agent lost it', async () => {
    const { lease, taskId } = await dead()
    await here.redis.hdel(lease.agent.record, 'current_task')
    await recover(lease)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'assigned' })
  })

  it('finds the task of a message that brought its own text', async () => {
    const lease = await register()
    const body = { type: 'task', description: 'Say hi' } as const
    const createdAt = new Date().toISOString()
    const message = newMessage({ from: newId(), to: lease.agentId, body, createdAt })
    await here.redis.rpush(lease.agent.inbox, encodeMessage(message))
    const { digest } = await claimed(lease)
    await startTask(lease, { digest, taskId: message.id, startId: newId(), cli: 'demo', description: 'x' })
    await here.redis.del(lease.agent.lease)
    await here.redis.hdel(lease.agent.record, 'current_task')
    await recover(lease)
    expect(await getTask(here.redis, here.town, message.id)).toMatchObject({ state: 'assigned' })
  })

  it('leaves a task alone that ended meanwhile, or that another agent has', async () => {
    const one = await dead('one')
    await here.redis.hset(here.town.task(one.taskId), { state: 'completed', result: 'by tt' })
    await recover(one.lease)
    expect(await getTask(here.redis, here.town, one.taskId)).toMatchObject({ state: 'completed' })
    const two = await dead('two')
    await here.redis.hset(here.town.task(two.taskId), 'assigned_to', one.lease.agentId)
    await recover(two.lease)
    expect(await getTask(here.redis, here.town, two.taskId)).toMatchObject({ state: 'running' })
  })

  it('works on records that are JSON texts', async () => {
    const { lease, taskId } = await dead()
    for (const key of [lease.agent.record, here.town.task(taskId)]) {
      const record = await here.redis.hgetall(key)
      await here.redis.del(key)
      await here.redis.set(key, JSON.stringify({ ...record, more: { kept: [] } }))
    }
    await recover(lease)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'assigned' })
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ state: 'error' })
    expect(await here.redis.get(here.town.task(taskId))).toContain('"more":{"kept":[]}')
  })

  it.each([
    ['starting', 'error'],
    ['idle', 'error'],
    ['working', 'error'],
    ['draining', 'error'],
    ['paused', 'paused'],
    ['stopped', 'stopped'],
  ])('of an agent that is %s makes it %s', async (before, after) => {
    const { lease } = await dead()
    await here.redis.hset(lease.agent.record, 'state', before)
    expect(await recover(lease)).toMatchObject({ messages: 1 })
    expect((await getAgent(here.redis, here.town, lease.agentId))?.state).toBe(after)
  })

  it('does nothing to one that lives, and nothing twice', async () => {
    const { lease } = await dead()
    await here.redis.set(lease.agent.lease, lease.token)
    expect(await recover(lease)).toBeNull()
    await here.redis.del(lease.agent.lease)
    expect(await recover(lease)).not.toBeNull()
    expect(await recover(lease)).toBeNull()
  })

  it('never makes the record of an evicted agent again', async () => {
    const { lease, raw } = await dead()
    await here.redis.del(lease.agent.record)
    expect(await recover(lease)).toBeNull()
    expect(await here.redis.exists(lease.agent.record)).toBe(0)
    expect(await here.redis.lrange(lease.agent.inFlight, 0, -1)).toEqual([raw])
  })
})

describe('a worker that a peer took for dead', () => {
  it('is told so before it writes anything, and registers again with its message', async () => {
    const { lease, taskId, digest, raw } = await dead()
    await recover(lease)
    const late = settleTask(lease, settlement(digest, taskId))
    await expect(late).rejects.toThrow(Forgotten)
    await expect(late).rejects.toMatchObject({ why: 'recovered' })
    await expect(pulse(lease, { state: 'working', taskId, alive: true })).rejects.toThrow(Forgotten)
    await expect(claimMessage(lease)).rejects.toThrow(Forgotten)
    await expect(leaveTown(lease, 'bye')).rejects.toThrow(Forgotten)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'assigned' })
    const again = await register()
    expect(again.agentId).toBe(lease.agentId)
    expect(await getAgent(here.redis, here.town, lease.agentId)).toMatchObject({ state: 'idle' })
    expect(await claimMessage(again)).toMatchObject({ raw })
  })

  it('has lost its lease when another one has registered since', async () => {
    const { lease, taskId, digest } = await dead()
    await recover(lease)
    await register()
    await expect(settleTask(lease, settlement(digest, taskId))).rejects.toThrow(LeaseLost)
  })

  it('takes its lease again when it was back before any peer acted', async () => {
    const { lease, taskId, digest } = await dead()
    await look()
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({ kind: 'ok' })
    expect(await recover(lease)).toBeNull()
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ state: 'completed' })
  })

  it('and that settles in the same moment ends with one of both, whichever came first', async () => {
    const other = here.redis.duplicate()
    try {
      for (let round = 0; round < 30; round += 1) {
        const { lease, taskId, digest } = await dead(`worker-${round}`)
        const recovering = recoverPeer(other, here.town, lease.agentId, endOfLostRun)
        const settled = settleTask(lease, settlement(digest, taskId)).then(
          () => true,
          () => false,
        )
        const [wasRecovered, wasSettled] = [(await recovering) !== null, await settled]
        expect(wasRecovered).toBe(!wasSettled)
        const task = await getTask(here.redis, here.town, taskId)
        expect(task?.state).toBe(wasSettled ? 'completed' : 'assigned')
        const waiting = (await inbox(lease)).filter((message) => message.includes(taskId))
        expect(waiting).toHaveLength(wasSettled ? 0 : 1)
      }
    } finally {
      other.disconnect()
    }
  })
})
