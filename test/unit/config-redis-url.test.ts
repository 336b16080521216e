import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  hasPassword,
  parseHostPort,
  parseRedisUrl,
  type RedisLocation,
  redactUrl,
  redisUrlOf,
} from '../../src/config/redis-url.ts'

const tcp = (host: string, port = 6379, more: Partial<RedisLocation> = {}): RedisLocation => ({
  place: { kind: 'tcp', host, port },
  login: {},
  database: 0,
  tls: false,
  ...more,
})

describe('parseRedisUrl', () => {
  it.each<[string, RedisLocation]>([
    ['redis://host', tcp('host')],
    ['redis://host:7000/3', tcp('host', 7000, { database: 3 })],
    ['REDIS://host/', tcp('host')],
    ['redis://host?db=2', tcp('host', 6379, { database: 2 })],
    ['rediss://h.example:1', tcp('h.example', 1, { tls: true })],
    ['redis://[::1]:7000', tcp('::1', 7000)],
    ['redis://:p%40ss%2Fw%3Ard%23%25@host', tcp('host', 6379, { login: { password: 'p@ss/w:rd#%' } })],
    ['redis://me:a:b@host', tcp('host', 6379, { login: { username: 'me', password: 'a:b' } })],
    ['redis://m%20e@host', tcp('host', 6379, { login: { username: 'm e' } })],
    [
      'unix:///run/my%20redis.sock?db=2&user=me&password=a%26b',
      {
        place: { kind: 'socket', path: '/run/my redis.sock' },
        login: { username: 'me', password: 'a&b' },
        database: 2,
        tls: false,
      },
    ],
    [
      'rediss+sentinel://me:pw@a:1,b,[::1]:3/shop/4?sentinel_user=s&sentinel_password=t%2F',
      {
        place: {
          kind: 'sentinel',
          primary: 'shop',
          sentinels: [
            { host: 'a', port: 1 },
            { host: 'b', port: 26379 },
            { host: '::1', port: 3 },
          ],
          sentinelLogin: { username: 's', password: 't/' },
        },
        login: { username: 'me', password: 'pw' },
        database: 4,
        tls: true,
      },
    ],
    [
      'redis+sentinel://a',
      {
        place: {
          kind: 'sentinel',
          primary: 'mymaster',
          sentinels: [{ host: 'a', port: 26379 }],
          sentinelLogin: {},
        },
        login: {},
        database: 0,
        tls: false,
      },
    ],
    [
      'redis+cluster://:pw@a:7000,b:7001',
      {
        place: {
          kind: 'cluster',
          nodes: [
            { host: 'a', port: 7000 },
            { host: 'b', port: 7001 },
          ],
        },
        login: { password: 'pw' },
        database: 0,
        tls: false,
      },
    ],
  ])('reads %s', (url, location) => {
    expect(parseRedisUrl(url)).toEqual(location)
  })

  it.each([
    '',
    'host:6379',
    'http://host',
    'redis://',
    'redis:///1',
    'redis://host:0',
    'redis://host:65536',
    'redis://host:port',
    'redis://a,b',
    'redis://host/one',
    'redis://host/1/2',
    'redis://:50%@host',
    'redis://:p@ss@host',
    'unix://',
    'unix://host/path',
    'unix:///',
    'redis+cluster://a/1',
    'redis+cluster://a,,b',
    'redis+sentinel:///shop',
    'redis+sentinel://a/shop/x',
    'redis+other://a',
  ])('takes no %s', (url) => {
    expect(parseRedisUrl(url)).toBeNull()
  })

  it('reads back what it writes', () => {
    const host = fc.constantFrom('h', 'redis.example', '10.0.0.1', '::1', 'fe80::1%eth0'.replace('%eth0', ''))
    const node = fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) })
    const text = fc.string({ minLength: 1, unit: 'grapheme' })
    const login = fc.record({ username: text, password: text }, { requiredKeys: [] })
    const place = fc.oneof(
      fc
        .string({ minLength: 1 })
        .filter((path) => !path.includes('\0'))
        .map((path) => ({ kind: 'socket' as const, path: `/${path}` })),
      node.map((one) => ({ kind: 'tcp' as const, ...one })),
      fc.array(node, { minLength: 1 }).map((nodes) => ({ kind: 'cluster' as const, nodes })),
      fc.record({
        kind: fc.constant('sentinel' as const),
        primary: fc.string({ minLength: 1 }).filter((name) => !name.includes('/')),
        sentinels: fc.array(node, { minLength: 1 }),
        sentinelLogin: login,
      }),
    )
    fc.assert(
      fc.property(place, login, fc.nat(999_999), fc.boolean(), (where, who, number, secure) => {
        const location: RedisLocation = {
          place: where,
          login: who,
          database: where.kind === 'cluster' ? 0 : number,
          tls: where.kind !== 'socket' && secure,
        }
        expect(parseRedisUrl(redisUrlOf(location))).toEqual(location)
      }),
    )
  })
})

describe('parseHostPort', () => {
  it.each([
    ['h', { host: 'h', port: 9 }],
    [' h:1 ', { host: 'h', port: 1 }],
    ['[::1]', { host: '::1', port: 9 }],
    ['[::1]:2', { host: '::1', port: 2 }],
  ])('reads %s', (text, expected) => {
    expect(parseHostPort(text, 9)).toEqual(expected)
  })

  it.each(['', ':1', 'h:', 'h:0', 'h:70000', '::1', 'a b', 'h/1'])('takes no %j', (text) => {
    expect(parseHostPort(text, 9)).toBeNull()
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
    ['redis+sentinel://:pw@a:1,b:2/x', 'redis+sentinel://:****@a:1,b:2/x'],
    ['redis+sentinel://a/x?sentinel_password=pw', 'redis+sentinel://a/x?sentinel_password=****'],
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
    'redis+cluster://a:1,b:2',
    'redis+sentinel://a:1,b:2/x/3',
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
