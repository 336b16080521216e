import { beforeEach, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import {
  findAgent,
  getAgent,
  leaveTown,
  listAgents,
  registerAgent,
  setAgentState,
} from '../../src/store/agents.ts'
import { claimMessage } from '../../src/store/inbox.ts'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import { type Lease, pulse } from '../../src/store/lease.ts'
import { requestStop } from '../../src/store/steer.ts'
import { assignTask, getTask, listTasks, releaseTask, settleTask, startTask } from '../../src/store/tasks.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()
let town: TownKeys

beforeEach(() => {
  town = townKeys(here.town.town, 'json')
})

const NEW_TASK = {
  description: 'Do "X"\nünd {"tags":{}} more',
  tags: [] as string[],
  priority: 'normal',
} as const

async function register(name = 'worker-1'): Promise<Lease> {
  const who = { name, cli: 'demo', role: 'backend', leaseMs: 30_000, extra: { host: 'box', pid: 42 } }
  const registered = await registerAgent(here.redis, town, who)
  if (registered.kind !== 'registered') throw new Error(`the name is held by ${registered.host}`)
  await setAgentState(registered.lease, { state: 'idle', message: 'ready' })
  return registered.lease
}

async function record(key: string): Promise<Record<string, unknown>> {
  return JSON.parse((await here.redis.get(key)) ?? 'null')
}

async function startOne(lease: Lease, task: Parameters<typeof assignTask>[3] = NEW_TASK) {
  const { taskId } = await assignTask(here.redis, town, lease.agentId, task)
  const claim = await claimMessage(lease)
  if (claim.kind !== 'message') throw new Error(`claimed nothing: ${claim.kind}`)
  const started = await startTask(lease, { digest: claim.digest, taskId, startId: newId(), cli: 'demo' })
  return { digest: claim.digest, taskId, started }
}

const END = { notesUsed: 0, eventMessage: 'done', activity: 'completed' }

describe('records as JSON strings', () => {
  it('go through the whole life of a task', async () => {
    const lease = await register()
    expect(await record(lease.agent.record)).toMatchObject({
      id: lease.agentId,
      name: 'worker-1',
      agent_type: 'worker',
      state: 'idle',
      role_id: 'backend',
      tasks_completed: 0,
      rounds_completed: 0,
      pid: 42,
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    const { digest, taskId, started } = await startOne(lease)
    expect(started).toMatchObject({
      kind: 'started',
      attempt: 1,
      task: { description: NEW_TASK.description, tags: [] },
    })
    expect(await record(town.task(taskId))).toMatchObject({ state: 'running', tags: [], attempts: 1 })
    expect(await record(lease.agent.record)).toMatchObject({ state: 'working', current_task: taskId })
    expect(await pulse(lease, { state: 'working', taskId, alive: true })).toMatchObject({
      kind: 'ok',
      task: 'running',
    })
    const extras = { toolCalls: 2, costUsd: 0.25, resultTruncated: true, log: '/logs/x.log' }
    const end = {
      ...END,
      digest,
      taskId,
      settleId: newId(),
      state: 'completed',
      result: 'ok',
      extras,
    } as const
    expect(await settleTask(lease, end)).toMatchObject({ kind: 'ok' })
    expect(await record(town.task(taskId))).toMatchObject({
      state: 'completed',
      result: 'ok',
      description: NEW_TASK.description,
      tags: [],
      tool_calls: 2,
      cost_usd: 0.25,
      result_truncated: true,
      completed_at: expect.stringMatching(/Z$/),
    })
    const agent = await record(lease.agent.record)
    expect(agent).toMatchObject({ state: 'idle', tasks_completed: 1, rounds_completed: 1 })
    expect(agent).not.toHaveProperty('current_task')
    await leaveTown(lease, 'bye')
    expect(await record(lease.agent.record)).toMatchObject({ state: 'stopped' })
    expect((await register()).agentId).toBe(lease.agentId)
  })

  it('are listed and found like hashes, beside them', async () => {
    const asJson = await register()
    const asHash = await registerAgent(here.redis, here.town, {
      ...{ name: 'worker-2', cli: 'demo', role: undefined, leaseMs: 30_000, extra: {} },
    })
    if (asHash.kind !== 'registered') throw new Error('held')
    expect((await listAgents(here.redis, town)).map(({ name }) => name)).toEqual(['worker-1', 'worker-2'])
    expect(await findAgent(here.redis, town, 'WORKER-1')).toMatchObject({
      id: asJson.agentId,
      tasksCompleted: 0,
    })
    const { taskId } = await assignTask(here.redis, here.town, asJson.agentId, {
      ...NEW_TASK,
      tags: ['a', 'b'],
    })
    await assignTask(here.redis, town, asHash.lease.agentId, NEW_TASK)
    const tasks = await listTasks(here.redis, town)
    expect(tasks.map(({ tags }) => tags).toSorted()).toEqual([[], ['a', 'b']])
    expect(await getTask(here.redis, town, taskId)).toMatchObject({
      assignedTo: asJson.agentId,
      state: 'assigned',
    })
  })

  it('stay in their form, whatever form new ones have', async () => {
    const lease = await register()
    const fields = {
      id: newId(),
      description: 'old',
      state: 'assigned',
      tags: ['a'],
      parent_id: null,
      priority_hint: [1, 2],
    }
    const key = town.task(fields.id)
    await here.redis.set(key, JSON.stringify(fields))
    const hashLease = { ...lease, town: here.town }
    await here.redis.rpush(lease.agent.inbox, 'x')
    const claim = await claimMessage(lease)
    const digest = claim.kind === 'message' ? claim.digest : ''
    const started = await startTask(hashLease, {
      digest,
      taskId: fields.id,
      startId: newId(),
      cli: 'demo',
    })
    expect(started).toMatchObject({ kind: 'started', task: { tags: ['a'] } })
    expect(started.kind === 'started' && started.task).not.toHaveProperty('parentId')
    expect(await record(key)).toMatchObject({
      ...fields,
      state: 'running',
      started_at: expect.stringMatching(/Z$/),
    })
    const back = {
      digest,
      taskId: fields.id,
      releaseId: newId(),
      agentState: 'idle',
      counted: true,
      message: 'later',
    } as const
    await releaseTask(hashLease, back)
    expect(await record(key)).toMatchObject({ ...fields, state: 'assigned', attempts: 0 })
    expect(await record(key)).not.toHaveProperty('started_at')
  })

  it('are asked to stop like hashes', async () => {
    const lease = await register()
    expect(await requestStop(here.redis, town, lease.agentId)).toBe('draining')
    expect(await getAgent(here.redis, town, lease.agentId)).toMatchObject({ state: 'draining' })
    expect(await claimMessage(lease)).toEqual({ kind: 'stopping' })
  })

  it('keep a time to live that somebody gave them', async () => {
    const lease = await register()
    await here.redis.expire(lease.agent.record, 1000)
    await pulse(lease, { state: 'idle', taskId: null, alive: true })
    expect(await here.redis.ttl(lease.agent.record)).toBeGreaterThan(900)
  })
})

describe('the members of a JSON record that nobody here knows', () => {
  const STRANGE = {
    labels: [],
    nothing: {},
    quota: 1234567890123456,
    price: 0.1234567890123456,
    deep: { list: [[], {}, { a: 'br"ack}et]s\\\\' }], big: 9007199254740991 },
    'key "with" \\ marks': 'ü—\u0000',
    flag: true,
    none: null,
  }

  it('stay as they stand through every write, in their order', async () => {
    const lease = await register()
    const text = await here.redis.get(lease.agent.record)
    const before = `{ "strange" : ${JSON.stringify(STRANGE, null, 2)},\n ${JSON.stringify(STRANGE).slice(1, -1)} , ${text?.slice(1)}`
    await here.redis.set(lease.agent.record, before)
    const { digest, taskId } = await startOne(lease)
    await settleTask(lease, {
      digest,
      taskId,
      settleId: newId(),
      state: 'completed',
      result: 'ok',
      extras: {},
      ...END,
    })
    await pulse(lease, { state: 'idle', taskId: null, alive: true })
    await leaveTown(lease, 'bye')
    const after = await here.redis.get(lease.agent.record)
    expect(JSON.parse(after ?? '')).toMatchObject({
      strange: STRANGE,
      ...STRANGE,
      state: 'stopped',
      tasks_completed: 1,
    })
    expect(after).toContain('"quota": 1234567890123456')
    expect(Object.keys(JSON.parse(after ?? '')).slice(0, 3)).toEqual(['strange', 'labels', 'nothing'])
  })
})

describe('a key that is no record', () => {
  it.each([
    ['a text that is no JSON', 'oops', 'text that is no JSON object'],
    ['a JSON text', '"oops"', 'text that is no JSON object'],
  ])('is left as it is: a task that is %s', async (_, text, kind) => {
    const lease = await register()
    const taskId = newId()
    await here.redis.set(town.task(taskId), text)
    expect(await startTask(lease, { digest: 'x', taskId, startId: newId(), cli: 'demo' })).toEqual({
      kind: 'unreadable',
      type: kind,
    })
    expect(await here.redis.get(town.task(taskId))).toBe(text)
    expect(await listTasks(here.redis, town)).toEqual([])
  })

  it('is told when it stands where the agent belongs', async () => {
    const { agentId, agent } = await register()
    await here.redis.del(agent.record, agent.lease)
    await here.redis.rpush(agent.record, 'x')
    await here.redis.hset(town.names, 'worker-1', agentId)
    await expect(register()).rejects.toThrow(/holds no agent record: list/)
    expect(await here.redis.lrange(agent.record, 0, -1)).toEqual(['x'])
  })
})
