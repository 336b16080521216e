import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { registerAgent } from '../../src/store/agents.ts'
import { checkServer } from '../../src/store/check-server.ts'
import { connectRedis, duplicateRedis, isPassing, type Redis } from '../../src/store/connection.ts'
import { claimMessage, waitForMessage } from '../../src/store/inbox.ts'
import { townKeys } from '../../src/store/keys.ts'
import { assignTask, getTask } from '../../src/store/tasks.ts'
import { hearTown } from '../../src/store/wake.ts'
import { addressOf, options } from '../rig/connection-suite.ts'
import { type RedisServer, startCluster, startSentinels } from '../rig/redis-servers.ts'
import { until } from '../rig/until.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const TOWN = '{shop}'
const keys = townKeys(TOWN)
const lasting = { ...options, anyKey: keys.base, lasting: true, timeoutMs: 10_000 }

async function connect(url: string, events: string[] = []): Promise<Redis> {
  const { address } = await checkServer(addressOf(url), lasting)
  const redis = await connectRedis(address, { ...lasting, onEvent: ({ type }) => events.push(type) })
  closers.push(() => redis.disconnect())
  return redis
}

/** Writes until it is taken, as the worker does: what passes by itself is tried again. */
async function written(write: () => Promise<unknown>): Promise<void> {
  await until(async () => {
    try {
      await write()
      return true
    } catch (error) {
      if (isPassing(error)) return false
      throw error
    }
  }, 'the write is taken')
}

/** A town in use: registered, a wait that is open, and an ear. */
async function townAt(url: string, events: string[] = []) {
  const redis = await connect(url, events)
  const who = { name: newId(), cli: 'demo', role: undefined, leaseMs: 30_000, extra: {} }
  const registered = await registerAgent(redis, keys, who)
  if (registered.kind !== 'registered') throw new Error(registered.kind)
  const { lease } = registered
  const blocking = await duplicateRedis(redis, 'blocking')
  const listening = await duplicateRedis(redis, 'listening')
  closers.push(() => [blocking, listening].map((one) => one.disconnect()))
  let wakes = 0
  await hearTown(listening, lease, {
    onLook: () => undefined,
    onWake: () => {
      wakes += 1
    },
    onError: (error) => {
      throw error
    },
  })
  const assign = async () => {
    const task = { description: 'Do X', tags: [], priority: 'normal' } as const
    return (await assignTask(redis, keys, lease.agentId, task)).taskId
  }
  return { redis, lease, blocking, assign, wakes: () => wakes }
}

/** The wait of the worker goes on over a failover, and what comes afterwards is claimed. */
async function goesOn(town: Awaited<ReturnType<typeof townAt>>): Promise<void> {
  const { redis, lease, blocking, assign, wakes } = town
  const heard = wakes()
  let taskId = ''
  await written(async () => {
    taskId = await assign()
  })
  await written(() => waitForMessage(blocking, lease, 1))
  expect(await claimMessage(lease)).toMatchObject({ kind: 'message' })
  expect(await getTask(redis, keys, taskId)).toMatchObject({ state: 'assigned' })
  await until(async () => {
    await redis.publish(lease.agent.wake, 'x')
    return wakes() > heard
  }, 'the word is heard')
}

/** The one of two that takes writes now. */
async function primaryOf(servers: readonly RedisServer[]): Promise<RedisServer> {
  for (const server of servers) if (/role:master/.test(await server.redis.info('replication'))) return server
  throw new Error('there is no primary')
}

const promoted = ({ redis }: RedisServer) =>
  until(async () => /role:master/.test(await redis.info('replication')), 'the replica is promoted', 30_000)
const portOf = async (redis: Redis) => Number(((await redis.config('GET', 'port')) as string[])[1])

// One after another on the same servers: the last one kills the primary.
describe('Sentinel', () => {
  let servers: Awaited<ReturnType<typeof startSentinels>>
  beforeAll(async () => {
    servers = await startSentinels('p@ss')
  })
  afterAll(() => servers.close())
  const url = () =>
    `redis+sentinel://:p%40ss@${servers.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/shop`

  it('that knows no such primary is told, and one whose address was taken for that of a Redis', async () => {
    const port = servers.sentinels[0]?.port
    const short = { ...lasting, timeoutMs: 500 }
    await expect(
      checkServer(addressOf(`redis+sentinel://127.0.0.1:${port}/other`), short),
    ).rejects.toMatchObject({ code: 'redis-unreachable', message: expect.stringMatching(/other/) })
    await expect(checkServer(addressOf(`redis://127.0.0.1:${port}`), short)).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('got a Sentinel'),
      remedy: expect.stringContaining('redis+sentinel://'),
    })
  })

  it('is asked for the primary, and again when that one was demoted alive', async () => {
    const { primary, replica, sentinels } = servers
    const town = await townAt(url())
    expect(await portOf(town.redis)).toBe(primary.port)
    await sentinels[0]?.redis.call('SENTINEL', 'FAILOVER', 'shop')
    await promoted(replica)
    // Until then it takes writes that nobody will see again.
    await until(
      async () => /role:slave/.test(await primary.redis.info('replication')),
      'it is demoted',
      30_000,
    )
    await goesOn(town)
    expect(await portOf(town.redis)).toBe(replica.port)
  })

  it('is asked for the new primary when the old one died', async () => {
    const pair = [servers.primary, servers.replica]
    const primary = await primaryOf(pair)
    const replica = pair.find((one) => one !== primary) as RedisServer
    await until(
      async () => /master_link_status:up/.test(await replica.redis.info('replication')),
      'the replica follows',
      30_000,
    )
    const events: string[] = []
    const town = await townAt(url(), events)
    const waiting = waitForMessage(town.blocking, town.lease, 1).catch((error) => isPassing(error))
    expect(await town.redis.wait(1, 5000)).toBe(1)
    await primary.kill()
    await promoted(replica)
    await waiting
    await goesOn(town)
    expect(await portOf(town.redis)).toBe(replica.port)
    expect(events.filter((type) => type !== 'redis-waiting')).toEqual(['redis-lost', 'redis-back'])
  })
})

describe('Cluster', () => {
  let servers: Awaited<ReturnType<typeof startCluster>>
  beforeAll(async () => {
    servers = await startCluster(keys.base)
  })
  afterAll(() => servers.close())
  const urlOf = (nodes: readonly RedisServer[]) =>
    `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`

  it('is found out behind the plain URL of any node, and wants the name in braces', async () => {
    const { nodes, owner, replica } = servers
    expect(
      (await checkServer(addressOf(`redis://127.0.0.1:${replica.port}`), lasting)).address.place.kind,
    ).toBe('cluster')
    await expect(
      checkServer(addressOf(`redis://127.0.0.1:${replica.port}/1`), lasting),
    ).rejects.toMatchObject({
      code: 'config',
      message: expect.stringContaining('Expected database 0'),
    })
    const other = nodes.find((node) => node !== owner)
    const url = `redis://127.0.0.1:${other?.port}`
    const { address } = await checkServer(addressOf(url), lasting)
    expect(address.place).toEqual({ kind: 'cluster', nodes: [{ host: '127.0.0.1', port: other?.port }] })
    const redis = await connect(url)
    await redis.set(`${keys.base}:probe`, newId())
    expect(await owner.redis.exists(`${keys.base}:probe`)).toBe(1)
    for (const one of [url, urlOf(nodes)]) {
      await expect(checkServer(addressOf(one), { ...lasting, anyKey: 'tt:shop' })).rejects.toMatchObject({
        code: 'config',
        message: expect.stringContaining('to stand in braces, got shop'),
        remedy: expect.stringContaining('name = "{shop}"'),
      })
    }
  })

  it('keeps a town in the slot of its name, and is followed when the slot is handed over alive', async () => {
    const { nodes, owner, replica } = servers
    const town = await townAt(urlOf(nodes))
    await town.assign()
    expect(await claimMessage(town.lease)).toMatchObject({ kind: 'message' })
    for (const node of nodes) expect((await node.redis.keys('tt:*')).length > 0).toBe(node === owner)
    const waiting = waitForMessage(town.blocking, town.lease, 5).catch((error) => isPassing(error))
    await replica.redis.cluster('FAILOVER')
    await promoted(replica)
    await goesOn(town)
    await waiting
    expect(await portOf(town.redis)).toBe(replica.port)
  })

  it('is followed when the node of the slot died', async () => {
    const pair = [servers.owner, servers.replica]
    const primary = await primaryOf(pair)
    const replica = pair.find((one) => one !== primary) as RedisServer
    await until(
      async () => /master_link_status:up/.test(await replica.redis.info('replication')),
      'the replica follows',
      30_000,
    )
    const town = await townAt(urlOf(servers.nodes))
    expect(await portOf(town.redis)).toBe(primary.port)
    expect(await town.redis.wait(1, 5000)).toBe(1)
    await primary.kill()
    await promoted(replica)
    await goesOn(town)
    expect(await portOf(town.redis)).toBe(replica.port)
  })

  it('without a node that answers is told', async () => {
    const short = { ...lasting, timeoutMs: 500 }
    await expect(checkServer(addressOf('redis+cluster://127.0.0.1:1'), short)).rejects.toMatchObject({
      code: 'redis-unreachable',
      message: expect.stringContaining('127.0.0.1:1'),
    })
  })
})
