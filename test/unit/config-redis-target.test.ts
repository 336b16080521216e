import { describe, expect, it } from 'vitest'
import { redisTarget } from '../../src/config/redis-target.ts'
import { resolveSettings } from '../../src/config/resolve.ts'
import { parseToml } from '../../src/config/toml-text.ts'

/** The target of a town in /town whose tinytown.toml says this. */
function targetOf(toml: string, env: Record<string, string> = {}, central = {}) {
  const document = parseToml('/town/tinytown.toml', toml)
  const redis = (document.redis ?? {}) as Record<string, unknown>
  const values = {
    ...document,
    ...Object.fromEntries(Object.entries(redis).map(([key, value]) => [`redis.${key}`, value])),
  }
  const file = { path: '/town/tinytown.toml', values, lines: {}, agentClis: {}, warnings: [] }
  return redisTarget(resolveSettings({ flags: {}, env, file }), {
    root: '/town',
    defaultSocket: '/town/.tt/redis.sock',
    central: () => central,
  })
}

const REDIS_URL = 'redis://localhost:1'
const HOST = '[redis]\nuse_socket = false\n'

describe('the order in which a Redis is chosen', () => {
  const everything = `use_central_redis = true
[redis]
url = "redis://from-file"
use_socket = true
host = "from-host"
sentinels = ["s"]
cluster = ["c"]`
  const without = (...words: string[]) =>
    everything
      .split('\n')
      .filter((line) => !words.some((word) => line.startsWith(word)))
      .join('\n')

  it.each([
    ['REDIS_URL, also of this machine', everything, { REDIS_URL }, 'redis://localhost:1 (REDIS_URL)'],
    ['redis.url', everything, {}, 'redis://from-file (/town/tinytown.toml)'],
    ['redis.sentinels', without('url'), {}, 'redis+sentinel://s:26379/mymaster (/town/tinytown.toml)'],
    ['redis.cluster', without('url', 'sentinels'), {}, 'redis+cluster://c:6379 (/town/tinytown.toml)'],
    [
      'use_central_redis',
      without('url', 'sentinels', 'cluster', 'host'),
      {},
      'redis://127.0.0.1:16379 (/town/tinytown.toml)',
    ],
    ['the socket', without('url', 'sentinels', 'cluster', 'use_central'), {}, '/town/.tt/redis.sock'],
    ['host and port', `${HOST}host = "h"`, {}, 'redis://h:6379 (/town/tinytown.toml)'],
  ])('%s', (_, toml, env, shown) => {
    expect(targetOf(toml, env).address.shown).toBe(shown)
  })
})

describe('the server that is ours to start', () => {
  it.each([
    ['an explicit URL of this machine', '', { REDIS_URL }, null],
    ['another host', `${HOST}host = "redis.example"`, {}, null],
    ['Sentinels', '[redis]\nsentinels = ["127.0.0.1"]', {}, null],
    ['a Cluster', '[redis]\ncluster = ["127.0.0.1"]', {}, null],
    ['nothing', '', {}, { kind: 'town', bind: null, persist: false, mayStart: true }],
    [
      'a socket',
      '[redis]\nsocket_path = "/run/r.sock"\npersist = true',
      {},
      { kind: 'town', bind: null, persist: true, mayStart: true },
    ],
    [
      'a host of this machine',
      `${HOST}host = "localhost"`,
      {},
      { kind: 'town', bind: '127.0.0.1', persist: false, mayStart: true },
    ],
    [
      'another loopback address',
      `${HOST}host = "127.0.0.2"`,
      {},
      { kind: 'town', bind: '127.0.0.2', persist: false, mayStart: true },
    ],
    ['a name that only begins like one', `${HOST}host = "127.example.com"`, {}, null],
    ['::1', `${HOST}host = "::1"`, {}, { kind: 'town', bind: '::1', persist: false, mayStart: true }],
    [
      'an open bind with a password',
      `${HOST}bind = "0.0.0.0"`,
      { TINYTOWN_REDIS_PASSWORD: 'pw' },
      { kind: 'town', bind: '0.0.0.0', persist: false, mayStart: true },
    ],
    [
      'the central one',
      'use_central_redis = true',
      {},
      { kind: 'central', bind: '127.0.0.1', persist: false, mayStart: true },
    ],
    ['a central one elsewhere', 'use_central_redis = true\n[redis]\nhost = "central.example"', {}, null],
  ])('is for %s: %#', (_, toml, env, server) => {
    expect(targetOf(toml, env).server).toEqual(server)
  })

  it('takes the central settings of this user, unless the town has its own', () => {
    const central = { host: '127.0.0.2', port: 17_000, password: 'central' }
    const own = 'use_central_redis = true\n[redis]\nport = 1'
    expect(targetOf('use_central_redis = true', {}, central).address).toMatchObject({
      place: { kind: 'tcp', host: '127.0.0.2', port: 17_000 },
      login: { password: 'central' },
      shown: 'redis://:****@127.0.0.2:17000 (/town/tinytown.toml)',
    })
    expect(targetOf(own, { TINYTOWN_REDIS_PASSWORD: 'own' }, central).address).toMatchObject({
      place: { port: 1 },
      login: { password: 'own' },
    })
  })

  it.each([
    [
      'a bind that is open to others without a password',
      `${HOST}bind = "0.0.0.0"`,
      /redis.bind to be an address of this machine alone.*got 0\.0\.0\.0/,
    ],
    ['TLS without certificate and key', `${HOST}tls_enabled = true`, /redis.tls_cert and redis.tls_key/],
    ['TLS without key', `${HOST}tls_enabled = true\ntls_cert = "c"`, /Expected redis.tls_key /],
  ])('is refused with %s', (_, toml, message) => {
    expect(() => targetOf(toml)).toThrow(
      expect.objectContaining({ code: 'config', message: expect.stringMatching(message) }),
    )
  })
})

describe('the address', () => {
  it('has the password of the environment before that of the file, and shows neither', () => {
    const toml = `${HOST}host = "h"\nusername = "me"\npassword = "of-file"\ndatabase = 2`
    expect(targetOf(toml).address).toMatchObject({
      login: { username: 'me', password: 'of-file' },
      database: 2,
      shown: 'redis://me:****@h:6379/2 (/town/tinytown.toml)',
    })
    expect(targetOf(toml, { TINYTOWN_REDIS_PASSWORD: 'of-env' }).address.login.password).toBe('of-env')
  })

  it('has the TLS files beside tinytown.toml, for a URL as well', () => {
    const toml = '[redis]\ntls_ca_cert = "ca.pem"\ntls_server_name = "redis.internal"'
    const tls = { ca: '/town/ca.pem', cert: undefined, key: undefined, serverName: 'redis.internal' }
    expect(targetOf(toml, { REDIS_URL: 'rediss://h' }).address.tls).toEqual(tls)
    for (const url of ['redis://h', 'unix:///run/redis.sock'])
      expect(targetOf(`${toml}\ntls_enabled = true`, { REDIS_URL: url }).address.tls).toBeNull()
    expect(targetOf(`${toml}\nuse_socket = false\nhost = "h"\ntls_enabled = true`).address.tls).toEqual(tls)
  })

  it('leaves an explicit URL its own login', () => {
    const { login } = targetOf('', { REDIS_URL: 'redis://h', TINYTOWN_REDIS_PASSWORD: 'pw' }).address
    expect(login).toEqual({})
  })
})
