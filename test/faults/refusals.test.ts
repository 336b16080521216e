import type { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { listDeadLetters } from '../../src/store/dead-letters.ts'
import { recentEvents } from '../../src/store/events.ts'
import { getTask } from '../../src/store/tasks.ts'
import { type Daemon, type TestTown, useClosers } from '../rig/daemon.ts'
import type { FakeRun } from '../rig/fake-agent.ts'
import { type FaultyTown, useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign, ended, push, taskThat } from '../rig/scene.ts'
import { until } from '../rig/until.ts'
import { isWrittenOnce, spooled } from '../rig/written-once.ts'

const onClose = useClosers()
const newTown = useFaultyTown(onClose)

const WORKER = ['--cli', 'fake', '--max-attempts', '1']
const REFUSES = /Redis refuses what the worker needs: (WRONGTYPE|NOPERM)/

async function finish(run: FakeRun, text: string, code = 0): Promise<void> {
  await run.stdout(text)
  await run.exit(code)
}

async function stage(...flags: string[]): Promise<FaultyTown & { worker: Daemon; redis: Redis }> {
  const faulty = await newTown()
  const worker = await faulty.town.worker(...WORKER, ...flags)
  return { ...faulty, worker, redis: await faulty.town.redis() }
}

/** The agent says in its record what Redis refuses. */
async function isInError(town: TestTown): Promise<void> {
  await until(async () => {
    const { state, lastError } = await agentOf(town)
    return state === 'error' && REFUSES.test(lastError ?? '')
  }, 'the agent is in error')
}

describe('a Redis that refuses the start of a task until somebody puts it right', () => {
  it('costs no task: the agent is in error, the messages stay, and all are run afterwards', async () => {
    const { town, agents, worker, redis } = await stage()
    await redis.acl('SETUSER', 'default', '-hdel')
    const ids = [await assign(town, 'first'), await assign(town, 'second')]
    await worker.says(REFUSES)
    await isInError(town)
    expect(await listDeadLetters(redis, town.keys)).toEqual([])
    expect(agents.started).toBe(0)
    for (const id of ids) {
      expect(await getTask(redis, town.keys, id)).toMatchObject({ state: 'assigned' })
    }
    await redis.acl('SETUSER', 'default', '+hdel')
    for (const id of ids) {
      await finish(await agents.next(), 'ok')
      expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
    }
    expect(await agentOf(town)).toMatchObject({ state: 'idle' })
  })

  it('is not met where only the notes are no list', async () => {
    const { town, agents, redis } = await stage()
    await redis.set(town.keys.agent((await agentOf(town)).id).notes, 'no list')
    const id = await assign(town, 'x')
    await finish(await agents.next(), 'ok')
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })
})

describe('a Redis that refuses the end of a task until somebody puts it right', () => {
  it('has it once: the result waits on disk, the agent in error', async () => {
    const { town, agents, worker, redis } = await stage()
    const id = await assign(town, 'x')
    const run = await agents.next()
    await redis.acl('SETUSER', 'default', '-lrem')
    await finish(run, 'worth keeping')
    await worker.says(REFUSES)
    await isInError(town)
    await until(async () => (await spooled(town)).length === 1, 'the result is on disk')
    expect(await getTask(redis, town.keys, id)).toMatchObject({ state: 'running' })
    await redis.acl('SETUSER', 'default', '+lrem')
    await isWrittenOnce({ town, agents }, id, 'worth keeping')
    expect(await listDeadLetters(redis, town.keys)).toEqual([])
    expect(await agentOf(town)).toMatchObject({ state: 'idle' })
  })

  it('has a failure once, with its message in the dead letters', async () => {
    const { town, agents, redis } = await stage()
    await redis.set(town.keys.deadLetters, 'no stream')
    const id = await assign(town, 'x')
    await finish(await agents.next(), 'broken', 3)
    await isInError(town)
    await redis.del(town.keys.deadLetters)
    expect(await ended(town, id)).toMatchObject({ state: 'failed', reason: 'exit' })
    expect(await listDeadLetters(redis, town.keys)).toMatchObject([{ taskId: id, reason: 'exit' }])
    const events = await recentEvents(redis, town.keys.events, 100)
    expect(events.filter(({ event }) => event.event_type === 'task_failed')).toHaveLength(1)
    expect(agents.started).toBe(1)
  })

  it('does not keep the worker from its end, and the next start writes the result', async () => {
    const { town, agents, worker, redis } = await stage()
    const id = await assign(town, 'x')
    const run = await agents.next()
    await redis.acl('SETUSER', 'default', '-lrem')
    await finish(run, 'worth keeping')
    await isInError(town)
    worker.signal('SIGTERM')
    expect(await worker.exit).toBe(0)
    const second = town.start(...WORKER)
    await second.says(REFUSES)
    expect(await spooled(town)).toHaveLength(1)
    await redis.acl('SETUSER', 'default', '+lrem')
    await isWrittenOnce({ town, agents }, id, 'worth keeping')
    await second.says(/-> idle/)
  })

  it('has a run again later that is to be made again', async () => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const redis = await town.redis()
    await town.worker('--cli', 'fake', '--max-attempts', '2', '--retry-delay', '50ms')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await redis.set(town.keys.agent((await agentOf(town)).id).delayed, 'no sorted set')
    await finish(run, 'broken', 1)
    await isInError(town)
    await redis.del(town.keys.agent((await agentOf(town)).id).delayed)
    await finish(await agents.next(), 'ok')
    expect(await taskThat(town, id, ({ state }) => state === 'completed', 'is completed')).toMatchObject({
      attempts: 2,
    })
  })
})

describe('an unreadable message that the dead letters do not take', () => {
  it('stays in flight, the agent in error, until they do', async () => {
    const { town, worker, redis } = await stage()
    const { inbox, inFlight } = town.keys.agent((await agentOf(town)).id)
    await redis.set(town.keys.deadLetters, 'no stream')
    await redis.rpush(inbox, 'no JSON')
    await isInError(town)
    expect(await redis.lrange(inFlight, 0, -1)).toEqual(['no JSON'])
    await redis.del(town.keys.deadLetters)
    await worker.says(/put aside/)
    expect(await listDeadLetters(redis, town.keys)).toMatchObject([{ message: 'no JSON' }])
    await until(async () => (await agentOf(town)).state === 'idle', 'the agent is idle again')
  })
})

describe('an urgent list of another type', () => {
  it('ends no worker that has a question to answer as well', async () => {
    const { town, worker, redis } = await stage('--lease-ms', '1000')
    const { urgent } = town.keys.agent((await agentOf(town)).id)
    await redis.set(urgent, 'no list')
    await isInError(town)
    await push(town, { type: 'ping' })
    const beat = async () => (await agentOf(town)).lastHeartbeat
    const before = await beat()
    await until(async () => (await beat()) > before, 'the heart beats')
    await redis.del(urgent)
    await worker.says(/answered/)
    await until(async () => (await agentOf(town)).state === 'idle', 'the agent is idle again')
  })
})
