import { readdirSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Script } from '../../src/store/script.ts'
import { useClosers } from '../rig/daemon.ts'
import { type RedisProxy, type Sent, startProxy } from '../rig/proxy.ts'
import { startRedis } from '../rig/redis-servers.ts'
import { agentOf, assign, ended, type Scene, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const scripts = new Map<string, string>()
beforeAll(async () => {
  const folder = new URL('../../src/store/scripts/', import.meta.url)
  for (const file of readdirSync(folder)) {
    for (const value of Object.values(await import(new URL(file, folder).href))) {
      const { sha, lua, name } = value as Script
      // A server that does not know it yet gets its text.
      if (sha) for (const known of [sha, lua]) scripts.set(known, name)
    }
  }
})

/** A command by its name; a script by its own. */
const nameOf = ([name = '', sha = '']: Sent) => scripts.get(sha) ?? name.toLowerCase()

/** A worker behind a proxy, in a town whose redis-server everybody else reaches directly. */
async function behindProxy(
  delayMs: number,
): Promise<Scene & { proxy: RedisProxy; worker: Awaited<ReturnType<Scene['town']['worker']>> }> {
  const server = await startRedis()
  onClose(() => server.close())
  const proxy = await startProxy({ host: '127.0.0.1', port: server.port }, { delayMs })
  onClose(() => proxy.close())
  const { town, agents } = await scene({ env: { REDIS_URL: `redis://127.0.0.1:${proxy.port}` } })
  const direct = { ...town, redis: async () => server.redis }
  const worker = await town.worker('--cli', 'fake')
  return { town: direct, agents, proxy, worker }
}

/** What goes out beside the task, at its own pace. */
const SIGNS_OF_LIFE = ['pulse', 'ping', 'look-after']

describe('a link of 50 ms', () => {
  it('costs a task four round trips beyond the wait', async () => {
    const { town, agents, proxy } = await behindProxy(50)
    const doOne = async () => {
      const id = await assign(town, 'x')
      const run = await agents.next()
      await run.stdout('one line')
      await run.exit(0)
      await ended(town, id)
    }
    // The server learns the scripts with the first task.
    await doOne()
    const before = proxy.sent.length
    await doOne()
    const isIdle = async () => (await agentOf(town)).state === 'idle'
    await until(isIdle, 'the worker is idle')
    const names = proxy.sent.slice(before).map(nameOf)
    const from = names.indexOf('claim')
    const task = names
      .slice(from, names.indexOf('settle') + 1)
      .filter((name) => !SIGNS_OF_LIFE.includes(name))
    // What the CLI said goes out as one pipeline: a stream entry and its expiry.
    expect(task).toEqual(['claim', 'start', 'xadd', 'expire', 'settle'])
  })
})

describe('a link that dies without a word', () => {
  it('6: is noticed while the worker waits, and it goes on over a new one', async () => {
    const { town, agents, proxy, worker } = await behindProxy(0)
    const before = proxy.connections
    proxy.blackHole()
    // The promise, not a measure of speed.
    await until(() => /Redis is away/.test(worker.stderr()), 'the dead link is noticed', 15_000)
    const id = await assign(town, 'x')
    await worker.says(/Redis is back/)
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    // Each one is made again: for commands, for the wait and for listening.
    await until(() => proxy.connections >= before + 3, 'every connection was made again')
  })

  it('is noticed while a task runs, whose result is written once', async () => {
    const { town, agents, proxy } = await behindProxy(0)
    const id = await assign(town, 'x')
    const run = await agents.next()
    proxy.blackHole()
    await run.stdout('the result')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'the result', attempts: 1 })
    expect(await agentOf(town)).toMatchObject({ tasksCompleted: 1 })
  })

  it('is tried again and again while Redis is away', async () => {
    const { town, agents, proxy, worker } = await behindProxy(0)
    for (let times = 0; times < 3; times += 1) {
      const before = proxy.connections
      proxy.cut()
      await until(() => proxy.connections >= before + 3, 'the worker connects again')
    }
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    expect(worker.stderr()).toMatch(/Redis is away[\s\S]*Redis is back/)
  })
})
