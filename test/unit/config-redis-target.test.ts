import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  hasPassword,
  isRedisUrl,
  type RedisSettings,
  redactUrl,
  redisTarget,
} from '../../src/config/redis-target.ts'

const sources = { redisUrl: { name: 'REDIS_URL' }, redisHost: { name: 'tinytown.toml: redis.host' } }

const settings: RedisSettings = {
  redisUrl: undefined,
  redisPassword: undefined,
  redisUseSocket: true,
  redisSocket: '.tt/redis.sock',
  redisHost: '127.0.0.1',
  redisPort: 6379,
  redisTls: false,
}

describe('redisTarget', () => {
  it('prefers an explicit URL, also one of this machine, and leaves it as it is', () => {
    const redisUrl = 'redis://localhost:1'
    expect(redisTarget({ ...settings, redisUrl, redisPassword: 'pw' }, '/town', sources)).toEqual({
      kind: 'remote',
      url: redisUrl,
      source: 'REDIS_URL',
      given: 'url',
    })
  })

  it.each([
    ['.tt/redis.sock', '/town/.tt/redis.sock'],
    ['/run/redis.sock', '/run/redis.sock'],
  ])('has the socket %s at %s', (redisSocket, socketPath) => {
    expect(redisTarget({ ...settings, redisSocket }, '/town', sources)).toEqual({ kind: 'local', socketPath })
  })

  it.each<[Partial<RedisSettings>, string]>([
    [{}, 'redis://127.0.0.1:6379'],
    [{ redisTls: true, redisHost: 'cache.example', redisPort: 1 }, 'rediss://cache.example:1'],
    [{ redisHost: '::1' }, 'redis://[::1]:6379'],
    [{ redisPassword: 'p@ss/w:rd#%' }, 'redis://:p%40ss%2Fw%3Ard%23%25@127.0.0.1:6379'],
  ])('makes of %j the URL %s', (changes, url) => {
    const target = redisTarget({ ...settings, redisUseSocket: false, ...changes }, '/town', sources)
    expect(target).toEqual({ kind: 'remote', url, source: 'tinytown.toml: redis.host', given: 'host' })
    expect(isRedisUrl(url)).toBe(true)
  })
})

describe('redactUrl', () => {
  it.each([
    ['redis://:pw@host:6379/0', 'redis://:****@host:6379/0'],
    ['redis://me:pw@host', 'redis://me:****@host'],
    ['rediss://me:p@ss/w#rd:x@host', 'rediss://me:****@host'],
    ['redis://:p w@', 'redis://:****@'],
    ['redis://me@x:pw@host', 'redis://me@x:****@host'],
    ['redis:/:pw@host', 'redis:/:****@host'],
    ['me:pw@host', 'me:****@host'],
    ['redis://:pw', 'redis://:****'],
    ['redis://me:pw', 'redis://me:****'],
    ['redis://host?password=pw&db=1', 'redis://host?password=****&db=1'],
    ['unix:///run/redis.sock?db=1&password=pw', 'unix:///run/redis.sock?db=1&password=****'],
  ])('hides the password of %s', (url, redacted) => {
    expect(redactUrl(url)).toBe(redacted)
    expect(hasPassword(url)).toBe(true)
  })

  it.each([
    'redis://host:6379/0',
    'redis://host:6379?db=1',
    'redis://me@host:6379',
    'redis://[::1]:6379',
    'redis://[fe80::1]',
    'unix:///run/redis.sock',
    'host:6379',
    '',
    'no url',
  ])('leaves %s alone', (url) => {
    expect(redactUrl(url)).toBe(url)
    expect(hasPassword(url)).toBe(false)
  })

  it('shows no password, however it is written', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.constantFrom('', 'me'), (password, user) => {
        const secret = `<${password}>`
        const redacted = redactUrl(`redis://${user}:${secret}@host:6379`)
        expect(redacted).toBe(`redis://${user}:****@host:6379`)
      }),
    )
  })

  it('changes nothing the second time', () => {
    const url = fc.tuple(
      fc.constantFrom('', 'redis://', 'unix://'),
      fc.string({ unit: fc.constantFrom(...'a1:@/?#[]=&') }),
    )
    fc.assert(
      fc.property(url, ([scheme, rest]) => {
        const once = redactUrl(scheme + rest)
        expect(redactUrl(once)).toBe(once)
      }),
    )
  })
})
