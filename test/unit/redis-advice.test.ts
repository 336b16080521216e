import { describe, expect, it } from 'vitest'
import { type AdviceFacts, redisAdvice, redisCli } from '../../src/cli/redis-advice.ts'
import type { RedisAddress } from '../../src/config/redis-target.ts'

const socket: RedisAddress = {
  place: { kind: 'socket', path: '/t/r.sock' },
  login: {},
  database: 0,
  tls: null,
  shown: '/t/r.sock',
  loginRemedy: '',
}
const tcp: RedisAddress = { ...socket, place: { kind: 'tcp', host: 'h', port: 6379 } }
const tuning = {
  appendOnly: true,
  appendFsync: 'everysec',
  save: '60 1',
  policy: 'noeviction',
  maxMemory: 0,
  usedMemory: 1024 * 1024,
  backlog: 511,
  idleTimeout: 0,
  keepAlive: 300,
  clients: 3,
  maxClients: 10_000,
}

/** The check of this name, for a Redis elsewhere that is as it should be but for this. */
function adviceOn(name: string, change: Partial<typeof tuning> = {}, facts: Partial<AdviceFacts> = {}) {
  const all = redisAdvice({
    address: tcp,
    isOwn: false,
    roundTripMs: 0.2,
    ...facts,
    tuning: { ...tuning, ...change } as never,
  })
  return all.find((check) => check.name === name)
}

describe('redisAdvice', () => {
  it.each([
    [
      'Durability',
      { appendOnly: false },
      'ok',
      /CONFIG SET appendonly yes\n.*CONFIG SET appendfsync everysec$/,
    ],
    ['Durability', { appendOnly: false, save: '' }, 'warn', /CONFIG SET save "300 1 60 100"/],
    ['Durability', { appendFsync: 'no' }, 'ok', /CONFIG SET appendfsync everysec/],
    ['Memory', { policy: 'allkeys-lru' }, 'warn', /CONFIG SET maxmemory-policy noeviction/],
    ['Memory', { maxMemory: 1024 * 1024 }, 'warn', /CONFIG SET maxmemory /],
    ['Memory', {}, 'ok', /CONFIG SET maxmemory 256mb/],
    ['Latency', { appendFsync: 'always' }, 'warn', /CONFIG SET appendfsync everysec/],
    ['Throughput', { idleTimeout: 10 }, 'warn', /CONFIG SET timeout 0/],
    ['Throughput', { keepAlive: 0 }, 'warn', /CONFIG SET tcp-keepalive 60/],
    ['Throughput', { backlog: 128 }, 'warn', /tcp-backlog 511/],
    ['Throughput', { clients: 9000 }, 'warn', /CONFIG SET maxclients 20000/],
    ['Throughput', {}, 'ok', /tcp-backlog 4096/],
  ])('on %s with %j', (name, change, status, remedy) => {
    expect(adviceOn(name, change as never)).toMatchObject({ status, remedy: expect.stringMatching(remedy) })
  })

  it('has nothing to say where all is well', () => {
    expect(adviceOn('Durability')).not.toHaveProperty('remedy')
    expect(adviceOn('Memory', { maxMemory: 100 * 1024 * 1024 })).not.toHaveProperty('remedy')
    expect(adviceOn('Throughput', {}, { address: socket })).not.toHaveProperty('remedy')
  })

  it('tells a link that is slow, and the faster way to a server of ours', () => {
    expect(adviceOn('Latency', {}, { roundTripMs: 80 })).toMatchObject({
      status: 'warn',
      detail: expect.stringMatching(/80.00 ms over TCP/),
    })
    expect(adviceOn('Latency', {}, { isOwn: true })?.remedy).toContain('redis.use_socket = true')
  })

  it('has the settings of a server of ours come from tinytown.toml', () => {
    const advice = adviceOn('Durability', { appendOnly: false }, { isOwn: true, address: socket })
    expect(advice?.remedy).toContain('redis.persist = true')
  })

  it('says what a server does not tell', () => {
    const unknown = { appendOnly: null, backlog: null, policy: '' } as never
    for (const name of ['Durability', 'Throughput'])
      expect(adviceOn(name, unknown)).toMatchObject({
        status: 'ok',
        detail: expect.stringMatching(/does not let its settings be read/),
      })
  })
})

describe('redisCli', () => {
  it.each<[RedisAddress, string]>([
    [socket, 'redis-cli -s /t/r.sock'],
    [
      { ...tcp, database: 2, login: { username: 'me', password: 'secret' } },
      'redis-cli -h h -p 6379 -n 2 --user me',
    ],
    [
      { ...tcp, tls: { ca: '/ca.pem', cert: undefined, key: undefined, serverName: undefined } },
      'redis-cli -h h -p 6379 --tls --cacert /ca.pem',
    ],
    [{ ...tcp, place: { kind: 'cluster', nodes: [{ host: 'n', port: 7000 }] } }, 'redis-cli -h n -p 7000 -c'],
  ])('reaches an address, without its password: %#', (address, command) => {
    expect(redisCli(address)).toBe(command)
  })
})
