import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { afterEach } from 'vitest'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import { until } from './until.ts'

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

/** A running `tinytown-worker`. */
export interface Daemon {
  readonly pid: number
  stdout(): string
  stderr(): string
  signal(signal: NodeJS.Signals): void
  /** Stops reading what it prints: its next line meets a closed pipe. */
  closeStdout(): void
  /** Settles when it is gone; the exit code, or the name of the signal that ended it. */
  readonly exit: Promise<number | NodeJS.Signals>
  /** Waits until it said something that matches. */
  says(what: RegExp): Promise<void>
}

/** Starts the built program; by a line of shell, when there is one, that ends with `exec "$@"`. */
export function startProgram(
  args: readonly string[],
  options: { cwd: string; env?: object; input?: string; shell?: string },
): Daemon {
  const { shell } = options
  const [program = '', ...first] = shell
    ? ['/bin/sh', '-c', shell, 'sh', process.execPath]
    : [process.execPath]
  const child = spawn(program, [...first, MAIN, ...args], {
    cwd: options.cwd,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      TERM: 'dumb',
      ...options.env,
    } as NodeJS.ProcessEnv,
    stdio: 'pipe',
  })
  let [stdout, stderr] = ['', '']
  // A character may lie in two chunks.
  child.stdout.setEncoding('utf8')
  child.stderr.setEncoding('utf8')
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  const exit = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? -1))
  })
  return {
    pid: child.pid ?? -1,
    stdout: () => stdout,
    stderr: () => stderr,
    signal: (signal) => void child.kill(signal),
    closeStdout: () => void child.stdout.destroy(),
    exit,
    async says(what) {
      await until(
        () => what.test(stderr) || what.test(stdout),
        `the program says ${what}:\n${stderr}`,
        20_000,
      ).catch(() => {
        throw new Error(`the program never said ${what}; stderr:\n${stderr}\nstdout:\n${stdout}`)
      })
    },
  }
}

/** A town folder of the test's own; its redis-server is started by the program and ended by `close`. */
export interface TestTown {
  readonly root: string
  readonly keys: TownKeys
  /** Runs a command to its end. */
  cli(...args: string[]): Promise<{ exit: number | NodeJS.Signals; stdout: string; stderr: string }>
  cliWith(
    options: { env?: object; input?: string },
    ...args: string[]
  ): Promise<{ exit: number | NodeJS.Signals; stdout: string; stderr: string }>
  /** Starts the worker and waits until it is registered and idle. */
  worker(...args: string[]): Promise<Daemon>
  /** Starts the program and waits for nothing. */
  start(...args: string[]): Daemon
  startWith(options: { env?: object }, ...args: string[]): Daemon
  /** The names of the files in a folder of the town. */
  files(folder: string): Promise<string[]>
  /** A connection to the town's redis, which must run. */
  redis(): Promise<Redis>
  close(): Promise<void>
}

/** Makes a town with the given tinytown.toml. What is started in it is ended by `close`, also when the test failed. */
export async function makeTown(toml: string, env: object = {}): Promise<TestTown> {
  const root = await mkdtemp(join(tmpdir(), 'tw-town-'))
  await writeFile(join(root, 'tinytown.toml'), `name = "test"\n${toml}`)
  const started: Daemon[] = []
  const connections: Redis[] = []
  const start = (args: readonly string[], more: { env?: object; input?: string } = {}) => {
    // One attempt, unless a test is about several.
    const one = { TINYTOWN_MAX_ATTEMPTS: '1' }
    const daemon = startProgram(args, { cwd: root, ...more, env: { ...one, ...env, ...more.env } })
    started.push(daemon)
    return daemon
  }
  const cliWith: TestTown['cliWith'] = async (options, ...args) => {
    const program = start(args, options)
    return { exit: await program.exit, stdout: program.stdout(), stderr: program.stderr() }
  }
  return {
    root,
    keys: townKeys('test'),
    cliWith,
    cli: (...args) => cliWith({}, ...args),
    start: (...args) => start(args),
    startWith: (options, ...args) => start(args, options),
    async worker(...args) {
      const daemon = start(args)
      await daemon.says(/starting -> (idle|paused|error)/)
      return daemon
    },
    files: (folder) => readdir(join(root, folder)),
    async redis() {
      const redis = new Redis({ path: join(root, '.tt', 'redis.sock') })
      // Some tests end the server under this connection.
      redis.on('error', () => undefined)
      connections.push(redis)
      return redis
    },
    async close() {
      for (const redis of connections) redis.disconnect()
      for (const daemon of started) daemon.signal('SIGKILL')
      await Promise.all(started.map(({ exit }) => exit))
      await endRedis(root)
      await rm(root, { recursive: true, force: true })
    },
  }
}

async function endRedis(root: string): Promise<void> {
  const pid = Number(await readFile(join(root, '.tt', 'redis.pid'), 'utf8').catch(() => ''))
  if (!pid) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    return
  }
  await until(async () => !(await processLives(pid)), `redis-server ${pid} is gone`)
}

/** True while a process with this id exists (a zombie does not count). */
export async function processLives(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return stat === null ? false : !/\) Z /.test(stat)
}

/** Closes what a test opened, last first, also when it failed. */
export function useClosers(): (close: () => Promise<unknown>) => void {
  const closers: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  return (close) => void closers.push(close)
}
