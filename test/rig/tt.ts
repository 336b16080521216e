import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import type { Redis } from 'ioredis'
import { type AgentKeys, type TownKeys, townKeys } from '../../src/store/keys.ts'
import { type Daemon, startProgram, useClosers } from './daemon.ts'
import { type FakeAgents, listenForFakeAgents } from './fake-agent.ts'
import { startTestRedis } from './redis.ts'
import { until } from './until.ts'

/** The version that the suite and its fixtures speak of. */
const VERSION = '0.10.0'
const TOWN = 'shop'

/** The real `tt`: TT_BIN, else one in PATH, else that of cargo. Throws when there is none of the right version. */
function findTt(): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), join(homedir(), '.cargo', 'bin')]
  const places = [process.env.TT_BIN, ...folders.map((folder) => join(folder, 'tt'))]
  const found = places.find((path) => path && versionOf(path) === `tt ${VERSION}`)
  if (found) return found
  throw new Error(
    `The real tt ${VERSION} is not here, so nothing of it was tested. Install it: cargo install tinytown --version ${VERSION} --locked; or say where it is: TT_BIN`,
  )
}

function versionOf(path: string): string | null {
  try {
    return execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return null
  }
}

const TT = findTt()

/** A `tt` that runs. */
interface RunningTt {
  /** What it said, without the times and levels of its log. */
  text(): string
  /** Its exit code and what it said, when it and everything it started have ended. */
  readonly ended: Promise<{ exit: number | null; text: string }>
}

/** A town on a redis-server of its own, with the real `tt`, the built worker and fake agents. Touches nothing of the user's. */
export interface TtTown {
  readonly root: string
  readonly redis: Redis
  readonly keys: TownKeys
  readonly agents: FakeAgents
  /** Runs `tt` and gives what it said. Throws when it fails. */
  tt(...args: string[]): Promise<string>
  /** Runs `tt` where it must fail, and gives what it said. */
  ttFails(...args: string[]): Promise<string>
  /** Has `tt` assign a task, and gives its id. */
  assign(agent: string, description: string): Promise<string>
  /** Starts `tt` and waits for nothing. `env` replaces the whole environment. */
  startTt(args: readonly string[], env?: object): RunningTt
  /** Runs a command of ours to its end. */
  ours(...args: string[]): Promise<{ exit: number | NodeJS.Signals; stdout: string; stderr: string }>
  /** Starts a worker of ours with the fake agent and waits until it is registered. */
  worker(...args: string[]): Promise<Daemon>
  /** The id of an agent that a worker of ours registered. */
  idOf(name: string): Promise<string>
  keysOf(name: string): Promise<AgentKeys>
  /** Waits until a command of `tt` says something that matches. */
  ttSays(args: readonly string[], what: RegExp): Promise<string>
  close(): Promise<void>
}

/** Makes towns that end with the test. */
export function useTtTowns(): (by?: 'tt' | 'tinytown-worker') => Promise<TtTown> {
  const onClose = useClosers()
  return async (by) => {
    const town = await makeTtTown(by)
    onClose(() => town.close())
    return town
  }
}

/** Makes a town with the tinytown.toml that `tt init` or our `init` writes, and the fake agent as a CLI of it. */
async function makeTtTown(by: 'tt' | 'tinytown-worker' = 'tt'): Promise<TtTown> {
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const end of closers.splice(0).reverse()) await end()
  }
  try {
    return await make(by, closers, close)
  } catch (error) {
    await close()
    throw error
  }
}

async function make(
  by: 'tt' | 'tinytown-worker',
  closers: (() => Promise<unknown>)[],
  close: () => Promise<void>,
): Promise<TtTown> {
  const base = await mkdtemp(join(tmpdir(), 'tw-tt-'))
  closers.push(() => rm(base, { recursive: true, force: true }))
  const [root, home] = [join(base, 'town'), join(base, 'home')]
  for (const folder of [root, home]) await mkdir(folder)
  const server = await startTestRedis()
  closers.push(() => server.close())
  const agents = await listenForFakeAgents()
  closers.push(() => agents.close())
  // The worker reports the tasks of missions through `tt`.
  const path = [dirname(TT), process.env.PATH].join(delimiter)
  const env = {
    PATH: path,
    HOME: home,
    REDIS_URL: server.url,
    NO_COLOR: '1',
    TINYTOWN_MAX_ATTEMPTS: '1',
    ...agents.env,
  }
  const keys = townKeys(TOWN)

  const startTt = (args: readonly string[], other: object = env) => {
    const running = run(TT, args, { cwd: root, env: other })
    closers.push(running.kill)
    return running
  }
  const start = (args: readonly string[]) => {
    const daemon = startProgram(args, { cwd: root, env })
    closers.push(async () => {
      daemon.signal('SIGKILL')
      await daemon.exit
    })
    return daemon
  }
  const tt = async (...args: string[]) => {
    const { exit, text } = await startTt(args).ended
    if (exit !== 0) throw new Error(`tt ${args.join(' ')} ended with ${exit}:\n${text}`)
    return text
  }
  const ours = async (...args: string[]) => {
    const program = start(args)
    return { exit: await program.exit, stdout: program.stdout(), stderr: program.stderr() }
  }
  const idOf = async (name: string) => {
    const id = await server.redis.hget(keys.names, name)
    if (!id) throw new Error(`No worker of ours registered as ${name}`)
    return id
  }

  if (by === 'tt') await tt('init', '--name', TOWN)
  else {
    const made = await ours('init', '--name', TOWN)
    if (made.exit !== 0) throw new Error(`init ended with ${made.exit}:\n${made.stderr}`)
  }
  // `tt` wants a name beside the command.
  await appendFile(join(root, 'tinytown.toml'), `\n${agents.toml('name = "fake"')}`)

  return {
    root,
    redis: server.redis,
    keys,
    agents,
    tt,
    async ttFails(...args) {
      const { exit, text } = await startTt(args).ended
      if (exit === 0) throw new Error(`tt ${args.join(' ')} did not fail:\n${text}`)
      return text
    },
    async assign(agent, description) {
      const said = await tt('assign', agent, description)
      return /Assigned task (\S+)/.exec(said)?.[1] ?? ''
    },
    startTt,
    ours,
    async worker(...args) {
      const daemon = start(args.includes('--cli') ? args : ['--cli', 'fake', ...args])
      await daemon.says(/starting -> (idle|paused|error)/)
      return daemon
    },
    idOf,
    keysOf: async (name) => keys.agent(await idOf(name)),
    async ttSays(args, what) {
      let text = ''
      const check = async () => {
        text = await tt(...args)
        return what.test(text) ? text : null
      }
      const failed = (error: unknown) => {
        throw new Error(`${String(error)}; it said:\n${text}`)
      }
      return await until(check, `tt ${args.join(' ')} says ${what}`).catch(failed)
    },
    close,
  }
}

/** Starts a program in a process group of its own, so that `kill` also reaches what it started. */
function run(program: string, args: readonly string[], options: { cwd: string; env: object }) {
  const child: ChildProcess = spawn(program, args, {
    cwd: options.cwd,
    env: options.env as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (chunk) => {
      output += chunk
    })
  }
  // A line of its log: time, level, target, text.
  const text = () => output.replace(/^\d{4}-\d\d-\d\dT\S+ +[A-Z]+ \S+: /gm, '')
  const ended = new Promise<{ exit: number | null; text: string }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exit) => resolve({ exit, text: text() }))
  })
  let over = false
  const isOver = () => {
    over = true
  }
  ended.then(isOver, isOver)
  const kill = async () => {
    if (!over && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    await ended.catch(() => undefined)
  }
  return { text, ended, kill }
}
