import { describe, expect, it } from 'vitest'
import { start } from '../../src/store/scripts/start.ts'
import { type Daemon, processLives, useClosers } from '../rig/daemon.ts'
import type { FakeAgents } from '../rig/fake-agent.ts'
import { runOf, useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign, ended, taskThat } from '../rig/scene.ts'
import { until } from '../rig/until.ts'
import { endsOf } from '../rig/written-once.ts'

const onClose = useClosers()
const newTown = useFaultyTown(onClose)

const SHORT_LEASE = ['--lease-ms', '1000', '--kill-grace', '500ms']
const WORKER = ['--cli', 'fake', ...SHORT_LEASE]
const PEER = [...WORKER, '--name', 'peer']

const RECOVERED = /the worker of worker-1 is dead; its inbox has 1 message\(s\) back/

/** Does the task that comes next, and returns its id. */
async function doNext(agents: FakeAgents, result = 'ok'): Promise<string> {
  const run = await agents.next()
  await run.stdout(result)
  await run.exit(0)
  return run.hello.env.TINYTOWN_TASK_ID ?? ''
}

async function killed(daemon: Daemon): Promise<void> {
  daemon.signal('SIGKILL')
  await daemon.exit
}

describe('kill -9 of a worker whose peers live', () => {
  it('3: between claim and spawn gives the message back in seconds, the order kept', async () => {
    const { town, agents, proxy, behindProxy } = await newTown()
    const peer = await town.worker(...PEER)
    const worker = await behindProxy(...WORKER)
    const held = proxy.hold(runOf(start))
    const first = await assign(town, 'first')
    const second = await assign(town, 'second')
    await held.arrived
    await killed(worker)
    await peer.says(RECOVERED)
    const redis = await town.redis()
    const agent = await agentOf(town)
    expect(agent).toMatchObject({ state: 'error', lastError: expect.stringMatching(/worker died/) })
    expect(await redis.lrange(town.keys.agent(agent.id).inbox, 0, -1)).toEqual([
      expect.stringContaining(first),
      expect.stringContaining(second),
    ])
    expect(agents.started).toBe(0)
    await town.worker(...WORKER)
    expect([await doNext(agents), await doNext(agents)]).toEqual([first, second])
    expect(await ended(town, first)).toMatchObject({ state: 'completed', attempts: 1 })
    expect(await ended(town, second)).toMatchObject({ state: 'completed', attempts: 1 })
  })

  it('36: after they started gives its task back, in error with the reason, for a restart of the name', async () => {
    const { town, agents } = await newTown()
    const worker = await town.worker(...WORKER)
    const peer = await town.worker(...PEER)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await killed(worker)
    await peer.says(RECOVERED)
    expect(await taskThat(town, id, ({ state }) => state === 'assigned', 'is assigned again')).toMatchObject({
      attempts: 1,
    })
    expect(await agentOf(town)).toMatchObject({
      state: 'error',
      lastError: expect.stringMatching(/worker died/),
    })
    await town.worker(...WORKER)
    expect(await doNext(agents)).toBe(id)
    // What the dead one left of the run was ended first.
    expect(await processLives(run.hello.pid)).toBe(false)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 2 })
    expect(await endsOf(town, id)).toEqual(['task_completed'])
    expect(await agentOf(town)).toMatchObject({ tasksCompleted: 1 })
  })

  it('20: in the middle of a drain recovers its task', async () => {
    const { town, agents } = await newTown()
    const peer = await town.worker(...PEER)
    const worker = await town.worker(...WORKER)
    const id = await assign(town, 'x')
    await agents.next()
    worker.signal('SIGTERM')
    await worker.says(/draining/)
    await until(async () => (await agentOf(town)).state === 'draining', 'the record says draining')
    await killed(worker)
    await peer.says(RECOVERED)
    expect(await agentOf(town)).toMatchObject({ state: 'error' })
    await town.worker(...WORKER)
    expect(await doNext(agents)).toBe(id)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 2 })
  })
})

describe('a worker that was only asleep', () => {
  it('37: obeys a stop that was wished of it meanwhile', async () => {
    const { town, agents } = await newTown()
    const peer = await town.worker(...PEER)
    const sleeper = await town.worker(...WORKER)
    const id = await assign(town, 'x')
    await agents.next()
    sleeper.signal('SIGSTOP')
    await peer.says(/worker-1 is dead/)
    expect((await town.cli('kill', 'worker-1')).exit).toBe(0)
    sleeper.signal('SIGCONT')
    expect(await sleeper.exit).toBe(0)
    await taskThat(town, id, ({ state }) => state === 'assigned', 'is given back')
    expect(agents.started).toBe(1)
  })

  it('8: ends its own run when it wakes up behind a recovery, registers again and runs the task once more', async () => {
    const { town, agents } = await newTown()
    const peer = await town.worker(...PEER)
    const sleeper = await town.worker(...WORKER)
    const id = await assign(town, 'x')
    const first = await agents.next()
    sleeper.signal('SIGSTOP')
    await peer.says(RECOVERED)
    sleeper.signal('SIGCONT')
    await sleeper.says(/a peer took it for dead/)
    const second = await agents.next()
    expect(await processLives(first.hello.pid)).toBe(false)
    await second.stdout('the only result')
    await second.exit(0)
    expect(await ended(town, id)).toMatchObject({
      state: 'completed',
      result: 'the only result',
      attempts: 2,
    })
    expect(await endsOf(town, id)).toEqual(['task_completed'])
    expect(agents.started).toBe(2)
  })

  it('8: writes nothing when another worker took its name and its task meanwhile, and ends', async () => {
    const { town, agents } = await newTown()
    const peer = await town.worker(...PEER)
    const sleeper = await town.worker(...WORKER)
    const id = await assign(town, 'x')
    const first = await agents.next()
    sleeper.signal('SIGSTOP')
    await peer.says(RECOVERED)
    await town.worker(...WORKER)
    const second = await agents.next()
    sleeper.signal('SIGCONT')
    expect(await sleeper.exit).toBe(75)
    expect(await processLives(first.hello.pid)).toBe(false)
    expect(await processLives(second.hello.pid)).toBe(true)
    await second.stdout('by the second')
    await second.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'by the second', attempts: 2 })
    expect(await endsOf(town, id)).toEqual(['task_completed'])
  })

  it('9: for twice its lease in its own event loop does not run its task twice at a time', async () => {
    const { town, agents, blockable } = await newTown()
    const peer = await town.worker(...PEER)
    const blocked = await blockable(8000, ...WORKER)
    const id = await assign(town, 'x')
    const first = await agents.next()
    process.kill(blocked.pid, 'SIGUSR2')
    await blocked.says(/stands still/)
    await peer.says(RECOVERED)
    expect(await processLives(first.hello.pid)).toBe(true)
    await blocked.says(/goes on/)
    const second = await agents.next()
    expect(await processLives(first.hello.pid)).toBe(false)
    await second.stdout('ok')
    await second.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 2 })
    expect(await endsOf(town, id)).toEqual(['task_completed'])
  })
})

describe('two daemons with one agent name', () => {
  it('29: are one: the second is refused, and the first goes on', async () => {
    const { town, agents } = await newTown()
    await town.worker(...WORKER)
    const id = await assign(town, 'x')
    const run = await agents.next()
    const second = await town.cli(...WORKER)
    expect(second).toMatchObject({ exit: 75, stderr: expect.stringMatching(/worker-1 is in use/) })
    await run.stdout('by the first')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'by the first', attempts: 1 })
    expect(agents.started).toBe(1)
  })
})
