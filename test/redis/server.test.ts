import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { homedir, hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { WorkerError } from '../../src/domain/errors.ts'
import { findRedisServer, parseVersion, type RedisBinary, requireRedisServer } from '../../src/server/find.ts'
import { bootstrap, runInstall } from '../../src/server/install.ts'
import { type InstallPlan, type MachineFacts, planInstall } from '../../src/server/install-plan.ts'
import { ensureLocalRedis } from '../../src/server/local.ts'
import { ping } from '../../src/server/ping.ts'
import type { LocalRedisOptions, ServerEvent } from '../../src/server/place.ts'
import { holderIsGone, processInfo } from '../../src/server/process-info.ts'
import { exchange } from '../../src/server/resp.ts'
import {
  checkSharedFolder,
  defaultSocketPath,
  shortSocketPath,
  socketPathLimit,
} from '../../src/server/socket-path.ts'
import { stopLocalRedis } from '../../src/server/stop.ts'

const TIMEOUT_MS = 30_000
let base: string
let root: string
let binary: RedisBinary
let events: ServerEvent[]
const pids = new Set<number>()
const fakes = new Set<Server>()
const resourcesBefore = process.getActiveResourcesInfo()

beforeAll(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'tw-')))
  binary = await requireRedisServer({ env: process.env, home: homedir() })
})

beforeEach(async () => {
  root = await mkdtemp(join(base, 't-'))
  events = []
})

afterEach(async () => {
  for (const fake of fakes) await new Promise((done) => fake.close(done))
  fakes.clear()
  for (const pid of pids) await endProcess(pid)
  pids.clear()
})

afterAll(async () => {
  await rm(base, { recursive: true, force: true })
  await until('no connection, timer or child is left', () => {
    const now = process.getActiveResourcesInfo()
    const count = (list: string[], kind: string) => list.filter((each) => each === kind).length
    const kinds = ['ProcessWrap', 'PipeWrap', 'TCPSocketWrap', 'TCPServerWrap', 'PipeServerWrap']
    return kinds.every((kind) => count(now, kind) <= count(resourcesBefore, kind))
  })
})

async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 10_000) {
  const deadline = Date.now() + timeoutMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms until ${what}`)
    await delay(20)
  }
}

/** Ends a process that a test started, and waits until it is gone. */
async function endProcess(pid: number): Promise<void> {
  if (!(await processInfo(pid))) return
  process.kill(pid, 'SIGKILL')
  await until(`process ${pid} is gone`, async () => (await processInfo(pid)) === null)
}

type SocketOptions = LocalRedisOptions & { socketPath: string }

function options(more: Partial<SocketOptions> = {}): SocketOptions {
  return {
    root,
    socketPath: join(root, '.tt/redis.sock'),
    persist: false,
    binary,
    emit: (event) => {
      events.push(event)
      if ('pid' in event && event.pid !== null) pids.add(event.pid)
    },
    ...more,
  }
}

const ensure = (more: Partial<SocketOptions> = {}, signal?: AbortSignal) =>
  ensureLocalRedis(options(more), signal ? { signal } : {})

const stop = () => {
  const { socketPath } = options()
  return stopLocalRedis({ root, socketPath })
}

/** One command to the town's Redis; its reply as text. */
async function redis(...args: string[]): Promise<string> {
  const result = await exchange({ path: options().socketPath }, args, { timeoutMs: 5000 })
  return result.kind === 'reply' ? result.text : result.kind
}

/** The server that `tt` starts for a town. */
async function startAsTinytown(...more: string[]): Promise<void> {
  await mkdir(join(root, '.tt'), { recursive: true })
  const { socketPath } = options()
  const pidFile = join(root, '.tt/redis.pid')
  const args = ['--daemonize', 'yes', '--pidfile', pidFile, '--loglevel', 'warning', '--port', '0']
  await execa(binary.path, [...args, '--unixsocket', socketPath, '--unixsocketperm', '700', ...more], {
    cwd: root,
  })
  await until('the server answers', async () => !['refused'].includes(String(await pingTown())))
  pids.add(Number(await readFile(pidFile, 'utf8')))
}

const pingTown = () => ping({ path: options().socketPath }, { timeoutMs: 2000 })

/** A program in `folder` that can be executed. */
async function script(folder: string, name: string, body: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  const path = join(folder, name)
  await writeFile(path, `#!/bin/sh\n${body}\n`)
  await chmod(path, 0o755)
  return path
}

const HANG_UP = 'hang up'

/** Something on the town's socket that gives these answers in turn, the last one again and again. */
async function fakeServer(answers: (string | null)[]): Promise<string[]> {
  await mkdir(join(root, '.tt'), { recursive: true })
  const given: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () => {
      const answer = answers[Math.min(given.length, answers.length - 1)] ?? null
      given.push(String(answer))
      if (answer === HANG_UP) socket.destroy()
      else if (answer !== null) socket.write(answer)
    })
  })
  fakes.add(server)
  server.listen(options().socketPath)
  await once(server, 'listening')
  return given
}

async function failure(promise: Promise<unknown>): Promise<WorkerError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof WorkerError)) throw new Error(`Expected a WorkerError, got ${String(error)}`)
  return error
}

describe('finding a redis-server', () => {
  const version = (text: string) => `echo "Redis server v=${text} sha=00000000:0 malloc=libc bits=64 build=0"`

  it.each([
    ['Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1', [7, 0, '7.0.15']],
    ['Valkey server v=8.1.3 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1', [8, 1, '8.1.3']],
    ['Redis server v=255.255.255 sha=1', [255, 255, '255.255.255']],
  ])('reads the version in %j', (line, [major, minor, text]) => {
    expect(parseVersion(line)).toEqual({ major, minor, text })
  })

  it('finds no version in other output', () => {
    expect(parseVersion('hello')).toBeNull()
  })

  it('prefers the one in ~/.tt/bin to those on PATH', async () => {
    const own = await script(join(root, 'home/.tt/bin'), 'redis-server', version('8.0.1'))
    await script(join(root, 'bin'), 'redis-server', version('7.2.4'))
    const search = await findRedisServer({ env: { PATH: join(root, 'bin') }, home: join(root, 'home') })
    expect(search).toEqual({
      found: { path: own, version: { major: 8, minor: 0, text: '8.0.1' } },
      rejected: [],
    })
  })

  it('passes over what is too old, does not run or is something else, and says why', async () => {
    await script(join(root, 'home/.tt/bin'), 'redis-server', 'echo cannot load libssl >&2; exit 127')
    const old = await script(join(root, 'a'), 'redis-server', version('6.2.14'))
    const other = await script(join(root, 'b'), 'redis-server', 'echo hello')
    await writeFile(join(root, 'redis-server'), 'not executable')
    const good = await script(join(root, 'c'), 'redis-server', version('7.0.15'))
    const PATH = [join(root, 'none'), root, join(root, 'a'), join(root, 'b'), join(root, 'c')].join(':')
    const { found, rejected } = await findRedisServer({ env: { PATH }, home: join(root, 'home') })
    expect(found?.path).toBe(good)
    expect(rejected.map(({ path }) => path)).toEqual([join(root, 'home/.tt/bin/redis-server'), old, other])
    expect(rejected[0]?.reason).toMatch(/does not run: .*127/)
    expect(rejected[1]?.reason).toBe('version 6.2.14 is older than 7.0')
    expect(rejected[2]?.reason).toMatch(/prints no version: "hello"/)
  })

  it('takes valkey-server where there is no redis-server, and looks at a linked binary once', async () => {
    await script(join(root, 'a'), 'redis-server', version('6.0.16'))
    await symlink(join(root, 'a'), join(root, 'b'))
    const valkey = await script(join(root, 'a'), 'valkey-server', version('8.0.0'))
    const PATH = `${join(root, 'a')}:${join(root, 'b')}`
    const { found, rejected } = await findRedisServer({ env: { PATH }, home: root })
    expect(found?.path).toBe(valkey)
    expect(rejected).toHaveLength(1)
  })

  it('names what it passed over and the remedy when there is none', async () => {
    const old = await script(join(root, 'a'), 'redis-server', version('5.0.3'))
    const error = await failure(requireRedisServer({ env: { PATH: join(root, 'a') }, home: root }))
    expect(error.code).toBe('redis-missing')
    expect(error.message).toContain(`${old} (version 5.0.3 is older than 7.0)`)
    expect(error.remedy).toContain('tinytown-worker bootstrap')
  })
})

describe('planning an installation', () => {
  const machine = (uid: number, commands: string[], more: Partial<MachineFacts> = {}): MachineFacts => ({
    platform: 'linux',
    uid,
    has: (command) => commands.includes(command),
    exists: () => false,
    ...more,
  })
  const lines = (plan: InstallPlan | null) =>
    plan?.steps.map(({ command, args }) => [command, ...args].join(' '))
  const quiet = 'env DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 RUNLEVEL=1 apt-get -q'
  const lock = '-o DPkg::Lock::Timeout=120'
  const apt = [
    `${quiet} ${lock} update`,
    `${quiet} ${lock} install --yes --no-install-recommends redis-server`,
    'update-rc.d redis-server disable',
  ]

  it.each<[string, MachineFacts, string[]]>([
    ['Debian as root', machine(0, ['apt-get']), apt],
    ['Debian as a user', machine(1000, ['apt-get', 'sudo']), apt.map((line) => `sudo ${line}`)],
    ['Fedora as root', machine(0, ['dnf']), ['dnf install --assumeyes redis']],
    ['Fedora as a user', machine(1000, ['dnf', 'sudo']), ['sudo dnf install --assumeyes redis']],
    ['Alpine as root', machine(0, ['apk']), ['apk --wait 120 add --no-cache redis']],
    ['Linux with Homebrew only', machine(1000, ['brew', 'sudo']), ['brew install redis']],
    ['macOS', machine(501, ['brew', 'sudo', 'apt-get'], { platform: 'darwin' }), ['brew install redis']],
    ['a machine with all of them', machine(0, ['brew', 'apk', 'dnf', 'apt-get']), apt],
  ])('plans for %s', (_, facts, expected) => {
    const plan = planInstall(facts)
    expect(lines(plan)).toEqual(expected)
    expect(plan?.blocked).toBeNull()
  })

  it.each<[string, MachineFacts]>([
    ['without a package manager', machine(0, ['sudo'])],
    ['on macOS without Homebrew', machine(501, ['apt-get'], { platform: 'darwin' })],
  ])('has no plan %s', (_, facts) => {
    expect(planInstall(facts)).toBeNull()
  })

  it.each<[string, MachineFacts, RegExp]>([
    ['apt-get without sudo', machine(1000, ['apt-get']), /apt-get needs root, this is user id 1000/],
    ['brew as root', machine(0, ['brew']), /brew refuses to run as root/],
  ])('says what blocks %s', (_, facts, reason) => {
    expect(planInstall(facts)?.blocked).toMatch(reason)
  })

  it('leaves a Debian service alone that was there before', () => {
    const plan = planInstall(
      machine(0, ['apt-get'], { exists: (path) => path.endsWith('redis-server.service') }),
    )
    const plain = `env DEBIAN_FRONTEND=noninteractive apt-get -q ${lock}`
    expect(lines(plan)).toEqual([
      `${plain} update`,
      `${plain} install --yes --no-install-recommends redis-server`,
    ])
    expect(plan?.note).toContain('restarted if it runs')
  })
})

describe('bootstrap', () => {
  /** A machine whose only commands are those in `<root>/bin`, a scripted apt-get among them. */
  async function aptMachine(body: string) {
    const bin = join(root, 'bin')
    await script(bin, 'apt-get', body)
    await script(bin, 'update-rc.d', 'echo "update-rc.d $*"')
    const facts = {
      platform: 'linux' as const,
      uid: 0,
      has: (name: string) => name === 'apt-get',
      exists: () => false,
    }
    const seen: string[] = []
    const env = { PATH: `${bin}:/usr/bin:/bin`, BIN: bin }
    return { bin, facts, seen, env, home: root, onLine: (line: string) => void seen.push(line) }
  }
  const installs = `case "$*" in *install*) printf '#!/bin/sh\\necho Redis server v=7.2.1 sha=0\\n' > $BIN/redis-server
    chmod +x $BIN/redis-server; echo "Setting up redis-server";; *) echo "Reading lists";; esac`
  // The search must not see the real server; the scripts still need the tools of the system.
  const withoutServer = async (machine: { bin: string; env: { PATH: string; BIN: string } }) => {
    for (const tool of ['env', 'chmod', 'sh']) {
      await symlink((await execa('which', [tool])).stdout, join(machine.bin, tool))
    }
    machine.env.PATH = machine.bin
  }

  it('installs nothing when there is a server', async () => {
    const machine = await aptMachine('echo must not run; exit 1')
    await script(machine.bin, 'redis-server', 'echo Redis server v=7.2.4 sha=0')
    await withoutServer(machine)
    expect(await bootstrap(machine)).toMatchObject({ installed: false, version: { text: '7.2.4' } })
    expect(machine.seen).toEqual([])
  })

  it('installs one, shows every line, and finds it', async () => {
    const machine = await aptMachine(installs)
    await withoutServer(machine)
    const result = await bootstrap(machine)
    expect(result).toEqual({
      path: join(machine.bin, 'redis-server'),
      version: { major: 7, minor: 2, text: '7.2.1' },
      installed: true,
    })
    expect(machine.seen[0]).toContain('neither started nor enabled')
    expect(machine.seen.slice(1)).toEqual([
      'Reading lists',
      'Setting up redis-server',
      'update-rc.d redis-server disable',
    ])
  })

  it('waits for another apt that holds the lock of the lists', async () => {
    const held = `[ -e $BIN/waited ] || { : > $BIN/waited; echo "E: Could not get lock lists/lock" >&2; exit 100; }`
    const machine = await aptMachine(`${held}\n${installs}`)
    await withoutServer(machine)
    expect(await bootstrap(machine)).toMatchObject({ installed: true })
  })

  it('ends with the last lines of the manager and the remedy when the installation fails', async () => {
    const machine = await aptMachine(`echo "E: Unable to locate package redis-server" >&2; exit 100`)
    await withoutServer(machine)
    const error = await failure(bootstrap(machine))
    expect(error.code).toBe('redis-missing')
    expect(error.message).toContain('E: Unable to locate package redis-server')
    expect(error.remedy).toContain('apt-get install redis-server')
  })

  it('says so when the installed server is too old', async () => {
    const machine = await aptMachine(installs.replace('7.2.1', '6.0.16'))
    await withoutServer(machine)
    const error = await failure(bootstrap(machine))
    expect(error.message).toMatch(/apt-get ended well, but: .*6\.0\.16 is older than 7\.0/)
  })

  it('points to the Redis manual when there is no package manager', async () => {
    const facts = { platform: 'linux' as const, uid: 0, has: () => false, exists: () => false }
    const error = await failure(bootstrap({ env: { PATH: root }, home: root, facts, onLine: () => {} }))
    expect(error.code).toBe('redis-missing')
    expect(error.remedy).toContain('https://redis.io/docs/latest/operate/oss_and_stack/install/')
  })

  it('does not begin a blocked plan', async () => {
    const facts = {
      platform: 'linux' as const,
      uid: 1000,
      has: (name: string) => name === 'dnf',
      exists: () => false,
    }
    const plan = planInstall(facts)
    if (!plan) throw new Error('no plan')
    const seen: string[] = []
    const error = await failure(runInstall(plan, { onLine: (line) => seen.push(line) }))
    expect(error.message).toContain('no sudo on PATH')
    expect(seen).toEqual([])
  })

  it('ends the package manager when it is aborted', async () => {
    const machine = await aptMachine('echo $$ > $BIN/pid; exec sleep 60')
    const plan = planInstall(machine.facts)
    if (!plan) throw new Error('no plan')
    const abort = new AbortController()
    const running = runInstall(plan, { ...machine, signal: abort.signal })
    const refused = expect(running).rejects.toThrow('stop now')
    await until(
      'apt-get runs',
      async () => (await readFile(join(machine.bin, 'pid'), 'utf8').catch(() => '')) !== '',
    )
    abort.abort(new Error('stop now'))
    await refused
    const pid = Number(await readFile(join(machine.bin, 'pid'), 'utf8'))
    await until('apt-get is gone', async () => (await processInfo(pid)) === null)
  })
})

describe('the socket path', () => {
  it.each([
    ['linux', 107],
    ['darwin', 103],
    ['freebsd', 103],
  ] as const)('has a limit on %s', (platform, limit) => {
    expect(socketPathLimit(platform)).toBe(limit)
  })

  it('is refused when it is too long, before anything is started', async () => {
    const socketPath = join(root, 'x'.repeat(socketPathLimit()), 'redis.sock')
    const error = await failure(ensure({ socketPath }))
    expect(error.code).toBe('config')
    expect(error.message).toContain(socketPath)
    expect(error.message).toContain(`${socketPathLimit()} bytes`)
    expect(error.message).toContain(`got ${Buffer.byteLength(socketPath)}`)
    expect(error.remedy).toMatch(/redis\.socket_path.*REDIS_URL/)
    expect(existsSync(join(root, '.tt'))).toBe(false)
  })

  it(
    'may be as long as the limit, counted in bytes',
    async () => {
      const name = 'ü'.repeat(20)
      const room = socketPathLimit() - Buffer.byteLength(join(root, name))
      const socketPath = join(root, name + 'x'.repeat(room))
      expect(await ensure({ socketPath })).toMatchObject({ kind: 'started' })
      expect(await ping({ path: socketPath }, { timeoutMs: 2000 })).toBe('pong')
    },
    TIMEOUT_MS,
  )

  it('has a short form that depends on user and folder only', () => {
    const deep = `/${'deep/'.repeat(60)}`
    expect(shortSocketPath(deep, 1000)).toMatch(/^\/tmp\/tinytown-1000\/[0-9a-f]{16}\.sock$/)
    expect(shortSocketPath(deep, 1000)).toBe(shortSocketPath(`${deep}x/..`, 1000))
    expect(shortSocketPath(deep, 1000)).not.toBe(shortSocketPath(`${deep}x`, 1000))
  })

  it('lies in the town folder unless that is too deep', () => {
    expect(defaultSocketPath('/town')).toBe('/town/.tt/redis.sock')
    const deep = `/${'deep/'.repeat(60)}`
    expect(defaultSocketPath(deep)).toBe(shortSocketPath(deep))
  })

  it('is refused in a shared folder that others can enter', async () => {
    const socketPath = shortSocketPath(root)
    const folder = resolve(socketPath, '..')
    if (existsSync(folder)) return // somebody's towns are there: not ours to change
    await mkdir(folder, { mode: 0o755 })
    try {
      await chmod(folder, 0o755)
      expect((await failure(checkSharedFolder(socketPath))).message).toMatch(
        /mode 700, got owner \d+ and mode 755/,
      )
      await chmod(folder, 0o700)
      await expect(checkSharedFolder(socketPath)).resolves.toBeUndefined()
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('ping', () => {
  it.each<[string, string | null, unknown]>([
    ['a reply', '+PONG\r\n', 'pong'],
    ['a bulk reply', '$4\r\nPONG\r\n', 'pong'],
    ['a server that loads', '-LOADING Redis is loading the dataset in memory\r\n', 'loading'],
    ['a server with a password', '-NOAUTH Authentication required.\r\n', 'noauth'],
    ['an error', '-MISCONF Errors writing\r\n', { other: 'MISCONF Errors writing', isRedis: true }],
    ['something else', 'HTTP/1.1 400 Bad Request\r\n', { other: 'HTTP/1.1 400 Bad Request', isRedis: false }],
    ['silence', null, 'timeout'],
    ['a server that hangs up', HANG_UP, 'closed'],
  ])('understands %s', async (_, answer, expected) => {
    await fakeServer([answer])
    expect(await ping({ path: options().socketPath }, { timeoutMs: 300 })).toEqual(expected)
  })

  it('is refused where nobody listens', async () => {
    expect(await pingTown()).toBe('refused')
    expect(await ping({ host: '127.0.0.1', port: 1 }, { timeoutMs: 2000 })).toBe('refused')
  })

  it('ends when it is aborted', async () => {
    const given = await fakeServer([null])
    const abort = new AbortController()
    const running = ping({ path: options().socketPath }, { timeoutMs: 60_000, signal: abort.signal })
    await until('the ping arrived', () => given.length > 0)
    abort.abort(new Error('stop now'))
    await expect(running).rejects.toThrow('stop now')
  })
})

describe('the local server', { timeout: TIMEOUT_MS }, () => {
  it('is started on a socket of the town, without a port', async () => {
    const result = await ensure()
    expect(result).toEqual({ kind: 'started', address: options().socketPath, pid: expect.any(Number) })
    expect(events).toEqual([
      { type: 'redis-started', address: result.address, pid: result.pid, version: binary.version.text },
    ])
    expect(await readFile(join(root, '.tt/redis.pid'), 'utf8')).toBe(`${result.pid}\n`)
    expect(await redis('INFO', 'server')).toContain('tcp_port:0')
    expect(existsSync(`${result.address}.lock`)).toBe(false)
  })

  it('is adopted when it runs', async () => {
    const first = await ensure()
    expect(await ensure()).toEqual({ ...first, kind: 'adopted' })
    expect(events.map(({ type }) => type)).toEqual(['redis-started', 'redis-adopted'])
  })

  it('is adopted when it wants a password, which the connection has to bring', async () => {
    await startAsTinytown('--requirepass', 'secret')
    const pid = Number(await readFile(join(root, '.tt/redis.pid'), 'utf8'))
    expect(await ensure()).toMatchObject({ kind: 'adopted', pid })
  })

  it('gets none of the keys in the environment', async () => {
    process.env.TT_TEST_API_KEY = 'secret'
    try {
      const { pid } = await ensure()
      if (process.platform !== 'linux') return
      expect(await readFile(`/proc/${pid}/environ`, 'utf8')).not.toContain('TT_TEST_API_KEY')
    } finally {
      delete process.env.TT_TEST_API_KEY
    }
  })

  it('is started in place of one that left its socket file behind', async () => {
    const first = await ensure()
    if (first.pid === null) throw new Error('no pid')
    await endProcess(first.pid)
    expect(existsSync(first.address)).toBe(true)
    events = []
    const second = await ensure()
    expect(second.kind).toBe('started')
    expect(second.pid).not.toBe(first.pid)
    expect(events.map(({ type }) => type)).toEqual(['redis-stale-socket', 'redis-started'])
  })

  it('leaves a file alone that is not a socket', async () => {
    await mkdir(join(root, '.tt'))
    await writeFile(options().socketPath, 'keep me')
    expect((await failure(ensure())).code).toBe('config')
    expect(await readFile(options().socketPath, 'utf8')).toBe('keep me')
  })

  it('is waited for while it loads', async () => {
    const loading = '-LOADING Redis is loading the dataset in memory\r\n'
    await fakeServer([loading, loading, '+PONG\r\n', '$14\r\nprocess_id:123\r\n'])
    expect(await ensure()).toMatchObject({ kind: 'adopted', pid: 123 })
    pids.delete(123)
    expect(events.map(({ type }) => type)).toEqual(['redis-loading', 'redis-adopted'])
  })

  it('is asked again when it hangs up', async () => {
    await fakeServer([HANG_UP, HANG_UP, '+PONG\r\n', '-ERR no INFO\r\n'])
    expect(await ensure()).toMatchObject({ kind: 'adopted', pid: null })
  })

  it('is woken when somebody stopped it', async () => {
    const { pid } = await ensure()
    process.kill(pid ?? -1, 'SIGSTOP')
    expect(await ensure()).toMatchObject({ kind: 'adopted', pid })
  })

  it('is replaced when it stays silent, with the data that it had saved', async () => {
    await ensure()
    await redis('SET', 'kept', 'yes')
    await stop()
    const program = fileURLToPath(new URL('../rig/silent-redis-server.mjs', import.meta.url))
    const silent = execa(process.execPath, [program, options().socketPath], { cwd: root, reject: false })
    if (silent.pid === undefined) throw new Error('it did not start')
    pids.add(silent.pid)
    await writeFile(join(root, '.tt/redis.pid'), `${silent.pid}\n`)
    await once(silent.stdout, 'data')
    events = []
    expect(await ensure()).toMatchObject({ kind: 'started' })
    expect((await silent).signal).toBe('SIGKILL')
    expect(events.map(({ type }) => type)).toEqual(['redis-silent', 'redis-stale-socket', 'redis-started'])
    expect(await redis('GET', 'kept')).toBe('yes')
  })

  it('is not taken for another program on the socket', async () => {
    await fakeServer(['HTTP/1.1 400 Bad Request\r\n'])
    const error = await failure(ensure())
    expect(error.code).toBe('config')
    expect(error.message).toContain('400 Bad Request')
  })

  it('ends with the reason and the log when the program fails at once', async () => {
    const path = await script(root, 'broken', 'echo cannot bind: too sunny; exit 3')
    const error = await failure(ensure({ binary: { ...binary, path } }))
    expect(error.code).toBe('redis-failed')
    expect(error.message).toContain('ended with exit code 3')
    expect(error.message).toContain('cannot bind: too sunny')
    expect(error.remedy).toContain('redis.log')
    expect(existsSync(`${options().socketPath}.lock`)).toBe(false)
  })

  it('ends with the reason and the log when the data cannot be read', async () => {
    await mkdir(join(root, '.tt'))
    await writeFile(join(root, 'dump.rdb'), 'this is no snapshot')
    const error = await failure(ensure())
    expect(error.code).toBe('redis-failed')
    expect(error.message).toMatch(/Wrong signature|Failed|Fatal/)
    expect(await readFile(join(root, 'dump.rdb'), 'utf8')).toBe('this is no snapshot')
  })

  it('ends with the reason when the program does not exist', async () => {
    const error = await failure(ensure({ binary: { ...binary, path: join(root, 'none') } }))
    expect(error.code).toBe('redis-failed')
    expect(error.message).toContain('ENOENT')
  })

  it('is ended again when the start is aborted', async () => {
    const path = await script(root, 'slow', `echo $$ > ${root}/pid; exec sleep 60`)
    const abort = new AbortController()
    const refused = expect(ensure({ binary: { ...binary, path } }, abort.signal)).rejects.toThrow('stop now')
    const pidText = () => readFile(join(root, 'pid'), 'utf8').catch(() => '')
    await until('the program runs', async () => (await pidText()) !== '')
    abort.abort(new Error('stop now'))
    await refused
    expect(await processInfo(Number(await pidText()))).toBeNull()
    expect(existsSync(`${options().socketPath}.lock`)).toBe(false)
  })

  it.each([
    ['a file', () => join(root, 'file')],
    ['a place where no folder can be made', () => '/proc/tinytown'],
  ])('is refused when the town folder is %s', async (_, where) => {
    await writeFile(join(root, 'file'), '')
    const place = where()
    const error = await failure(ensure({ root: place, socketPath: join(place, '.tt/redis.sock') }))
    expect(error.code).toBe('config')
    expect(error.message).toContain(`Expected a town folder to write to, got ${place}`)
    expect(error.remedy).toContain('REDIS_URL')
  })

  it.runIf(process.platform === 'linux')(
    'on Linux, where /proc tells the folder of a process: is refused when another server works on the same folder',
    async () => {
      const { pid } = await ensure()
      const error = await failure(ensure({ socketPath: join(root, '.tt/second.sock') }))
      expect(error.code).toBe('redis-failed')
      expect(error.message).toContain(`(process ${pid}) already works on ${root}`)
      expect(error.remedy).toContain(`kill ${pid}`)
    },
  )

  it.each([
    ['a process that died', { pid: 2 ** 22 + 1, startedAt: '1' }],
    ['an earlier process with the number of one that runs', { pid: process.pid, startedAt: '1' }],
  ])('is started although %s left its lock behind', async (_, owner) => {
    await mkdir(join(root, '.tt'))
    const lock = JSON.stringify({ ...owner, host: hostname(), token: 'old' })
    await writeFile(`${options().socketPath}.lock`, lock)
    expect((await ensure()).kind).toBe('started')
    expect(existsSync(`${options().socketPath}.lock`)).toBe(false)
  })

  it('is started once when many find the lock of a process that died', async () => {
    await mkdir(join(root, '.tt'))
    const lock = JSON.stringify({ pid: 2 ** 22 + 1, startedAt: '1', host: hostname(), token: 'old' })
    await writeFile(`${options().socketPath}.lock`, lock)
    const results = await Promise.all(Array.from({ length: 8 }, () => ensure()))
    expect(results.filter(({ kind }) => kind === 'started')).toHaveLength(1)
    expect(existsSync(`${options().socketPath}.lock.break`)).toBe(false)
  })

  it('waits for the lock of a process that is starting, until it is aborted', async () => {
    await mkdir(join(root, '.tt'))
    const self = await processInfo(process.pid)
    const owner = { pid: process.pid, startedAt: self?.startedAt, host: hostname(), token: 'theirs' }
    await writeFile(`${options().socketPath}.lock`, JSON.stringify(owner))
    const abort = new AbortController()
    const refused = expect(ensure({}, abort.signal)).rejects.toThrow('stop now')
    await delay(150) // long enough for a start that would not wait
    abort.abort(new Error('stop now'))
    await refused
    expect(events).toEqual([])
    expect(existsSync(`${options().socketPath}.lock`)).toBe(true)
  })

  it('is started once when many ask at the same time', async () => {
    const results = await Promise.all(Array.from({ length: 8 }, () => ensure()))
    expect(results.filter(({ kind }) => kind === 'started')).toHaveLength(1)
    expect(new Set(results.map(({ pid }) => pid)).size).toBe(1)
  })
})

describe('the data of a town', { timeout: TIMEOUT_MS }, () => {
  it('is there again after a stop and a start', async () => {
    const { pid } = await ensure()
    expect(await redis('SET', 'task', 'one')).toBe('OK')
    expect(await stop()).toBe('stopped')
    expect(await processInfo(pid ?? 0)).toBeNull()
    await ensure()
    expect(await redis('GET', 'task')).toBe('one')
  })

  it('is the same for a server that tt starts', async () => {
    await startAsTinytown()
    await redis('SET', 'from-tt', 'one')
    expect(await ensure()).toMatchObject({ kind: 'adopted' })
    expect(await stop()).toBe('stopped')
    expect(await ensure()).toMatchObject({ kind: 'started' })
    expect(await redis('GET', 'from-tt')).toBe('one')
    await redis('SET', 'from-us', 'two')
    await stop()
    await startAsTinytown()
    expect(await redis('GET', 'from-us')).toBe('two')
  })

  it('is saved every minute, however little is written', async () => {
    const { address } = await ensure()
    const client = new Redis({ path: address })
    try {
      expect(await client.config('GET', 'save')).toEqual(['save', '60 1'])
    } finally {
      client.disconnect()
    }
  })

  it.each(['dump.rdb', 'appendonlydir'])('is not that of another program: %s', async (name) => {
    await mkdir(join(root, name))
    const error = await failure(ensure())
    expect(error.code).toBe('config')
    expect(error.message).toContain(join(root, name))
    expect(error.remedy).toMatch(/Move it away, .*--town, .*REDIS_URL/)
    expect(existsSync(join(root, '.tt'))).toBe(false)
    expect(events).toEqual([])
  })

  it('survives a killed server when it is kept in append-only files', async () => {
    const { pid } = await ensure({ persist: true })
    await redis('SET', 'task', 'one')
    await endProcess(pid ?? 0)
    await ensure({ persist: true })
    expect(await redis('GET', 'task')).toBe('one')
  })

  it('is not lost when append-only files are turned on and off, nor when tt writes in between', async () => {
    await ensure({ persist: false })
    await redis('SET', 'a', '1')
    await stop()
    await nextSecond()
    const second = await ensure({ persist: true })
    expect(await redis('GET', 'a')).toBe('1')
    expect(await redis('INFO', 'persistence')).toContain('aof_enabled:1')
    await redis('SET', 'b', '2')
    await endProcess(second.pid ?? 0)
    await ensure({ persist: false })
    expect(await redis('INFO', 'persistence')).toContain('aof_enabled:0')
    expect(await redis('GET', 'b')).toBe('2')
    await stop()
    await nextSecond()
    await startAsTinytown()
    await redis('SET', 'c', '3')
    await stop()
    await ensure({ persist: true })
    expect([await redis('GET', 'a'), await redis('GET', 'b'), await redis('GET', 'c')]).toEqual([
      '1',
      '2',
      '3',
    ])
  })

  // A snapshot knows when it began in whole seconds only.
  const nextSecond = () => delay(1000 - (Date.now() % 1000) + 20)
})

describe('stopping', { timeout: TIMEOUT_MS }, () => {
  it('finds nothing to do where nothing runs', async () => {
    expect(await stop()).toBe('not-running')
    const { pid } = await ensure()
    await endProcess(pid ?? 0)
    expect(await stop()).toBe('not-running')
    expect(existsSync(options().socketPath)).toBe(false)
    expect(existsSync(join(root, '.tt/redis.pid'))).toBe(false)
  })

  it('leaves neither process nor files', async () => {
    const { pid } = await ensure()
    expect(await stop()).toBe('stopped')
    expect(await processInfo(pid ?? 0)).toBeNull()
    for (const name of ['redis.sock', 'redis.pid', 'redis.sock.lock']) {
      expect(existsSync(join(root, '.tt', name))).toBe(false)
    }
  })

  it.each([
    ['whose socket file was deleted', [], true],
    ['that wants a password', ['--requirepass', 'secret'], false],
  ])('ends a server %s by signal, with its data saved', async (_, more, deleteSocket) => {
    await startAsTinytown()
    await redis('SET', 'task', 'one')
    if (more.length > 0) await redis('CONFIG', 'SET', 'requirepass', 'secret')
    if (deleteSocket) await rm(options().socketPath)
    expect(await stop()).toBe('stopped')
    await ensure()
    expect(await redis('GET', 'task')).toBe('one')
  })

  it('does not touch a process that happens to have the number in the pid file', async () => {
    const other = spawn('sleep', ['60'], { stdio: 'ignore' })
    try {
      await mkdir(join(root, '.tt'))
      await writeFile(join(root, '.tt/redis.pid'), `${other.pid}\n`)
      expect(await stop()).toBe('not-running')
      expect(other.exitCode ?? other.signalCode).toBeNull()
    } finally {
      await endChild(other)
    }
  })

  it('says so when the server refuses because it cannot save', async () => {
    await ensure()
    await redis('SET', 'task', 'one')
    await mkdir(join(root, 'dump.rdb/in-the-way'), { recursive: true })
    const error = await failure(stop())
    expect(error.code).toBe('redis-failed')
    expect(error.message).toContain('refused to shut down')
    expect(await redis('GET', 'task')).toBe('one')
  })
})

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

describe('several processes', { timeout: 2 * TIMEOUT_MS }, () => {
  let built: string

  // Node 20 runs no TypeScript, so the processes get the compiled room.
  beforeAll(async () => {
    built = join(base, 'built')
    await mkdir(built)
    await writeFile(join(built, 'package.json'), '{"type":"module"}')
    await symlink(resolve('node_modules'), join(built, 'node_modules'))
    const settings = ['--ignoreConfig', '--rewriteRelativeImportExtensions', '--skipLibCheck']
    const target = ['--target', 'es2023', '--module', 'nodenext', '--types', 'node', '--strict']
    const out = ['--rootDir', 'src', '--outDir', built]
    await execa(
      process.execPath,
      ['node_modules/typescript/bin/tsc', 'src/server/local.ts', ...settings, ...target, ...out],
      { all: true },
    )
    await writeFile(
      join(built, 'ensure.mjs'),
      `import { ensureLocalRedis } from './server/local.js'
       const [root, linger] = process.argv.slice(2)
       const options = { root, socketPath: root + '/.tt/redis.sock', persist: false, emit() {} }
       console.log(JSON.stringify(await ensureLocalRedis(options)))
       if (linger) setInterval(() => {}, 1000)`,
    )
  })

  const args = (...more: string[]) => [join(built, 'ensure.mjs'), root, ...more]

  it('end with one server, which goes on when they are done', async () => {
    const runs = await Promise.all(Array.from({ length: 4 }, () => execa(process.execPath, args())))
    const results = runs.map(({ stdout }): { kind: string; pid: number } => JSON.parse(stdout))
    for (const { pid } of results) pids.add(pid)
    expect(results.map(({ kind }) => kind).sort()).toEqual(['adopted', 'adopted', 'adopted', 'started'])
    expect(pids.size).toBe(1)
    expect(await pingTown()).toBe('pong')
  })

  it('leave the server running when the one that started it is killed with its whole group', async () => {
    const child = spawn(process.execPath, args('linger'), {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      const [line] = await once(child.stdout, 'data')
      const { pid }: { pid: number } = JSON.parse(String(line))
      pids.add(pid)
      const gone = once(child, 'exit')
      process.kill(-(child.pid ?? 0), 'SIGINT')
      await gone
      expect(await pingTown()).toBe('pong')
      expect(await stop()).toBe('stopped')
    } finally {
      await endChild(child)
    }
  })

  it('get past one that was killed while it started the server', async () => {
    await mkdir(join(root, 'bin'))
    const slow = `case "$1" in --version) exec ${binary.path} --version;; *) echo $$ > ${root}/slow; exec sleep 60;; esac`
    await script(join(root, 'bin'), 'redis-server', slow)
    const env = { PATH: `${join(root, 'bin')}:${process.env.PATH}`, HOME: root }
    const child = spawn(process.execPath, args(), { env, stdio: 'ignore' })
    const pidText = () => readFile(join(root, 'slow'), 'utf8').catch(() => '')
    await until('it waits for the server', async () => (await pidText()) !== '')
    pids.add(Number(await pidText()))
    await endChild(child)
    expect(existsSync(`${options().socketPath}.lock`)).toBe(true)
    expect((await ensure()).kind).toBe('started')
  })
})

describe('the holder of a lease', () => {
  const hostname = 'box'
  const self = async () => {
    const info = await processInfo(process.pid)
    return { host: hostname, pid: String(process.pid), startedAt: info?.startedAt ?? '' }
  }

  it('is there while its process runs', async () => {
    expect(await holderIsGone(await self(), { hostname })).toBe(false)
  })

  it('is gone when its number belongs to nobody or to another process', async () => {
    const holder = await self()
    expect(await holderIsGone({ ...holder, pid: String(2 ** 22 + 1) }, { hostname })).toBe(true)
    expect(await holderIsGone({ ...holder, startedAt: `${holder.startedAt}0` }, { hostname })).toBe(true)
  })

  it.each<[string, object]>([
    ['on another host', { host: 'elsewhere' }],
    ['in another container of the same host name', { startedAt: 'another-start/4026539999/17' }],
    ['that told no start', { startedAt: '' }],
    ['that told no process', { pid: '' }],
  ])('is not taken for gone: one %s', async (_, change) => {
    const holder = { ...(await self()), pid: String(2 ** 22 + 1), ...change }
    expect(await holderIsGone(holder, { hostname })).toBe(false)
  })
})
