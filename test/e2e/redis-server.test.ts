import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { Redis, type RedisOptions } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Certificates, makeCertificates } from '../rig/certificates.ts'
import { makeTown, processLives, type TestTown, useClosers } from '../rig/daemon.ts'
import { freePort, startRedis } from '../rig/redis-servers.ts'
import { assign, ended, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

let folder: string
let certificates: Certificates
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tw-certs-'))
  certificates = makeCertificates(folder)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A connection that ends with the test, whatever becomes of its server. */
function client(options: RedisOptions): Redis {
  const redis = new Redis({ ...options, replyMapping: 'legacy' })
  redis.on('error', () => undefined)
  onClose(async () => redis.disconnect())
  return redis
}

const SECRET = 'hunter2-"#%-\\x'

async function town(toml: string, env: object = {}): Promise<TestTown> {
  const made = await makeTown(toml, env)
  onClose(() => made.close())
  return made
}

/** What a command printed as JSON. It must have gone well. */
async function json(at: TestTown, ...args: string[]): Promise<Record<string, unknown>> {
  const { exit, stdout, stderr } = await at.cli(...args, '--json')
  expect(stderr).toBe('')
  expect(exit).toBe(0)
  return JSON.parse(stdout)
}

/** A process and everything that the machine shows of it. */
function seenOf(pid: number): string {
  return `${readFileSync(`/proc/${pid}/cmdline`, 'utf8')} ${readFileSync(`/proc/${pid}/environ`, 'utf8')}`
}

/** A task goes its whole way in the town. Nothing that was printed on it tells the secret. */
async function doesATask(at: TestTown, ...secrets: string[]): Promise<void> {
  const worker = await at.worker('--cli', 'demo')
  const done = await at.cli('assign', 'worker-1', 'Say hello', '--wait')
  expect(done).toMatchObject({ exit: 0, stdout: expect.stringContaining('hello-from-tinytown.md') })
  worker.signal('SIGTERM')
  expect(await worker.exit).toBe(0)
  for (const secret of secrets) {
    const told = worker.stderr() + worker.stdout() + done.stdout + done.stderr
    expect(told).not.toContain(secret)
    for (const args of [['status', '--json'], ['doctor'], ['list'], ['events'], ['redis', 'status']]) {
      const { stdout, stderr } = await at.cli(...args)
      expect(stdout + stderr).not.toContain(secret)
    }
  }
}

const demo = { DEMO_AGENT_STEP_MS: '1' }

describe('a redis-server on a port', () => {
  it('is started with its password, which no process list shows, and found again', async () => {
    const port = await freePort()
    const at = await town(`[redis]\nuse_socket = false\nport = ${port}\n`, {
      ...demo,
      TINYTOWN_REDIS_PASSWORD: SECRET,
    })
    const started = await json(at, 'redis', 'start')
    expect(started).toEqual({ running: true, pid: expect.any(Number), address: `127.0.0.1:${port}` })
    expect(seenOf(Number(started.pid))).not.toContain(SECRET)
    expect(await json(at, 'redis', 'start')).toEqual(started)
    await doesATask(at, SECRET)
    const redis = client({ port, password: SECRET })
    expect(await redis.keys('tt:test:agent:*')).toHaveLength(1)
    expect((await at.cli('redis', 'save')).stdout).toBe(`Saved to ${at.root}\n`)
    expect(existsSync(join(at.root, 'dump.rdb'))).toBe(true)
    expect((await at.cli('redis', 'stop')).stdout).toBe('Stopped; its data is saved\n')
    await until(async () => !(await processLives(Number(started.pid))), 'the server is gone')
    expect((await at.cli('redis', 'status')).exit).toBe(69)
    // The next command starts it again, with its data.
    expect(JSON.parse((await at.cli('list', '--json')).stdout)).toMatchObject({
      agents: [{ name: 'worker-1' }],
    })
  })

  it('is one, however many start it at once', async () => {
    const port = await freePort()
    const at = await town(`[redis]\nuse_socket = false\nport = ${port}\n`)
    const all = await Promise.all([1, 2, 3].map(() => json(at, 'redis', 'start')))
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(1)
  })

  it('with TLS has no plain port, and is spoken to by its certificate', async () => {
    const port = await freePort()
    const { cert, key } = certificates.server
    const tls = `tls_enabled = true\ntls_cert = "${cert}"\ntls_key = "${key}"\ntls_ca_cert = "${certificates.ca}"\n`
    const at = await town(`[redis]\nuse_socket = false\nport = ${port}\n${tls}`, {
      ...demo,
      TINYTOWN_REDIS_PASSWORD: SECRET,
    })
    await json(at, 'redis', 'start')
    await doesATask(at, SECRET)
    const plain = new Redis({ port, retryStrategy: () => null, maxRetriesPerRequest: 0, lazyConnect: true })
    plain.on('error', () => undefined)
    await expect(plain.connect()).rejects.toThrow()
    const ca = readFileSync(certificates.ca, 'utf8')
    const secure = client({ port, host: '127.0.0.1', password: SECRET, tls: { ca } })
    expect(await secure.config('GET', 'port')).toEqual(['port', '0'])
  })

  it.each([
    [
      'a key that does not fit',
      (files: Certificates) => [files.server.cert, files.client.key, files.ca],
      /redis.tls_key to fit redis.tls_cert/,
    ],
    [
      'a file that is not there',
      (files: Certificates) => ['/no/such.crt', files.server.key, files.ca],
      /redis.tls_cert to be a file that can be read, got \/no\/such.crt/,
    ],
    [
      'a key in place of the certificate',
      (files: Certificates) => [files.server.key, files.server.key, files.ca],
      /redis.tls_cert to be a certificate in PEM form/,
    ],
  ])('is refused with %s', async (_, choose, message) => {
    const [cert, key, ca] = choose(certificates)
    const tls = `tls_enabled = true\ntls_cert = "${cert}"\ntls_key = "${key}"\ntls_ca_cert = "${ca}"\n`
    const at = await town(`[redis]\nuse_socket = false\nport = ${await freePort()}\n${tls}`)
    for (const args of [['list'], ['--cli', 'demo'], ['redis', 'start']])
      expect(await at.cli(...args)).toMatchObject({ exit: 78, stderr: expect.stringMatching(message) })
    expect(await at.cli('doctor')).toMatchObject({ exit: 1, stdout: expect.stringMatching(message) })
  })

  it('is refused on an address that is open to others without a password', async () => {
    const at = await town('[redis]\nuse_socket = false\nbind = "0.0.0.0"\n')
    expect(await at.cli('list')).toMatchObject({
      exit: 78,
      stderr: expect.stringMatching(
        /redis.bind to be an address of this machine alone.*tinytown.toml:4[\s\S]*TINYTOWN_REDIS_PASSWORD/,
      ),
    })
  })

  it('is told when the port is that of something else', async () => {
    const port = await freePort()
    const other = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    })
    other.listen(port, '127.0.0.1')
    onClose(() => new Promise((resolve) => other.close(resolve)))
    const at = await town(`[redis]\nuse_socket = false\nport = ${port}\n`)
    for (const action of ['save', 'stop']) expect((await at.cli('redis', action)).exit).toBe(69)
    expect(await at.cli('list')).toMatchObject({
      exit: 78,
      stderr: expect.stringMatching(
        /Expected a Redis at 127.0.0.1:\d+, got: HTTP\/1.1 400 Bad Request[\s\S]*redis.port/,
      ),
    })
  })
})

describe('a Redis that somebody else started', () => {
  it.each([false, true])(
    'is used, and left alone by redis stop, with a town folder: %s',
    async (withFolder) => {
      const server = await startRedis()
      onClose(() => server.close())
      const at = await town(`[redis]\nuse_socket = false\nport = ${server.port}\n`)
      if (withFolder) expect((await at.cli('list')).exit).toBe(0)
      expect(await at.cli('redis', 'stop')).toMatchObject({
        exit: 69,
        stderr: expect.stringMatching(/was not started by this town: it is left alone/),
      })
      expect(await server.redis.ping()).toBe('PONG')
    },
  )

  it('27: whose password is changed while a task runs does not cost the task', async () => {
    const server = await startRedis({ config: ['requirepass one'], client: { password: 'one' } })
    onClose(() => server.close())
    const { town: at, agents } = await scene({ env: { REDIS_URL: `redis://:one@127.0.0.1:${server.port}` } })
    const worker = await at.worker('--cli', 'fake')
    const here = { ...at, redis: async () => server.redis }
    const id = await assign(here, 'x')
    const run = await agents.next()
    await server.redis.config('SET', 'requirepass', 'two')
    await server.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await worker.says(/WRONGPASS/)
    await server.redis.config('SET', 'requirepass', 'one')
    await run.stdout('the result')
    await run.exit(0)
    expect(await ended(here, id)).toMatchObject({ state: 'completed', result: 'the result' })
    worker.signal('SIGTERM')
    expect(await worker.exit).toBe(0)
  })

  it('whose user may not ask for INFO shows its town all the same', async () => {
    const server = await startRedis({ config: ['user me on >pw ~* &* +@all -info -config'] })
    onClose(() => server.close())
    const at = await town('', { REDIS_URL: `redis://me:pw@127.0.0.1:${server.port}` })
    expect(await at.cli('status')).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining('unknown version'),
    })
  })
})

describe('the central redis-server', () => {
  it('keeps the append-only files that one town turned on, whichever town starts it', async () => {
    const home = mkdtempSync(join(tmpdir(), 'tw-home-'))
    onClose(async () => rmSync(home, { recursive: true, force: true }))
    const port = await freePort()
    const toml = `use_central_redis = true\n[redis]\nuse_socket = false\nport = ${port}\n`
    const [first, second] = [
      await town(`${toml}persist = true\n`, { HOME: home }),
      await town(toml, { HOME: home }),
    ]
    onClose(async () => void (await first.cli('redis', 'stop')))
    await json(first, 'redis', 'start')
    await first.cli('redis', 'stop')
    await json(second, 'redis', 'start')
    const password = /"(tt_\w+)"/.exec(readFileSync(join(home, '.tt', 'config.toml'), 'utf8'))?.[1] ?? ''
    expect(await client({ port, password }).config('GET', 'appendonly')).toEqual(['appendonly', 'yes'])
  })

  it('that takes everybody is told', async () => {
    const home = mkdtempSync(join(tmpdir(), 'tw-home-'))
    onClose(async () => rmSync(home, { recursive: true, force: true }))
    const server = await startRedis()
    onClose(() => server.close())
    const at = await town(`use_central_redis = true\n[redis]\nuse_socket = false\nport = ${server.port}\n`, {
      ...demo,
      HOME: home,
    })
    const worker = await at.worker('--cli', 'demo')
    await worker.says(/takes everybody on this machine without a password/)
    expect((await at.cli('doctor')).stdout).toMatch(/warn {2}Password .*takes everybody/)
  })

  it('is one for all towns, with a password that is made and kept for its owner alone', async () => {
    const home = mkdtempSync(join(tmpdir(), 'tw-home-'))
    onClose(async () => rmSync(home, { recursive: true, force: true }))
    const port = await freePort()
    const [one, two] = [
      await town(`use_central_redis = true\n[redis]\nport = ${port}\n`, { ...demo, HOME: home }),
      await town(`use_central_redis = true\n[redis]\nport = ${port}\n`, { ...demo, HOME: home }),
    ]
    writeFileSync(
      join(two.root, 'tinytown.toml'),
      `name = "second"\nuse_central_redis = true\n[redis]\nport = ${port}\n`,
    )
    const started = await json(one, 'redis', 'start')
    onClose(async () => void (await one.cli('redis', 'stop')))
    expect(await json(two, 'redis', 'start')).toEqual(started)
    const file = join(home, '.tt', 'config.toml')
    const password = /^password = "(tt_[0-9a-f]{32})"$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? ''
    expect(password).not.toBe('')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(seenOf(Number(started.pid))).not.toContain(password)
    await doesATask(one, password)
    await doesATask(two, password)
    const redis = client({ port, password })
    for (const name of ['test', 'second']) expect(await redis.keys(`tt:${name}:agent:*`)).toHaveLength(1)
    for (const at of [one, two]) expect(existsSync(join(at.root, 'dump.rdb'))).toBe(false)
    expect((await two.cli('redis', 'stop')).stdout).toBe(
      'Stopped, for all towns that use it; its data is saved\n',
    )
    expect(existsSync(join(home, '.tt', 'dump.rdb'))).toBe(true)
    expect(await json(one, 'redis', 'start')).toMatchObject({ running: true })
  })

  it('is what init --central makes a town use, with the settings that tt reads', async () => {
    const home = mkdtempSync(join(tmpdir(), 'tw-home-'))
    onClose(async () => rmSync(home, { recursive: true, force: true }))
    const at = await town('', { HOME: home })
    const made = await at.cli('init', 'shop', '--name', 'shop', '--central')
    expect(made).toMatchObject({ exit: 0, stderr: expect.stringContaining('TINYTOWN_REDIS_PASSWORD') })
    const text = readFileSync(join(at.root, 'shop', 'tinytown.toml'), 'utf8')
    expect(text).toMatch(/^use_central_redis = true$[\s\S]*^\[redis\]$\nuse_socket = false\nport = 16379$/m)
    const status = await at.cli('redis', 'status', '--town', 'shop', '--json')
    expect(JSON.parse(status.stdout)).toMatchObject({ address: '127.0.0.1:16379' })
  })

  it('has the password that tt wrote, whose file is closed to others from then on', async () => {
    const home = mkdtempSync(join(tmpdir(), 'tw-home-'))
    onClose(async () => rmSync(home, { recursive: true, force: true }))
    const port = await freePort()
    const at = await town('use_central_redis = true\n', { HOME: home })
    mkdirSync(join(home, '.tt'))
    const text = `default_cli = "claude"\n# mine\n[redis]\nhost = "127.0.0.1"\nport = ${port}\npassword = "tt_of_tt"\nuse_central = true\n`
    writeFileSync(join(home, '.tt', 'config.toml'), text, { mode: 0o644 })
    expect(await json(at, 'redis', 'start')).toMatchObject({ address: `127.0.0.1:${port}` })
    onClose(async () => void (await at.cli('redis', 'stop')))
    const redis = client({ port, password: 'tt_of_tt' })
    expect(await redis.ping()).toBe('PONG')
    const file = join(home, '.tt', 'config.toml')
    expect(readFileSync(file, 'utf8')).toBe(text)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })
})

describe('direct access, as the guide says', () => {
  it.each(['hash', 'json'])('shows inbox lengths and %s records on the socket', async (format) => {
    const at = await makeTown(`record_format = "${format}"\n`, demo)
    onClose(() => at.close())
    await doesATask(at)
    await at.cli('assign', 'worker-1', 'later')
    const cli = async (...args: string[]) =>
      (await execa('redis-cli', ['-s', join(at.root, '.tt', 'redis.sock'), ...args])).stdout
    const [key = ''] = (await cli('KEYS', 'tt:test:agent:*')).split('\n')
    const id = key.split(':').at(-1)
    expect(await cli('LLEN', `tt:test:inbox:${id}`)).toBe('1')
    if (format === 'json')
      expect(JSON.parse(await cli('GET', key))).toMatchObject({ id, name: 'worker-1', state: 'stopped' })
    else expect(await cli('HGETALL', key)).toMatch(new RegExp(`id\n${id}[\\s\\S]*name\nworker-1`))
  })
})
