import { describe, expect, it } from 'vitest'
import type { Agent } from '../../src/domain/agent.ts'
import { newId } from '../../src/domain/ids.ts'
import { recentEvents } from '../../src/store/events.ts'
import { getTask } from '../../src/store/tasks.ts'
import { type TestTown, useClosers } from '../rig/daemon.ts'
import type { FakeAgents } from '../rig/fake-agent.ts'
import { agentOf, assign, ended, push, taskThat, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const LONG = ['--circuit-delay', '10m']
const SHORT = ['--circuit-delay', '500ms']
const OPEN = /3 different tasks in a row failed, the last one with exit: fake exited with 7/

async function failNext(agents: FakeAgents): Promise<void> {
  await (await agents.next()).exit(7)
}

async function completeNext(agents: FakeAgents): Promise<void> {
  const run = await agents.next()
  await run.stdout('it works')
  await run.exit(0)
}

async function agentThat(town: TestTown, wanted: Partial<Agent>, what: string): Promise<Agent> {
  return await until(async () => {
    const agent = await agentOf(town)
    return agent.state === wanted.state && agent.circuit === wanted.circuit ? agent : null
  }, `the agent ${what}`)
}

/** A worker whose circuit three tasks have just opened for a long time. */
async function opened(...flags: string[]) {
  const { town, agents } = await scene()
  const daemon = await town.worker('--cli', 'fake', ...LONG, ...flags)
  for (const text of ['a', 'b', 'c']) {
    await assign(town, text)
    await failNext(agents)
  }
  const agent = await agentThat(town, { state: 'error', circuit: 'open' }, 'says that its circuit is open')
  return { town, agents, daemon, agent }
}

describe('an open circuit', () => {
  it('23: keeps tasks in the inbox, says why in record, status, events and log, and lets the worker end', async () => {
    const { town, agents, daemon, agent } = await opened()
    expect(agent.lastError).toMatch(OPEN)
    expect(Date.parse(agent.lastError?.match(/one task is tried at (\S+):/)?.[1] ?? '')).toBeGreaterThan(
      Date.now(),
    )
    const fourth = await assign(town, 'd')
    const redis = await town.redis()
    const { inbox } = town.keys.agent(agent.id)
    expect(await getTask(redis, town.keys, fourth)).toMatchObject({ state: 'assigned' })

    const asker = newId()
    await push(town, { type: 'ping' }, asker)
    await until(async () => (await redis.llen(town.keys.agent(asker).inbox)) === 1, 'the ping is answered')
    expect(await redis.llen(inbox)).toBe(1)

    const status = await town.cli('status')
    expect(status.stdout).toMatch(/^worker-1 +error /m)
    expect(status.stdout).toMatch(
      /^ {2}The circuit is open, one task is tried at .*: 3 different tasks in a row failed/m,
    )
    expect(JSON.parse((await town.cli('status', '--json')).stdout).agents).toMatchObject([
      { state: 'error', circuit: 'open', lastError: agent.lastError },
    ])
    const events = (await recentEvents(redis, town.keys.events, 100)).map(({ event }) => event)
    expect(events.filter(({ new_state }) => new_state === 'Error')).toMatchObject([
      { event_type: 'agent_state_changed', old_state: 'Idle', message: agent.lastError },
    ])
    expect(daemon.stderr().match(/circuit open: /g)).toHaveLength(1)

    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(await redis.llen(inbox)).toBe(1)
    expect(agents.started).toBe(3)
    expect(await agentOf(town)).toMatchObject({ state: 'stopped' })
    expect(await agentOf(town)).not.toHaveProperty('circuit')
  })

  it('goes on beating, and is ended by a kill', async () => {
    const { town, daemon, agent } = await opened('--lease-ms', '1000')
    await until(
      async () => (await agentOf(town)).lastHeartbeat > agent.lastHeartbeat,
      'there is another heartbeat',
    )
    expect((await town.cli('kill', 'worker-1')).exit).toBe(0)
    expect(await daemon.exit).toBe(0)
  })

  it('leaves a pause alone, and says error when that is over', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--circuit-failures', '1', ...LONG)
    await assign(town, 'a')
    const run = await agents.next()
    expect((await town.cli('interrupt', 'worker-1')).exit).toBe(0)
    await run.exit(7)
    await daemon.says(/circuit open/)
    expect(await agentOf(town)).toMatchObject({ state: 'paused', circuit: 'open' })
    expect((await town.cli('status')).stdout).toMatch(/^worker-1 +paused .*\n {2}The circuit is open/m)
    expect((await town.cli('resume', 'worker-1')).exit).toBe(0)
    await agentThat(town, { state: 'error', circuit: 'open' }, 'says error')
  })

  it('lets a wish to end stand that was written while its last run was in hand', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--circuit-failures', '1', ...LONG)
    await assign(town, 'a')
    const run = await agents.next()
    await (await town.redis()).hset(town.keys.agent((await agentOf(town)).id).record, { state: 'draining' })
    await run.exit(7)
    expect(await daemon.exit).toBe(0)
  })

  it('is still open, with what waited, after the agent was pruned', async () => {
    const { town, agents, daemon, agent } = await opened()
    const fourth = await assign(town, 'd')
    const redis = await town.redis()
    const keys = town.keys.agent(agent.id)
    await until(() => redis.exists(keys.spareInbox), 'the inbox is put by')
    await redis.del(keys.record, keys.inbox, keys.urgent, keys.activity, keys.stop)
    await daemon.says(/the agent was pruned while it stood in error/)
    await until(() => redis.exists(keys.record), 'it is registered again')
    await agentThat(town, { state: 'error', circuit: 'open' }, 'says that its circuit is open')
    expect((await redis.lrange(keys.inbox, 0, -1)).join()).toContain(fourth)
    expect(agents.started).toBe(3)
  })
})

describe('a half-open circuit', () => {
  it('is opened again by a task that fails, and closed by the next that completes', async () => {
    const { town, agents } = await scene({ env: { TINYTOWN_RECORD_FORMAT: 'json' } })
    const daemon = await town.worker('--cli', 'fake', ...SHORT)
    const ids: string[] = []
    for (const text of ['a', 'b', 'c', 'd', 'e']) ids.push(await assign(town, text))
    for (const _ of ['a', 'b', 'c']) await failNext(agents)
    const probe = await agents.next()
    expect(probe.hello.prompt).toBe('d')
    expect(await agentOf(town)).toMatchObject({ state: 'working', circuit: 'half-open' })
    await probe.exit(7)
    const next = await agents.next()
    expect(next.hello.prompt).toBe('e')
    expect(await agentOf(town)).toMatchObject({ state: 'working', circuit: 'half-open' })
    await next.stdout('it works')
    await next.exit(0)
    await daemon.says(/circuit closed/)
    const agent = await agentThat(town, { state: 'idle', circuit: 'closed' }, 'is idle')
    expect(agent).not.toHaveProperty('lastError')
    expect(await ended(town, ids[3] ?? '')).toMatchObject({ state: 'failed', reason: 'exit', attempts: 1 })
    expect(await ended(town, ids[4] ?? '')).toMatchObject({ state: 'completed', attempts: 1 })

    const log = daemon.stderr()
    expect(log.match(/circuit (open|half-open|closed): \w+/g)).toEqual([
      ...['circuit open: 3', 'circuit half-open: the', 'circuit open: 4', 'circuit half-open: the'],
      'circuit closed: the',
    ])
    const waits = [...log.matchAll(/"retryMs":(\d+)/g)].map(([, ms]) => Number(ms))
    expect(waits).toHaveLength(2)
    expect(waits[1]).toBeGreaterThan(waits[0] ?? Number.NaN)
    const events = await recentEvents(await town.redis(), town.keys.events, 100)
    expect(events.map(({ event }) => event.message).filter((text) => /circuit/.test(text ?? ''))).toEqual([
      expect.stringMatching(/^The circuit is open.*: 3 different tasks/),
      expect.stringMatching(/^the circuit is half-open/),
      expect.stringMatching(/^The circuit is open.*: 4 different tasks/),
      expect.stringMatching(/^the circuit is half-open/),
      'the circuit is closed again',
    ])
  })

  it('waits as an idle agent where there is no task, and status says so', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--circuit-failures', '1', ...SHORT)
    await assign(town, 'a')
    await failNext(agents)
    await daemon.says(/circuit half-open/)
    await agentThat(town, { state: 'idle', circuit: 'half-open' }, 'is idle')
    expect((await town.cli('status')).stdout).toMatch(/^ {2}The circuit is half-open: the next task shows/m)
    await assign(town, 'b')
    await completeNext(agents)
    await agentThat(town, { state: 'idle', circuit: 'closed' }, 'works again')
  })

  it('tries a task that nobody has tried before one whose run failed', async () => {
    const { town, agents } = await scene({
      env: { TINYTOWN_MAX_ATTEMPTS: '2', TINYTOWN_RETRY_DELAY: '50ms' },
    })
    await town.worker('--cli', 'fake', '--circuit-failures', '1', ...SHORT)
    const first = await assign(town, 'first')
    const run = await agents.next()
    await assign(town, 'fresh')
    await run.exit(7)
    const probe = await agents.next()
    expect(probe.hello.prompt).toBe('fresh')
    expect(await taskThat(town, first, ({ state }) => state === 'assigned', 'waits')).toMatchObject({
      attempts: 1,
    })
    await probe.stdout('it works')
    await probe.exit(0)
    await completeNext(agents)
    expect(await ended(town, first)).toMatchObject({ state: 'completed', attempts: 2 })
  })
})

describe('a circuit', () => {
  it('is not opened by one task that fails again and again, nor where it is turned off', async () => {
    const { town, agents } = await scene({ env: { TINYTOWN_MAX_ATTEMPTS: '4', TINYTOWN_RETRY_DELAY: '1ms' } })
    const daemon = await town.worker('--cli', 'fake', ...LONG)
    const id = await assign(town, 'x')
    for (let attempt = 1; attempt <= 4; attempt += 1) await failNext(agents)
    await ended(town, id)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(daemon.stderr()).not.toMatch(/circuit/)
    const off = await town.worker('--cli', 'fake', ...LONG, '--circuit-failures', '0', '--max-attempts', '1')
    for (const text of ['a', 'b', 'c', 'd']) {
      await assign(town, text)
      await failNext(agents)
    }
    expect(off.stderr()).not.toMatch(/circuit/)
  })

  it('belongs to one agent of a process that hosts several', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--count', '2', '--circuit-failures', '1', ...LONG)
    await assign(town, 'a')
    await failNext(agents)
    await daemon.says(/circuit open/)
    const id = await assign(town, 'b', 'worker-2')
    await completeNext(agents)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    expect(await agentOf(town)).toMatchObject({ state: 'error', circuit: 'open' })
    expect(await agentOf(town, 'worker-2')).toMatchObject({ circuit: 'closed' })
  })

  it('that opens ends --once with 78 and leaves the rest in the inbox', async () => {
    const { town, agents } = await scene()
    const first = await town.worker('--cli', 'fake')
    first.signal('SIGTERM')
    await first.exit
    for (const text of ['a', 'b', 'c', 'd']) await assign(town, text)
    const daemon = town.start('--cli', 'fake', '--once')
    for (const _ of ['a', 'b', 'c']) await failNext(agents)
    expect(await daemon.exit).toBe(78)
    expect(daemon.stderr()).toMatch(/circuit open: 3 different tasks in a row failed.*; tasks stay queued"/)
    const agent = await agentOf(town)
    expect(agent).toMatchObject({ state: 'stopped', lastError: expect.stringMatching(OPEN) })
    expect(await (await town.redis()).llen(town.keys.agent(agent.id).inbox)).toBe(1)
  })
})
