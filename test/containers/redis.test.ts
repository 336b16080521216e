import { GenericContainer, Wait } from 'testcontainers'
import { describe, expect, it } from 'vitest'
import { makeTown, useClosers } from '../rig/daemon.ts'

const onClose = useClosers()

describe('a Redis in a container', () => {
  it('carries a town over TCP with a password: the worker does a task and no server is started beside it', async () => {
    const password = 'only-for-this-test'
    const container = await new GenericContainer(process.env.TEST_REDIS_IMAGE ?? 'redis:8')
      .withCommand(['redis-server', '--requirepass', password])
      .withExposedPorts(6379)
      .withWaitStrategy(Wait.forListeningPorts())
      .start()
    onClose(() => container.stop())
    const url = `redis://:${password}@${container.getHost()}:${container.getMappedPort(6379)}/0`
    const town = await makeTown('', { REDIS_URL: url, DEMO_AGENT_STEP_MS: '1' })
    onClose(() => town.close())
    const worker = await town.worker('--cli', 'demo')
    const assigned = await town.cli('assign', 'worker-1', 'Say hello', '--wait')
    expect(assigned).toMatchObject({ exit: 0, stdout: expect.stringContaining('hello-from-tinytown.md') })
    const status = JSON.parse((await town.cli('status', '--json')).stdout)
    expect(JSON.stringify(status)).not.toContain(password)
    expect(await town.files('.tt')).not.toContain('redis.sock')
    worker.signal('SIGTERM')
    expect(await worker.exit).toBe(0)
    expect(worker.stderr()).not.toContain(password)
  })
})
