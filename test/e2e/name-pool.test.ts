import { describe, expect, it } from 'vitest'
import { useClosers } from '../rig/daemon.ts'
import { agentOf, assign, ended, taskThat, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const POOL = ['--cli', 'fake', '--name-pool', '2']

describe('--name-pool', () => {
  it('gives two workers that start at once a name each, known by it to metrics and log, and refuses a third with 75', async () => {
    const { town, agents } = await scene()
    await town.cli('redis', 'start')
    const both = [0, 1].map(() => town.start(...POOL, '--health-addr', '127.0.0.1:0'))
    for (const daemon of both) await daemon.says(/starting -> idle/)
    const names = await Promise.all(
      both.map(async (daemon) => {
        const [url = ''] = /http:\/\/127\.0\.0\.1:\d+/.exec(daemon.stderr()) ?? []
        const status = JSON.parse(await (await fetch(`${url}/status.json`)).text())
        const metrics = await (await fetch(`${url}/metrics`)).text()
        const [{ name }] = status.agents
        expect(metrics).toMatch(new RegExp(`^tinytown_worker_ready\\{agent="${name}",cli="fake"\\} 1$`, 'm'))
        expect(metrics).not.toContain('worker-1..worker-2')
        expect(daemon.stderr()).toContain(`"agent":"${name}"`)
        return name
      }),
    )
    expect(names.sort()).toEqual(['worker-1', 'worker-2'])
    const third = await town.cli(...POOL)
    expect(third.exit).toBe(75)
    expect(third.stderr).toMatch(
      /All 2 agent names from worker-1 to worker-2 are in use by live workers[\s\S]*--name-pool 3/,
    )

    const id = await assign(town, 'to the second', 'worker-2')
    const run = await agents.next()
    expect(run.hello.env.TINYTOWN_AGENT_NAME).toBe('worker-2')
    await run.stdout('done')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })

  it('gives the name, the inbox and the task of a killed worker to the next one, on this host at once', async () => {
    const { town, agents } = await scene()
    const first = await town.worker(...POOL)
    const second = await town.worker(...POOL)
    await second.says(/"agent":"worker-2"/)
    const id = await assign(town, 'mend the roof')
    await agents.next()
    await taskThat(town, id, ({ state }) => state === 'running', 'runs')
    const before = await agentOf(town)
    first.signal('SIGKILL')
    await first.exit
    const third = await town.worker(...POOL)
    await third.says(/"agent":"worker-1"/)
    expect((await agentOf(town)).id).toBe(before.id)
    const again = await agents.next()
    await again.stdout('done')
    await again.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })

  it('waits for a silent holder that this host cannot judge, ready to be ended meanwhile', async () => {
    const { town } = await scene()
    await town.worker('--cli', 'fake', '--name', 'worker-2')
    const redis = await town.redis()
    const { id } = await agentOf(town, 'worker-2')
    // A worker of another machine that was killed: its lease is all that there is of it.
    await redis.hset(town.keys.agent(id).record, 'host', 'elsewhere')
    const waiting = town.start('--cli', 'fake', '--name', 'worker-2', '--name-pool', '1')
    expect(await waiting.exit).toBe(75)
    await redis.hset(town.keys.agent(id).record, 'host', 'elsewhere')
    await redis.set(town.keys.agent(id).lease, 'of-a-dead-worker', 'PX', 60_000)
    await until(async () => {
      const [, listeners] = (await redis.pubsub('NUMSUB', town.keys.agent(id).wake)) as [string, number]
      return Number(listeners) === 0
    }, 'the worker that lost its lease has gone')
    const patient = town.start('--cli', 'fake', '--name', 'worker-2', '--name-pool', '1')
    await patient.says(/the worker of worker-2 says nothing; its name is free in \d+ s unless it lives/)
    patient.signal('SIGTERM')
    expect(await patient.exit).toBe(143)
  })

  it('is refused beside --count', async () => {
    const { town } = await scene()
    const { exit, stderr } = await town.cli(...POOL, '--count', '2')
    expect([exit, stderr]).toEqual([
      78,
      expect.stringContaining('Expected namePool to be 0 beside a count of 2, got 2 (--name-pool)'),
    ])
  })
})
