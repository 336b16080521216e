import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { listAgents } from '../../src/store/agents.ts'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import { type FakeAgents, listenForFakeAgents } from './fake-agent.ts'
import { freePort } from './redis-servers.ts'
import { until } from './until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const IMAGE = 'tinytown-agent-worker'

export interface Ended {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end, whatever that is. */
function sh(program: string, args: readonly string[], env: object = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd: ROOT, env: { ...process.env, ...env }, maxBuffer: 64 << 20 }
    execFile(program, args, options, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 127) : 0
      resolve({ exit: code, stdout, stderr: code === 127 ? `${stderr}${error?.message}` : stderr })
    })
  })
}

export const docker = (...args: string[]) => sh('docker', args)

/** The town of docker-compose.yml, whose CLI is the fake agent of the test. */
export interface Composed {
  readonly agents: FakeAgents
  readonly keys: TownKeys
  readonly redisUrl: string
  /** What somebody outside has of the town: connected once its Redis is up. */
  readonly redis: Redis
  /** Runs docker-compose; throws when that fails. */
  up(...args: string[]): Promise<void>
  compose(...args: string[]): Promise<Ended>
  /** The containers of the workers, in the order of their numbers. */
  workers(): Promise<string[]>
  /** Waits until agents of these names, and no others, are idle; returns their ids by name. */
  idle(...names: string[]): Promise<Record<string, string>>
  close(): Promise<void>
}

/** `docker-compose`, or the plugin of the docker command. */
async function composeCommand(): Promise<[string, ...string[]]> {
  return (await sh('docker-compose', ['version'])).exit === 0 ? ['docker-compose'] : ['docker', 'compose']
}

/** Builds the image of the bare worker, as docker-compose.yml says. */
export async function buildImage(): Promise<void> {
  const engine = await docker('version')
  if (engine.exit !== 0) throw new Error(`The docker command finds no engine: ${engine.stderr}`)
  const [program, ...first] = await composeCommand()
  const dir = await mkdtemp(join(tmpdir(), 'tw-compose-'))
  const override = join(dir, 'override.json')
  // The registries may be reached through this machine alone.
  await writeFile(override, JSON.stringify({ services: { 'agent-worker': { build: { network: 'host' } } } }))
  const files = ['-f', 'docker-compose.yml', '-f', override, '--profile', 'worker']
  const built = await sh(program, [...first, ...files, 'build', 'agent-worker'], { CLI_PACKAGE: '' })
  await rm(dir, { recursive: true })
  if (built.exit !== 0) throw new Error(`The image could not be built:\n${built.stdout}${built.stderr}`)
}

/** A project of its own, with nothing started yet. `env`: of docker-compose; `worker`: of the workers besides. */
export async function makeComposed({ env = {}, worker = {} } = {}): Promise<Composed> {
  const command = await composeCommand()
  const agents = await listenForFakeAgents()
  const dir = await mkdtemp(join(tmpdir(), 'tw-compose-'))
  const socket = agents.env.FAKE_AGENT_SOCKET ?? ''
  // The worker runs as another user, to whom the test's files are a stranger's.
  await Promise.all([chmod(dirname(socket), 0o755), chmod(socket, 0o777), chmod(dir, 0o755)])
  const toml = join(dir, 'tinytown.toml')
  const table = '[agent_clis.fake]\ncommand = "node /fake/agent.mjs"\npass_env = ["FAKE_AGENT_SOCKET"]\n'
  await writeFile(toml, table)
  const program = fileURLToPath(new URL('fake-agent-program.mjs', import.meta.url))
  const override = {
    services: {
      'agent-worker': {
        environment: { FAKE_AGENT_SOCKET: '/fake-agents/agents.sock', TINYTOWN_RETRY_DELAY: '0', ...worker },
        volumes: [
          `${dirname(socket)}:/fake-agents`,
          `${program}:/fake/agent.mjs:ro`,
          `${toml}:/workspace/tinytown.toml:ro`,
        ],
      },
    },
  }
  await writeFile(join(dir, 'override.json'), JSON.stringify(override))
  const port = await freePort()
  const project = `tw${port}`
  const settings = {
    REDIS_PORT: String(port),
    TINYTOWN_AGENT_CLI: 'fake',
    TINYTOWN_TOWN_NAME: 'test',
    CLI_PACKAGE: '',
    ...env,
  }
  const files = ['-p', project, '-f', 'docker-compose.yml', '-f', join(dir, 'override.json')]
  const compose = (...args: string[]) => {
    const [name, ...first] = command
    return sh(name, [...first, ...files, '--profile', 'worker', ...args], settings)
  }
  const keys = townKeys('test')
  const redis = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 100, lazyConnect: true })
  redis.on('error', () => undefined)
  return {
    agents,
    keys,
    redis,
    redisUrl: `redis://127.0.0.1:${port}`,
    compose,
    async up(...args) {
      const ended = await compose('up', '-d', '--no-build', ...args)
      if (ended.exit !== 0) throw new Error(`docker-compose up failed:\n${ended.stdout}${ended.stderr}`)
    },
    async workers() {
      const { stdout } = await compose('ps', '-q', 'agent-worker')
      return stdout.split('\n').filter((line) => line !== '')
    },
    async idle(...names) {
      const found = await until(
        async () => {
          const here = (await listAgents(redis, keys)).filter(({ state }) => state !== 'stopped')
          const idle = here.filter(({ state }) => state === 'idle').map(({ name }) => name)
          return idle.length === here.length && idle.sort().join() === [...names].sort().join() ? here : null
        },
        `${names.join(', ')} are idle`,
        60_000,
      ).catch(async (error) => {
        throw new Error(`${error.message}\n${(await compose('logs', '--no-color')).stdout}`)
      })
      return Object.fromEntries(found.map(({ name, id }) => [name, id]))
    },
    async close() {
      redis.disconnect()
      await compose('kill')
      await compose('down', '--volumes', '--timeout', '0')
      await agents.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
