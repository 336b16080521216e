import { describe, expect, it } from 'vitest'
import { useTowns } from '../rig/towns.ts'
import { until } from '../rig/until.ts'

const { townWithAgent, townWithWorker } = useTowns()

describe('interrupt and resume', () => {
  it('keep a worker from its inbox, and let it go on', async () => {
    const { cli, agents } = await townWithWorker()
    expect(await cli('interrupt', 'worker-1')).toMatchObject({
      exit: 0,
      stdout: 'worker-1 is paused: it takes no task until it is resumed\n',
    })
    expect((await cli('interrupt', 'worker-1')).stdout).toBe('worker-1 was paused already\n')
    expect((await cli('assign', 'worker-1', 'x')).stderr).toMatch(/worker-1 is paused/)
    expect((await cli('list')).stdout).toMatch(/worker-1 +paused .* 1 +0/)
    expect(agents.started).toBe(0)
    const resumed = await cli('resume', 'worker-1', '--json')
    expect(JSON.parse(resumed.stdout)).toMatchObject({ name: 'worker-1', before: 'paused', state: 'idle' })
    expect(resumed.stderr).toBe('')
    const run = await agents.next()
    await cli('interrupt', 'worker-1')
    await run.stdout('done\n')
    await run.exit(0)
    await until(async () => (await cli('tasks', '--state', 'completed')).stdout !== '', 'the run is settled')
    expect((await cli('list')).stdout).toMatch(/worker-1 +paused/)
  })

  it('are refused where the state does not allow them, each with a remedy', async () => {
    const { cli, redis, keys, id } = await townWithAgent({ state: 'stopped' })
    expect(await cli('interrupt', 'worker-1')).toMatchObject({
      exit: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /worker-1 is stopped: there is nothing to pause\n.*→ Start it with .*--cli demo/,
      ),
    })
    expect(await cli('resume', 'worker-1', '--json')).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(
        /"code":"wrong-state".*only a paused agent can be resumed, or one in error/,
      ),
    })
    await redis.hset(keys.agent(id).record, { state: 'idle' })
    expect((await cli('resume', 'worker-1')).stderr).toMatch(
      /worker-1 is idle: only a paused .*\n.*interrupt worker-1/,
    )
    await redis.hset(keys.agent(id).record, { state: 'error' })
    expect((await cli('interrupt', 'worker-1')).stderr).toMatch(
      /worker-1 is error: .*\n.*kill worker-1 stops it/,
    )
    expect(await cli('resume', 'worker-1')).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/no worker of it runs that could look again\n.*→ Start it with /),
    })
    expect((await cli('interrupt', 'nobody')).exit).toBe(2)
  })

  it('say that a resumed agent has no worker', async () => {
    const { cli } = await townWithAgent({ state: 'paused' })
    expect(await cli('resume', 'worker-1')).toMatchObject({
      exit: 0,
      stdout: 'worker-1 is resumed\n',
      stderr: expect.stringMatching(/Resumed; worker-1 is not running: start it/),
    })
  })
})

describe('close', () => {
  it('lets the run in hand finish, waits until the worker has stopped, and is refused then', async () => {
    const { cli, start, agents, redis, daemon } = await townWithWorker()
    await cli('assign', 'worker-1', 'x')
    const run = await agents.next()
    const closing = start('close', 'worker-1', '--wait')
    await until(
      async () => /:close:.*cmd=xread/.test(String(await redis.client('LIST'))),
      'the wait has begun',
    )
    expect((await cli('list')).stdout).toMatch(/worker-1 +draining/)
    await run.stdout('done\n')
    await run.exit(0)
    expect(await closing.exit).toBe(0)
    expect(closing.stdout()).toBe('worker-1 is stopped\n')
    expect(await daemon.exit).toBe(0)
    expect(await cli('close', 'worker-1')).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/worker-1 is stopped: there is nothing to close\n.*→ Start it/),
    })
  })

  it('stops an agent at once that nobody runs', async () => {
    const { cli } = await townWithAgent({ state: 'working' })
    expect(JSON.parse((await cli('close', 'worker-1', '--json')).stdout)).toMatchObject({
      state: 'stopped',
      answer: 'stopped',
    })
  })
})
