import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { findAgentOrTask } from '../../src/client/find.ts'
import { summarizeTown, viewAgents } from '../../src/client/summary.ts'
import { followAgent, waitForAgent, waitForStop, waitUntilLetGo } from '../../src/client/wait-agent.ts'
import { type TaskLook, waitForTask } from '../../src/client/wait-task.ts'
import type { Watch } from '../../src/client/watch.ts'
import { newId } from '../../src/domain/ids.ts'
import { leaveTown, registerAgent, setAgentState } from '../../src/store/agents.ts'
import { claimMessage } from '../../src/store/inbox.ts'
import type { Lease } from '../../src/store/lease.ts'
import { appendOutput } from '../../src/store/output.ts'
import { requestStop } from '../../src/store/steer.ts'
import { assignTask, settleTask, startTask } from '../../src/store/tasks.ts'
import { useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()
const connections: Redis[] = []

afterEach(() => {
  for (const redis of connections.splice(0)) redis.disconnect()
})

/** What a wait needs: a connection of its own. */
function watch(more: { signal?: AbortSignal; timeoutMs?: number } = {}): Watch {
  const redis = new Redis({ path: here.socketPath })
  connections.push(redis)
  return { redis, town: here.town, signal: new AbortController().signal, ...more }
}

async function register(name = 'worker-1'): Promise<Lease> {
  const who = {
    name,
    cli: 'demo',
    role: undefined,
    leaseMs: 30_000,
    extra: { host: 'box', pid: 42, worker_version: '1' },
  }
  const registered = await registerAgent(here.redis, here.town, who)
  if (registered.kind !== 'registered') throw new Error(`the name is held by ${registered.host}`)
  await setAgentState(registered.lease, { state: 'idle', message: 'ready' })
  return registered.lease
}

async function assign(lease: Lease, description = 'Do X'): Promise<string> {
  const task = { description, tags: [], priority: 'normal' } as const
  return (await assignTask(here.redis, here.town, lease.agentId, task)).taskId
}

/** Takes the next message and starts its task. Returns what ends it. */
async function start(lease: Lease, taskId: string) {
  const claim = await claimMessage(lease)
  if (claim.kind !== 'message') throw new Error(`claimed nothing: ${claim.kind}`)
  const { digest } = claim
  await startTask(lease, { digest, taskId, startId: newId(), cli: 'demo' })
  return (state: 'completed' | 'failed', result: string) =>
    settleTask(lease, {
      digest,
      taskId,
      settleId: newId(),
      state,
      result,
      notesUsed: 0,
      extras: { attempts: 1 },
      eventMessage: 'done',
      activity: state,
      ...(state === 'failed' ? { reason: 'exit' as const } : {}),
    })
}

/** Waits until somebody is blocked in a read of streams, so that what comes next is what wakes it. */
async function untilBlocked(): Promise<void> {
  await until(
    async () => /cmd=xread/.test(String(await here.redis.client('LIST'))),
    'a wait is blocked in XREAD',
  )
}

describe('a town at a glance', () => {
  it('is all zeroes when nothing is there', async () => {
    const summary = await summarizeTown(here.redis, here.town)
    expect(summary).toMatchObject({ agents: [], waiting: 0, deadLetters: 0 })
    expect(summary.server.version).toMatch(/^\d+\.\d+/)
    expect(summary.server.persistence).toBe('none')
    expect(Object.values(summary.tasksByState)).toEqual([0, 0, 0, 0, 0, 0])
  })

  it('counts agents, tasks and what waits', async () => {
    const lease = await register()
    const first = await assign(lease, 'First\nwith more lines')
    await assign(lease)
    await here.redis.lpush(lease.agent.urgent, 'a message')
    await start(lease, first).catch(() => undefined)
    const { agents, agentsByState, tasksByState, waiting } = await summarizeTown(here.redis, here.town)
    expect(agentsByState).toMatchObject({ working: 1, idle: 0 })
    expect(tasksByState).toMatchObject({ running: 1, assigned: 1 })
    expect(waiting).toBe(2)
    expect(agents).toMatchObject([
      { waiting: 2, running: true, queues: { inFlight: 1 }, task: { id: first, summary: 'First' } },
    ])
  })

  it('counts what a dead worker had in hand among what waits', async () => {
    const lease = await register()
    await start(lease, await assign(lease))
    await here.redis.del(lease.agent.lease)
    expect(await viewAgents(here.redis, here.town)).toMatchObject([{ running: false, waiting: 1 }])
  })

  it('knows a worker by its lease and an agent of tt by its heartbeat', async () => {
    const lease = await register()
    const fresh = newId()
    const old = newId()
    const record = (name: string, at: Date) => ({ name, state: 'idle', last_heartbeat: at.toISOString() })
    await here.redis.hset(here.town.agent(fresh).record, { id: fresh, ...record('tt-new', new Date()) })
    await here.redis.hset(here.town.agent(old).record, { id: old, ...record('tt-old', new Date(0)) })
    const running = async () =>
      Object.fromEntries(
        (await viewAgents(here.redis, here.town)).map((view) => [view.agent.name, view.running]),
      )
    expect(await running()).toEqual({ 'worker-1': true, 'tt-new': true, 'tt-old': false })
    await here.redis.del(lease.agent.lease)
    expect(await running()).toMatchObject({ 'worker-1': false })
  })
})

describe('finding what a word means', () => {
  it('takes an agent before a task, and a task by the beginning of its id', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    expect(await findAgentOrTask(here.redis, here.town, 'Worker-1')).toMatchObject({ kind: 'agent' })
    expect(await findAgentOrTask(here.redis, here.town, taskId.slice(0, 8))).toMatchObject({
      kind: 'task',
      task: { id: taskId },
    })
  })

  it('says of an unknown word that it is neither', async () => {
    await expect(findAgentOrTask(here.redis, here.town, 'nothing')).rejects.toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/No agent "nothing".*No task nothing/),
    })
  })
})

describe('waiting for a task', () => {
  it('ends when the worker settles it', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const looks: string[] = []
    const onLook = ({ task }: TaskLook) => void looks.push(task.state)
    const waiting = waitForTask({ ...watch(), taskId, onLook })
    const settle = await start(lease, taskId)
    await until(() => looks.includes('running'), 'the wait has seen the task run')
    await settle('completed', 'all done')
    expect(await waiting).toMatchObject({
      kind: 'ended',
      task: { state: 'completed', result: 'all done' },
    })
  })

  it('ends at once for a task that has ended', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    await (await start(lease, taskId))('failed', 'no')
    expect(await waitForTask({ ...watch(), taskId })).toMatchObject({
      kind: 'ended',
      task: { state: 'failed', reason: 'exit' },
    })
  })

  it('sees an end that tt wrote without an event', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const waiting = waitForTask({ ...watch(), taskId })
    await untilBlocked()
    await here.redis.hset(here.town.task(taskId), { state: 'cancelled' })
    expect(await waiting).toMatchObject({ kind: 'ended', task: { state: 'cancelled' } })
  })

  it('says that the task is gone when somebody deleted it', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const waiting = waitForTask({ ...watch(), taskId })
    await untilBlocked()
    await here.redis.del(here.town.task(taskId))
    expect(await waiting).toEqual({ kind: 'gone' })
  })

  it('gives up when the time is over', async () => {
    const taskId = await assign(await register())
    expect(await waitForTask({ ...watch({ timeoutMs: 100 }), taskId })).toEqual({ kind: 'timeout' })
  })

  it('ends with the reason of the signal', async () => {
    const taskId = await assign(await register())
    const abort = new AbortController()
    const waiting = waitForTask({ ...watch({ signal: abort.signal }), taskId })
    const refused = expect(waiting).rejects.toBe('SIGINT')
    await untilBlocked()
    abort.abort('SIGINT')
    await refused
  })

  it('hands over the output of this task alone, to its last piece', async () => {
    const lease = await register()
    const { output } = lease.agent
    for (let count = 0; count < 600; count += 1) await appendOutput(here.redis, output, newId(), 'of another')
    const taskId = await assign(lease)
    await appendOutput(here.redis, output, taskId, 'before the wait')
    const texts: string[] = []
    const waiting = waitForTask({ ...watch(), taskId, onOutput: ({ text }) => void texts.push(text) })
    await until(() => texts.length === 1, 'the wait has handed over what was there')
    const settle = await start(lease, taskId)
    await appendOutput(here.redis, output, taskId, 'the last word')
    await settle('completed', 'ok')
    await waiting
    expect(texts).toEqual(['before the wait', 'the last word'])
  })

  it('hands over the output of a task that ended before, behind that of many others', async () => {
    const lease = await register()
    const { output } = lease.agent
    const taskId = await assign(lease)
    for (let count = 0; count < 1200; count += 1) await appendOutput(here.redis, output, newId(), 'x')
    await appendOutput(here.redis, output, taskId, 'mine')
    await (await start(lease, taskId))('completed', 'ok')
    const texts: string[] = []
    await waitForTask({ ...watch(), taskId, onOutput: ({ text }) => void texts.push(text) })
    expect(texts).toEqual(['mine'])
  })
})

describe('following an agent', () => {
  it('hands over what is kept and what comes, until the signal', async () => {
    const lease = await register()
    await appendOutput(here.redis, lease.agent.output, newId(), 'old')
    const abort = new AbortController()
    const texts: string[] = []
    const following = followAgent(watch({ signal: abort.signal }), lease.agentId, ({ text }) => {
      texts.push(text)
    })
    const refused = expect(following).rejects.toBe('SIGTERM')
    await until(() => texts.includes('old'), 'the kept piece is handed over')
    await appendOutput(here.redis, lease.agent.output, newId(), 'new')
    await until(() => texts.includes('new'), 'the new piece is handed over')
    abort.abort('SIGTERM')
    await refused
  })
})

describe('waiting for an agent', () => {
  it('ends at once when it has nothing to do', async () => {
    const lease = await register()
    expect(await waitForAgent({ ...watch(), agentId: lease.agentId })).toMatchObject({ kind: 'idle' })
  })

  it('ends when the last task is settled', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const seen: number[] = []
    const waiting = waitForAgent({
      ...watch(),
      agentId: lease.agentId,
      onLook: (view) => void seen.push(view.waiting),
    })
    await until(() => seen.includes(1), 'the wait has seen the message')
    const settle = await start(lease, taskId)
    await until(() => seen.includes(0), 'the wait has seen the task in hand')
    await settle('completed', 'ok')
    expect(await waiting).toMatchObject({ kind: 'idle', view: { agent: { tasksCompleted: 1 } } })
  })

  it('goes on while a task waits for its next attempt', async () => {
    const lease = await register()
    await here.redis.zadd(lease.agent.delayed, 1, 'a message')
    const wait = waitForAgent({ ...watch({ timeoutMs: 100 }), agentId: lease.agentId })
    expect(await wait).toEqual({ kind: 'timeout' })
  })

  it('ends with the error that keeps it from working', async () => {
    const lease = await register()
    await assign(lease)
    const waiting = waitForAgent({ ...watch(), agentId: lease.agentId })
    await untilBlocked()
    await setAgentState(lease, { state: 'error', message: 'broken', lastError: 'codex is not installed' })
    expect(await waiting).toMatchObject({
      kind: 'error',
      view: { agent: { lastError: 'codex is not installed' } },
    })
  })

  it('ends when it has stopped, also with messages that wait', async () => {
    const lease = await register()
    await assign(lease)
    const waiting = waitForAgent({ ...watch(), agentId: lease.agentId })
    await untilBlocked()
    await leaveTown(lease, 'bye')
    expect(await waiting).toMatchObject({ kind: 'stopped', view: { waiting: 1 } })
  })

  it('goes on while tt says stopped and the worker still finishes its run', async () => {
    const lease = await register()
    await start(lease, await assign(lease))
    await here.redis.hset(lease.agent.record, { state: 'stopped' })
    const wait = waitForAgent({ ...watch({ timeoutMs: 100 }), agentId: lease.agentId })
    expect(await wait).toEqual({ kind: 'timeout' })
  })
})

describe('a wait for a task to be let go of', () => {
  it('ends when its run is settled, and at once where nobody is alive', async () => {
    const lease = await register()
    const taskId = await assign(lease)
    const settle = await start(lease, taskId)
    const watching = (timeoutMs?: number) => ({
      ...watch(timeoutMs === undefined ? {} : { timeoutMs }),
      agentId: lease.agentId,
    })
    expect(await waitUntilLetGo(watching(100), taskId)).toEqual({ kind: 'timeout' })
    const waiting = waitUntilLetGo(watching(), taskId)
    await untilBlocked()
    await settle('completed', 'done')
    expect(await waiting).toEqual({ kind: 'let-go' })
    const second = await assign(lease)
    await start(lease, second)
    await here.redis.del(lease.agent.lease)
    expect(await waitUntilLetGo(watching(), second)).toEqual({ kind: 'let-go' })
  })
})

describe('asking an agent to stop', () => {
  it('leaves a live worker draining, with the stop flag that tt would set', async () => {
    const lease = await register()
    expect(await requestStop(here.redis, here.town, lease.agentId)).toBe('draining')
    expect(await here.redis.hget(lease.agent.record, 'state')).toBe('draining')
    expect(await here.redis.get(lease.agent.stop)).toBe('1')
    expect(await here.redis.ttl(lease.agent.stop)).toBeGreaterThan(3500)
    expect(await here.redis.lindex(lease.agent.activity, 0)).toBe('🛑 Stop requested')
    expect(await claimMessage(lease)).toEqual({ kind: 'stopping' })
  })

  it('writes stopped where no worker is, and leaves its inbox alone', async () => {
    const lease = await register()
    await assign(lease)
    await here.redis.del(lease.agent.lease)
    expect(await requestStop(here.redis, here.town, lease.agentId)).toBe('stopped')
    expect(await here.redis.hget(lease.agent.record, 'state')).toBe('stopped')
    expect(await here.redis.llen(lease.agent.inbox)).toBe(1)
    expect(await requestStop(here.redis, here.town, lease.agentId)).toBe('ended')
  })

  it('makes no record of an agent that is gone', async () => {
    const id = newId()
    await expect(requestStop(here.redis, here.town, id)).rejects.toMatchObject({ code: 'not-found' })
    expect(await here.redis.keys(`*${id}*`)).toEqual([])
  })

  it('is waited for until the worker has left', async () => {
    const lease = await register()
    await requestStop(here.redis, here.town, lease.agentId)
    const waiting = waitForStop({ ...watch(), agentId: lease.agentId })
    await untilBlocked()
    await leaveTown(lease, 'stop requested')
    expect(await waiting).toMatchObject({ kind: 'stopped' })
  })

  it('writes off a worker that died before it had stopped', async () => {
    const lease = await register()
    await requestStop(here.redis, here.town, lease.agentId)
    await here.redis.del(lease.agent.lease)
    expect(await waitForStop({ ...watch(), agentId: lease.agentId })).toMatchObject({
      kind: 'stopped',
      view: { agent: { state: 'stopped' } },
    })
  })
})
