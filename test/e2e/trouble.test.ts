import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { encodeMessage, newMessage } from '../../src/domain/message.ts'
import { findAgent } from '../../src/store/agents.ts'
import { getTask } from '../../src/store/tasks.ts'
import { type Daemon, processLives, type TestTown, useClosers } from '../rig/daemon.ts'
import { assign, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const redisPid = async (town: TestTown) => Number(await readFile(join(town.root, '.tt', 'redis.pid'), 'utf8'))

async function state(town: TestTown, id: string) {
  return (await getTask(await town.redis(), town.keys, id))?.state
}

describe('a worker that slept while another one took its name', () => {
  it('ends its own run, writes nothing and leaves the run of the other alone', async () => {
    const { town, agents } = await scene()
    const sleeper = await town.worker('--cli', 'fake', '--lease-ms', '1000', '--kill-grace', '500ms')
    const id = await assign(town, 'x')
    const first = await agents.next()
    sleeper.signal('SIGSTOP')
    const redis = await town.redis()
    const { lease } = town.keys.agent((await findAgent(redis, town.keys, 'worker-1')).id)
    await until(async () => (await redis.exists(lease)) === 0, 'the lease ran out')
    await town.worker('--cli', 'fake')
    const second = await agents.next()
    sleeper.signal('SIGCONT')
    expect(await sleeper.exit).toBe(75)
    expect(sleeper.stderr()).toMatch(/another worker took this agent/)
    expect(await processLives(first.hello.pid)).toBe(false)
    expect(await processLives(second.hello.pid)).toBe(true)
    await second.stdout('by the second')
    await second.exit(0)
    await until(async () => (await state(town, id)) === 'completed', 'the task is completed')
    expect(await getTask(redis, town.keys, id)).toMatchObject({ result: 'by the second' })
  })
})

describe('a Redis that is frozen', () => {
  it('does not keep an idle worker from ending on SIGTERM', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const pid = await redisPid(town)
    process.kill(pid, 'SIGSTOP')
    onClose(async () => process.kill(pid, 'SIGCONT'))
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(69)
    expect(daemon.stderr()).toMatch(/ended without Redis/)
  })
})

describe('a Redis that is gone when the result is there', () => {
  it('is not waited for after the second signal, and the next start takes the task up', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--kill-grace', '500ms')
    const id = await assign(town, 'x')
    const run = await agents.next()
    expect((await town.cli('redis', 'stop')).exit).toBe(0)
    await daemon.says(/Redis is away/)
    await run.stdout('done')
    await run.exit(0)
    daemon.signal('SIGTERM')
    await daemon.says(/draining/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(143)
    expect((await town.cli('redis', 'start')).exit).toBe(0)
    await until(async () => (await state(town, id)) === 'running', 'the record is back')
  })
})

describe('a Redis that refuses writes', () => {
  it('does not keep an idle worker from ending on SIGTERM', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    await (await town.redis()).config('SET', 'maxmemory', '1')
    await daemon.says(/Redis refused a write/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(69)
  })

  it('26: for longer than a lease costs no run, and is asked again until it takes the result', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--lease-ms', '1000')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const redis = await town.redis()
    const seconds = async () => Number((await redis.time())[0])
    await redis.config('SET', 'maxmemory', '1')
    // The lease, the grace that peers give, and a beat.
    const over = (await seconds()) + 6
    await until(async () => (await seconds()) >= over, 'the lease would be over without memory')
    expect(daemon.stderr()).not.toMatch(/dead|ended|lost/)
    await run.stdout('kept')
    await run.exit(0)
    await daemon.says(/Redis refused a write/)
    await redis.config('SET', 'maxmemory', '0')
    await until(async () => (await state(town, id)) === 'completed', 'the result is written')
    expect(await getTask(redis, town.keys, id)).toMatchObject({ result: 'kept', attempts: 1 })
  })
})

describe('a Redis that lost its data', () => {
  it('28: gets the registration again, under the same name, and tasks are done as before', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--lease-ms', '1000')
    const redis = await town.redis()
    await redis.flushall()
    await daemon.says(/Redis lost its data/)
    await until(
      async () => (await redis.keys(`tt:${town.keys.town}:agent:*`)).length === 1,
      'it is registered again',
    )
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    await until(async () => (await state(town, id)) === 'completed', 'the task is completed')
  })

  it('does not stop the worker from ending when it is told to', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--lease-ms', '1000')
    await (await town.redis()).flushall()
    await daemon.says(/Redis lost its data/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
  })
})

describe('the key of a task', () => {
  it.each(['text that is no JSON object', 'list'])(
    '21: that holds no record but %s puts the message aside with its reason, and the next task runs',
    async (kind) => {
      const { town, agents } = await scene()
      const daemon = await town.worker('--cli', 'fake')
      const redis = await town.redis()
      const agent = await findAgent(redis, town.keys, 'worker-1')
      const id = newId()
      if (kind === 'list') await redis.rpush(town.keys.task(id), 'x')
      else await redis.set(town.keys.task(id), 'x')
      const body = { type: 'task_assign', task_id: id } as const
      const message = newMessage({
        from: SUPERVISOR_ID,
        to: agent.id,
        body,
        createdAt: new Date().toISOString(),
      })
      await redis.rpush(town.keys.agent(agent.id).inbox, encodeMessage(message))
      await daemon.says(new RegExp(`The key of task ${id} holds no record: ${kind}`))
      await assign(town, 'x')
      const run = await agents.next()
      await run.exit(1)
    },
  )
})

describe('signals', () => {
  async function working(...flags: string[]): Promise<{ daemon: Daemon; pid: number }> {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', ...flags)
    await assign(town, 'x')
    const run = await agents.next()
    await run.ignoreTerm()
    return { daemon, pid: run.hello.pid }
  }

  it('end everything at the third one, the CLI too', async () => {
    const { daemon, pid } = await working('--kill-grace', '10m')
    for (const word of [/draining/, /ending the run in hand/, /./]) {
      daemon.signal('SIGINT')
      await daemon.says(word)
    }
    expect(await daemon.exit).toBe(130)
    await until(async () => !(await processLives(pid)), 'the CLI is gone')
  })

  it('end everything at the third one, also what is left when the CLI itself is gone', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--kill-grace', '10m')
    await assign(town, 'x')
    const run = await agents.next()
    const left = await run.grandchild({ keepStdout: false, ignoreTerm: true })
    daemon.signal('SIGINT')
    await daemon.says(/draining/)
    daemon.signal('SIGINT')
    await run.gone
    expect(await processLives(left)).toBe(true)
    daemon.signal('SIGINT')
    expect(await daemon.exit).toBe(130)
    await until(async () => !(await processLives(left)), 'what the CLI left is gone')
  })

  it('of a lost terminal reload the log level, and the worker goes on', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    daemon.signal('SIGHUP')
    await daemon.says(/settings read again/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
  })
})

describe('a CLI that nobody knows', () => {
  it('ends the start with 2 and names those that are known', async () => {
    const { town } = await scene()
    const worker = await town.cli('--cli', 'codx')
    expect(worker.exit).toBe(2)
    expect(worker.stderr).toMatch(
      /Expected cli to be one of codex, claude, demo, fake, got "codx" \(--cli\)\n {2}→ Did you mean codex\?/,
    )
  })
})
