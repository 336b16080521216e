import { afterAll, beforeAll, expect, it } from 'vitest'
import { useClosers } from '../rig/daemon.ts'
import { startCluster, startSentinels } from '../rig/redis-servers.ts'
import { assign, ended, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

let servers: Awaited<ReturnType<typeof startSentinels>>
beforeAll(async () => {
  servers = await startSentinels('p@ss')
})
afterAll(() => servers.close())

it('a worker behind Sentinels settles the task in hand on the new primary, and goes on there', async () => {
  const { primary, replica, sentinels } = servers
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')
  const { town, agents } = await scene({
    env: { REDIS_URL: `redis+sentinel://:p%40ss@${hosts}/shop` },
  })
  const worker = await town.worker('--cli', 'fake')
  const first = await assign({ ...town, redis: async () => primary.redis }, 'first')
  const run = await agents.next()
  const state = () => replica.redis.hget(town.keys.task(first), 'state')
  await until(async () => (await state()) === 'running', 'the replica knows of the run')
  await primary.kill()
  await run.stdout('the result')
  await run.exit(0)
  const after = { ...town, redis: async () => replica.redis }
  await until(
    async () => /role:master/.test(await replica.redis.info('replication')),
    'the replica is promoted',
    30_000,
  )
  expect(await ended(after, first)).toMatchObject({ state: 'completed', result: 'the result', attempts: 1 })
  const second = await assign(after, 'second')
  const next = await agents.next()
  await next.stdout('ok')
  await next.exit(0)
  expect(await ended(after, second)).toMatchObject({ state: 'completed' })
  worker.signal('SIGTERM')
  expect(await worker.exit).toBe(0)
  expect(worker.stderr()).not.toContain('p@ss')
  expect(worker.stderr()).not.toContain('p%40ss')
})

it('a worker in a Cluster does its tasks, also after the node of its town died', async () => {
  const cluster = await startCluster('tt:{shop}')
  onClose(() => cluster.close())
  const { owner, replica, nodes } = cluster
  const seeds = nodes.filter((node) => node !== owner).map(({ port }) => `127.0.0.1:${port}`)
  const { town, agents } = await scene({
    env: { REDIS_URL: `redis+cluster://${seeds.join(',')}`, TINYTOWN_TOWN_NAME: '{shop}' },
  })
  await town.worker('--cli', 'fake')
  const assigned = async (text: string) => {
    const { stdout, exit } = await town.cli('assign', 'worker-1', text, '--json')
    expect(exit).toBe(0)
    const run = await agents.next()
    await run.stdout(`done: ${text}`)
    await run.exit(0)
    const id = JSON.parse(stdout).id
    return await town.cli('wait', id, '--json')
  }
  expect(await assigned('one')).toMatchObject({ exit: 0, stdout: expect.stringContaining('done: one') })
  await until(
    async () => (await replica.redis.dbsize()) === (await owner.redis.dbsize()),
    'the replica has everything',
  )
  await owner.kill()
  await until(
    async () => /role:master/.test(await replica.redis.info('replication')),
    'the replica is promoted',
    30_000,
  )
  expect(await assigned('two')).toMatchObject({ exit: 0, stdout: expect.stringContaining('done: two') })
})
