import { describe, expect, it } from 'vitest'
import { claim } from '../../src/store/scripts/claim.ts'
import { getTask } from '../../src/store/tasks.ts'
import { census, isAlive } from '../rig/census.ts'
import { type Daemon, type TestTown, useClosers } from '../rig/daemon.ts'
import { commandOf, runOf, useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign, ended } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const newTown = useFaultyTown(useClosers())

const WORKER = ['--cli', 'fake']

/** The tasks of the messages in the inbox of worker-1, in their order. */
async function queued(town: TestTown): Promise<string[]> {
  const { inbox } = town.keys.agent((await agentOf(town)).id)
  const messages = await (await town.redis()).lrange(inbox, 0, -1)
  return messages.map((raw) => JSON.parse(raw).task_id)
}

/** Asserts that a worker has left in good order with nothing in hand. */
async function hasLeft(town: TestTown, daemon: Daemon, exit: number): Promise<void> {
  expect(await daemon.exit).toBe(exit)
  const agent = await agentOf(town)
  expect(agent).toMatchObject({ state: 'stopped' })
  const { inFlight, lease } = town.keys.agent(agent.id)
  expect(await (await town.redis()).exists(inFlight, lease)).toBe(0)
}

describe('SIGTERM that races a claim', () => {
  it('15: the message that was claimed meanwhile is back at the head, and nothing ran', async () => {
    const { town, agents, proxy, behindProxy } = await newTown()
    const daemon = await behindProxy(...WORKER)
    const held = proxy.hold(runOf(claim))
    const tasks = [await assign(town, 'first'), await assign(town, 'second')]
    await held.arrived
    daemon.signal('SIGTERM')
    await daemon.says(/draining/)
    held.release()
    await hasLeft(town, daemon, 0)
    expect(await queued(town)).toEqual(tasks)
    expect(await getTask(await town.redis(), town.keys, tasks[0] ?? '')).toMatchObject({ state: 'assigned' })
    expect(agents.started).toBe(0)
  })

  it('15: so is the message that a wait took meanwhile', async () => {
    const { town, agents, proxy, behindProxy } = await newTown()
    const daemon = await behindProxy(...WORKER)
    const held = proxy.hold(commandOf('blmove'))
    await held.arrived
    daemon.signal('SIGTERM')
    await daemon.says(/draining/)
    const tasks = [await assign(town, 'first'), await assign(town, 'second')]
    held.release()
    await hasLeft(town, daemon, 0)
    expect(await queued(town)).toEqual(tasks)
    expect(agents.started).toBe(0)
  })
})

describe('SIGTERM while a run is in hand', () => {
  it('17: whose tree ignores it: the tree is killed at the deadline, and the task given back uncounted', async () => {
    const { town, agents } = await newTown()
    const daemon = await town.worker(...WORKER, '--drain-timeout', '500ms', '--kill-grace', '500ms')
    const tasks = [await assign(town, 'first'), await assign(town, 'second')]
    const run = await agents.next()
    await run.ignoreTerm()
    const far = await run.grandchild({ keepStdout: true, ignoreTerm: true })
    const runId = run.hello.env.TINYTOWN_RUN_ID ?? ''
    daemon.signal('SIGTERM')
    await hasLeft(town, daemon, 0)
    expect([[run.hello.pid, far].filter(isAlive), census({ runId })]).toEqual([[], []])
    expect(await queued(town)).toEqual(tasks)
    expect(await getTask(await town.redis(), town.keys, tasks[0] ?? '')).toMatchObject({
      state: 'assigned',
      attempts: 0,
    })
  })
})

describe('one signal after another', () => {
  it('18: escalates to the third, and five more change nothing', async () => {
    const { town, agents } = await newTown()
    const daemon = await town.worker(...WORKER, '--kill-grace', '10m')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.ignoreTerm()
    const far = await run.grandchild({ keepStdout: true, ignoreTerm: true })
    daemon.signal('SIGTERM')
    await daemon.says(/draining/)
    expect(isAlive(run.hello.pid)).toBe(true)
    daemon.signal('SIGTERM')
    await daemon.says(/ending the run in hand/)
    for (let more = 0; more < 6; more += 1) daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(143)
    await until(() => ![run.hello.pid, far].some(isAlive), 'the tree is gone')
    expect(daemon.stderr().match(/the third signal: what runs is killed/g)).toHaveLength(1)
    expect(daemon.stderr().match(/draining \(SIGTERM\)/g)).toHaveLength(1)
    expect(daemon.stderr().match(/ending the run in hand/g)).toHaveLength(1)
    await town.worker(...WORKER)
    const again = await agents.next()
    await again.stdout('ok')
    await again.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 2 })
  })
})
