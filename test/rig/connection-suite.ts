import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type RedisAddress, redisTarget } from '../../src/config/redis-target.ts'
import { resolveSettings } from '../../src/config/resolve.ts'
import { asWorkerError } from '../../src/domain/errors.ts'
import { checkServer } from '../../src/store/check-server.ts'
import { connectRedis } from '../../src/store/connection.ts'
import { type Certificates, makeCertificates } from './certificates.ts'

/** A Redis as a test wants it. */
interface Wanted {
  /** Of the user `default`. */
  readonly password?: string
  /** Lines of redis.conf. */
  readonly config?: readonly string[]
  /** Speaks TLS with this certificate, and nothing else. */
  readonly tls?: {
    readonly cert: string
    readonly key: string
    readonly ca: string
    readonly wantsClient: boolean
  }
  readonly replicaOf?: Started
}

/** A server that runs. */
interface Started {
  /** Where the test reaches it. */
  readonly port: number
  /** Where other servers reach it. */
  readonly inside: { readonly host: string; readonly port: number }
}

/** Starts servers for the suite. */
export interface Servers {
  /** Where the servers are reached. */
  readonly host: string
  start(wanted: Wanted): Promise<Started>
  /** Ends what was started. */
  stop(): Promise<void>
}

const SECRET = 'p@ss/w:rd#%25 ü'
const encoded = encodeURIComponent(SECRET)

/** The address that a REDIS_URL and a [redis] table come to. */
export function addressOf(url: string | undefined, redis: Record<string, unknown> = {}): RedisAddress {
  const values = Object.fromEntries(Object.entries(redis).map(([key, value]) => [`redis.${key}`, value]))
  const file = { path: '/town/tinytown.toml', values, lines: {}, agentClis: {}, warnings: [] }
  const env = url === undefined ? {} : { REDIS_URL: url }
  const around = { root: '/town', defaultSocket: '/town/.tt/redis.sock', central: () => ({}) }
  return redisTarget(resolveSettings({ flags: {}, env, file }), around).address
}

export const options = {
  timeoutMs: 3000,
  name: 'test',
  anyKey: 'tt:{shop}',
  lasting: false,
} as const

/** Connects as a worker does: checked, then used. Returns what was found, and the user that Redis takes us for. */
async function connected(address: RedisAddress, more: { timeoutMs?: number } = {}) {
  const checked = await checkServer(address, { ...options, ...more })
  const readyCheck = checked.info !== null
  const redis = await connectRedis(checked.address, { ...options, ...more, readyCheck })
  try {
    await redis.set('tt:{shop}:probe', 'here')
    const client = String(await redis.client('INFO'))
    const field = (name: string) => new RegExp(`(?:^| )${name}=(\\S*)`).exec(client)?.[1]
    return { ...checked, user: field('user'), database: field('db') }
  } finally {
    redis.disconnect()
  }
}

/** The error that connecting ends with. No part of it may tell a secret. */
async function refusal(address: RedisAddress, more: { timeoutMs?: number } = {}) {
  const error = await connected(address, more).then(
    () => {
      throw new Error('it connected')
    },
    (thrown: unknown) => asWorkerError(thrown),
  )
  const cause = error.cause instanceof Error ? `${error.cause.stack}` : String(error.cause)
  const told = [error.message, error.remedy, error.stack, cause, JSON.stringify(error)].join('\n')
  expect(told).not.toContain(SECRET)
  expect(told).not.toContain(encoded)
  return error
}

/** The ways in which a Redis can be reached, and refuse to be: for processes of this machine and for containers alike. */
export function connectionSuite(makeServers: () => Promise<Servers>): void {
  let servers: Servers
  let folder: string
  let certificates: Certificates
  beforeAll(async () => {
    servers = await makeServers()
    folder = mkdtempSync(join(tmpdir(), 'tw-certs-'))
    certificates = makeCertificates(folder, servers.host)
  })
  afterEach(() => servers.stop())
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const url = (port: number, { login = '', tls = false, path = '' } = {}) =>
    `redis${tls ? 's' : ''}://${login}${servers.host}:${port}${path}`

  describe('a plain Redis', () => {
    it('is connected to, in the database that is asked for', async () => {
      const { port } = await servers.start({})
      const { info, user, database, warnings } = await connected(addressOf(url(port, { path: '/3' })))
      expect(info).toMatchObject({
        version: expect.stringMatching(/^\d+\.\d+/),
        mode: 'standalone',
        replicaOf: null,
      })
      expect({ user, database, warnings }).toEqual({ user: 'default', database: '3', warnings: [] })
    })

    it('is told to drop records when its memory is full, and to keep nothing', async () => {
      const { port } = await servers.start({
        config: ['save ""', 'maxmemory 100mb', 'maxmemory-policy allkeys-lru'],
      })
      const { warnings, notes } = await connected(addressOf(url(port)))
      expect(warnings).toEqual([
        expect.stringMatching(/maxmemory-policy allkeys-lru.*CONFIG SET maxmemory-policy noeviction/),
      ])
      expect(notes).toEqual([expect.stringMatching(/keeps nothing on the disk.*CONFIG SET appendonly yes/)])
    })
  })

  describe('a Redis with a password', () => {
    it('takes it from the URL, and from the settings', async () => {
      const { port } = await servers.start({ password: SECRET })
      expect(await connected(addressOf(url(port, { login: `:${encoded}@` })))).toMatchObject({
        user: 'default',
      })
      const table = { use_socket: false, host: servers.host, port, password: SECRET }
      expect(await connected(addressOf(undefined, table))).toMatchObject({ user: 'default' })
    })

    it('refuses a wrong one and none', async () => {
      const { port } = await servers.start({ password: 'another' })
      for (const login of ['', `:${encoded}@`, `me:${encoded}@`]) {
        expect(await refusal(addressOf(url(port, { login })))).toMatchObject({
          code: 'redis-auth',
          message: expect.stringMatching(/refused the login: (NOAUTH|WRONGPASS)/),
          remedy: expect.stringContaining('REDIS_URL=redis://:PASSWORD@host:port'),
        })
      }
    })

    it('takes an ACL user', async () => {
      const { port } = await servers.start({
        password: 'another',
        config: [`user me on >${'pw'} ~tt:* &tt:* +@all`],
      })
      expect(await connected(addressOf(url(port, { login: 'me:pw@' })))).toMatchObject({ user: 'me' })
      const table = { use_socket: false, host: servers.host, port, username: 'me', password: 'pw' }
      expect(await connected(addressOf(undefined, table))).toMatchObject({ user: 'me' })
    })

    it('says what could not be checked for a user that may not ask', async () => {
      const { port } = await servers.start({
        password: 'x',
        config: ['user me on >pw ~* &* +@all -info -config'],
      })
      const { info, notes } = await connected(addressOf(url(port, { login: 'me:pw@' })))
      expect(info).toBeNull()
      expect(notes).toEqual([expect.stringContaining('may not call INFO')])
    })
  })

  describe('a Redis with TLS', () => {
    const wanted = (pair: 'server' | 'named' = 'server', wantsClient = false) => ({
      password: SECRET,
      tls: { ...certificates[pair], ca: certificates.ca, wantsClient },
    })

    it('is trusted by its private authority', async () => {
      const { port } = await servers.start(wanted())
      const address = addressOf(url(port, { tls: true, login: `:${encoded}@` }), {
        tls_ca_cert: certificates.ca,
      })
      expect(await connected(address)).toMatchObject({ user: 'default' })
      const table = { use_socket: false, host: servers.host, port, password: SECRET, tls_enabled: true }
      expect(
        await connected(
          addressOf(undefined, { ...table, ...serverFiles(certificates), tls_ca_cert: certificates.ca }),
        ),
      ).toMatchObject({ user: 'default' })
    })

    it('is not trusted without it, nor by another', async () => {
      const { port } = await servers.start(wanted())
      for (const table of [{}, { tls_ca_cert: certificates.otherCa }]) {
        const address = addressOf(url(port, { tls: true, login: `:${encoded}@` }), table)
        expect(await refusal(address)).toMatchObject({
          code: 'config',
          message: expect.stringMatching(
            /not accepted: .*(self.signed certificate|unable to verify|unable to get)/,
          ),
          remedy: expect.stringContaining('redis.tls_ca_cert'),
        })
      }
    })

    it('must have the name of the host, or the one that is told', async () => {
      const { port } = await servers.start(wanted('named'))
      const address = (table: object) =>
        addressOf(url(port, { tls: true, login: `:${encoded}@` }), { tls_ca_cert: certificates.ca, ...table })
      expect(await refusal(address({}))).toMatchObject({
        code: 'config',
        message: expect.stringContaining("does not match certificate's altnames"),
        remedy: expect.stringContaining('redis.tls_server_name'),
      })
      expect(await connected(address({ tls_server_name: 'redis.internal' }))).toMatchObject({
        user: 'default',
      })
    })

    it('wants a client certificate where it is told to', async () => {
      const { port } = await servers.start(wanted('server', true))
      const address = (table: object) =>
        addressOf(url(port, { tls: true, login: `:${encoded}@` }), { tls_ca_cert: certificates.ca, ...table })
      expect(await refusal(address({}))).toMatchObject({ code: 'redis-unreachable' })
      const { cert, key } = certificates.client
      expect(await connected(address({ tls_cert: cert, tls_key: key }))).toMatchObject({ user: 'default' })
    })

    it('is not spoken to without TLS', async () => {
      const { port } = await servers.start(wanted())
      expect(await refusal(addressOf(url(port)), { timeoutMs: 1000 })).toMatchObject({
        code: 'redis-unreachable',
      })
    })
  })

  describe('a replica', () => {
    it('is named with its primary', async () => {
      const primary = await servers.start({ password: 'pw' })
      const { port } = await servers.start({ password: 'pw', replicaOf: primary })
      expect(await refusal(addressOf(url(port, { login: ':pw@' })))).toMatchObject({
        code: 'config',
        message: expect.stringMatching(new RegExp(`read-only replica of \\S+:${primary.inside.port}$`)),
        remedy: 'Give the address of the primary',
      })
    })
  })

  describe('nobody', () => {
    it('answers: the address is told without its password', async () => {
      const { port } = await servers.start({})
      await servers.stop()
      expect(
        await refusal(addressOf(url(port, { login: `:${encoded}@` })), { timeoutMs: 500 }),
      ).toMatchObject({
        code: 'redis-unreachable',
        message: expect.stringContaining(`Redis at redis://:****@${servers.host}:${port} (REDIS_URL)`),
      })
    })
  })
}

/** What a server of ours would need; one that runs elsewhere takes them for its client. */
function serverFiles({ client }: Certificates): Record<string, string> {
  return { tls_cert: client.cert, tls_key: client.key }
}
