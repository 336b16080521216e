import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandOf } from '../rig/faulty-town.ts'
import { type RedisProxy, startProxy } from '../rig/proxy.ts'
import { useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()

beforeEach(() => here.redis.flushall())

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

/** A proxy of this sort before the server of the test, and a client behind it that gives up with its connection. */
async function through(sort: 'port' | 'socket'): Promise<{ proxy: RedisProxy; client: Redis }> {
  const path = sort === 'socket' ? join(here.socketPath, '..', 'proxy.sock') : null
  const proxy = await startProxy({ path: here.socketPath }, path ? { path } : {})
  open.push(proxy)
  const to = path ? { path } : { host: '127.0.0.1', port: proxy.port }
  const client = new Redis({ ...to, retryStrategy: () => null, maxRetriesPerRequest: 0 })
  client.on('error', () => undefined)
  open.push({ close: () => client.disconnect() })
  await client.ping()
  return { proxy, client }
}

const LOST = /Connection is closed|max retries/

describe.each(['port', 'socket'] as const)('the proxy on a %s', (sort) => {
  it('holds a command back until it is released', async () => {
    const { proxy, client } = await through(sort)
    const held = proxy.hold(commandOf('set'))
    const done = client.set('held', 'x')
    expect(await held.arrived).toEqual(['set', 'held', 'x'])
    expect(await here.redis.get('held')).toBeNull()
    held.release()
    expect(await done).toBe('OK')
  })

  it.each([
    ['loses', 0],
    ['cuts in half', 3],
  ])('%s a reply: Redis has done it, and the client does not know', async (_, bytes) => {
    const { proxy, client } = await through(sort)
    const lost = proxy.loseReply(commandOf('set'), bytes)
    await expect(client.set('lost', 'x')).rejects.toThrow(LOST)
    await lost
    expect(await here.redis.get('lost')).toBe('x')
  })

  it('swallows a reply and keeps back what comes behind it, without a word', async () => {
    const { proxy, client } = await through(sort)
    const swallowed = proxy.swallowReply(commandOf('incr'))
    // Nobody ever answers the first; the second gets its reply.
    for (const done of [client.incr('swallowed'), swallowed.then(() => client.set('behind', 'x'))])
      done.catch(() => undefined)
    await swallowed
    expect(await here.redis.mget('swallowed', 'behind')).toEqual(['1', null])
    proxy.heal()
    await until(async () => (await here.redis.get('behind')) === 'x', 'what was kept back has arrived')
  })

  it('is a black hole for those that are meant, which learn nothing, and delivers late', async () => {
    const { proxy, client } = await through(sort)
    const other = client.duplicate()
    open.push({ close: () => other.disconnect() })
    await other.echo('spared')
    proxy.blackHole({ only: commandOf('ping') })
    const late = client.set('late', 'x')
    expect(await other.echo('here')).toBe('here')
    expect(await here.redis.get('late')).toBeNull()
    proxy.heal()
    expect(await late).toBe('OK')
  })

  it('cuts what is open, and takes new connections', async () => {
    const { proxy, client } = await through(sort)
    proxy.cut()
    await expect(client.blpop('nothing', 0)).rejects.toThrow(LOST)
    await client.connect()
    expect(await client.ping()).toBe('PONG')
    expect(proxy.connections).toBe(2)
  })
})
