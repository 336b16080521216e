import { beforeAll, describe, expect, it } from 'vitest'
import { listAgents } from '../../src/store/agents.ts'
import { getTask } from '../../src/store/tasks.ts'
import { buildImage, type Composed, docker, makeComposed } from '../rig/compose.ts'
import { makeTown, useClosers } from '../rig/daemon.ts'
import { until } from '../rig/until.ts'

beforeAll(buildImage, 600_000)

const onClose = useClosers()
// Each starts several containers.
const MS = 240_000

/** The shortest lease that a loaded machine keeps up. */
const LEASE = { TINYTOWN_LEASE_MS: '5000' }

async function composed(options: Parameters<typeof makeComposed>[0] = {}) {
  const made = await makeComposed(options)
  onClose(() => made.close())
  // Somebody on the outside, who has the address of Redis.
  const outside = await makeTown('', { REDIS_URL: made.redisUrl })
  onClose(() => outside.close())
  const assign = async (name: string, text: string): Promise<string> => {
    const { exit, stdout, stderr } = await outside.cli('assign', name, text, '--json')
    if (exit !== 0) throw new Error(stderr)
    return JSON.parse(stdout).id
  }
  const taskIs = (id: string, state: string) =>
    until(
      async () => {
        const task = await getTask(made.redis, made.keys, id)
        return task?.state === state ? task : null
      },
      `the task is ${state}`,
      60_000,
    )
  return { ...made, redis: made.redis, outside, assign, taskIs }
}

interface State {
  Running: boolean
  ExitCode: number
  Health: { Status: string }
}

const statusOf = async (container: string) =>
  JSON.parse((await docker('inspect', container)).stdout)[0].State as State

async function exited({ workers }: Pick<Composed, 'workers'>): Promise<number> {
  const [container = ''] = await workers()
  await until(async () => !(await statusOf(container)).Running, 'the container has ended', 60_000)
  return (await statusOf(container)).ExitCode
}

describe('docker-compose.yml', () => {
  it('starts Redis alone without the profile, and a worker with it that does a task from outside', {
    timeout: MS,
  }, async () => {
    const { up, workers, idle, outside, agents } = await composed()
    await up('redis')
    expect(await workers()).toEqual([])
    await up()
    await idle('worker-1')
    const [container = ''] = await workers()
    const isHealthy = async () => (await statusOf(container)).Health.Status === 'healthy'
    await until(isHealthy, 'the health check of the image succeeds', 90_000)
    const assigned = outside.cli('assign', 'worker-1', 'Say hello', '--wait')
    const run = await agents.next()
    expect(run.hello.prompt).toContain('Say hello')
    expect(run.hello.cwd).toBe('/workspace')
    expect(run.hello.env).not.toHaveProperty('REDIS_URL')
    await run.stdout('hello from the container')
    await run.exit(0)
    expect(await assigned).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining('hello from the container'),
    })
  })

  it('drains at docker stop: the run in hand ends first', { timeout: MS }, async () => {
    const town = await composed()
    await town.up()
    await town.idle('worker-1')
    const id = await town.assign('worker-1', 'mend the roof')
    const run = await town.agents.next()
    await town.taskIs(id, 'running')
    const stopped = town.compose('stop', 'agent-worker')
    await until(
      async () => (await listAgents(town.redis, town.keys)).some(({ state }) => state === 'draining'),
      'the worker drains',
    )
    await run.stdout('mended')
    await run.exit(0)
    expect(await stopped).toMatchObject({ exit: 0 })
    expect(await town.taskIs(id, 'completed')).toMatchObject({ result: 'mended' })
    expect(await exited(town)).toBe(0)
  })

  it('gives a run back that outlasts the drain time-out; the next start does it', {
    timeout: MS,
  }, async () => {
    const town = await composed({ worker: { TINYTOWN_DRAIN_TIMEOUT: '1s' } })
    await town.up()
    const before = await town.idle('worker-1')
    const id = await town.assign('worker-1', 'mend the roof')
    await town.agents.next()
    await town.taskIs(id, 'running')
    expect(await town.compose('stop', 'agent-worker')).toMatchObject({ exit: 0 })
    expect(await getTask(town.redis, town.keys, id)).toMatchObject({
      state: 'assigned',
      assignedTo: before['worker-1'],
    })
    await town.compose('start', 'agent-worker')
    const again = await town.agents.next()
    await again.stdout('mended')
    await again.exit(0)
    expect(await town.taskIs(id, 'completed')).toMatchObject({ result: 'mended', attempts: 1 })
    expect(await town.idle('worker-1')).toEqual(before)
  })

  it('recovers the task of a container that was killed, under the same name', { timeout: MS }, async () => {
    const town = await composed({ worker: LEASE })
    await town.up()
    const before = await town.idle('worker-1')
    const id = await town.assign('worker-1', 'mend the roof')
    const lost = await town.agents.next()
    await town.taskIs(id, 'running')
    await town.compose('kill', 'agent-worker')
    await lost.gone
    await town.compose('start', 'agent-worker')
    const again = await town.agents.next()
    await again.stdout('mended')
    await again.exit(0)
    expect(await town.taskIs(id, 'completed')).toMatchObject({ result: 'mended' })
    expect(await town.idle('worker-1')).toEqual(before)
  })

  it('scales to three agents that keep their names and inboxes, also when all containers are made anew', {
    timeout: MS,
  }, async () => {
    const town = await composed({ worker: LEASE })
    const scale = ['--scale', 'agent-worker=3']
    const names = ['worker-1', 'worker-2', 'worker-3']
    await town.up(...scale)
    const before = await town.idle(...names)
    expect(new Set(Object.values(before)).size).toBe(3)
    const first = await Promise.all(names.map((name) => town.assign(name, `for ${name}`)))
    for (const _ of names) {
      const run = await town.agents.next()
      await run.stdout(`done by ${run.hello.env.TINYTOWN_AGENT_NAME}`)
      await run.exit(0)
    }
    for (const [at, id] of first.entries())
      expect(await town.taskIs(id, 'completed')).toMatchObject({ result: `done by ${names[at]}` })

    // Two leave in good order, one is killed; what comes meanwhile waits in the inboxes.
    const [victim = ''] = await town.workers()
    await docker('kill', victim)
    await town.compose('stop', 'agent-worker')
    const second = await Promise.all(names.map((name) => town.assign(name, `more for ${name}`)))
    await town.compose('rm', '-f', 'agent-worker')
    await town.up(...scale)
    for (const _ of names) {
      const run = await town.agents.next()
      await run.stdout(`done by ${run.hello.env.TINYTOWN_AGENT_NAME}`)
      await run.exit(0)
    }
    for (const [at, id] of second.entries())
      expect(await town.taskIs(id, 'completed')).toMatchObject({ result: `done by ${names[at]}` })
    expect(await town.idle(...names)).toEqual(before)
  })

  it('is live and not ready before there is a Redis, and works when it comes', { timeout: MS }, async () => {
    const town = await composed()
    await town.up('--no-deps', 'agent-worker')
    const [container = ''] = await town.workers()
    const health = (...args: string[]) => docker('exec', container, 'tinytown-worker', 'health', ...args)
    await until(async () => (await health()).exit === 0, 'it lives', 60_000)
    expect(await health('--ready')).toMatchObject({
      exit: 1,
      stdout: expect.stringContaining('redis: not connected yet'),
    })
    await town.up('redis')
    await until(async () => (await health('--ready')).exit === 0, 'it is ready', 90_000)
    await town.idle('worker-1')
  })
})
