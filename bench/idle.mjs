// What an idle worker costs: connections, commands per second, processor time and memory, of Redis and of the workers. N
// processes with one agent each, then one process with N agents (--count).
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'

const WINDOW_S = Number(process.env.WINDOW_S ?? 30)
const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))
const TICKS_PER_S = 100

const root = await mkdtemp(join(tmpdir(), 'tw-idle-'))
const socket = join(root, 'redis.sock')
const options = ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', root]
const server = spawn('redis-server', options, { stdio: 'ignore' })
const redis = new Redis({ path: socket, retryStrategy: () => 50 })
redis.on('error', () => undefined)
try {
  const rows = []
  // Redis keeps the scripts from the first worker on, about half a MiB.
  await measure(1, 1, 1)
  for (const [processes, count] of [
    [1, 1],
    [5, 1],
    [10, 1],
    [1, 10],
    [1, 50],
    [1, 100],
  ]) {
    rows.push(await measure(processes, count))
    console.log(JSON.stringify(rows.at(-1)))
  }
  const { redis_version } = await info('server')
  console.log(
    `Node.js ${process.versions.node}, Redis ${redis_version}, ${cpus().length} x ${cpus()[0]?.model}, ${WINDOW_S} s each`,
  )
  console.table(rows.map(({ commands: _, ...row }) => row))
  console.log('commands per second and agent:', rows.at(-1)?.commands)
} finally {
  redis.disconnect()
  server.kill('SIGTERM')
  await once(server, 'exit')
  await rm(root, { recursive: true, force: true })
}

async function measure(processes, count, windowS = WINDOW_S) {
  await redis.flushall()
  const before = await info('memory')
  const workers = Array.from({ length: processes }, (_, at) => start(`w${at}-1`, count))
  try {
    const agents = processes * count
    await untilIdle(agents)
    // The first turns load what later ones have.
    await wait(5)
    const cpuBefore = workers.map(({ pid }) => ticksOf(pid))
    const used = await info('cpu')
    await redis.config('RESETSTAT')
    await wait(windowS)
    const [stats, usedAfter, memory, clients] = await Promise.all(
      ['commandstats', 'cpu', 'memory', 'clients'].map(info),
    )
    const cpu = workers.reduce((sum, { pid }, at) => sum + ticksOf(pid) - cpuBefore[at], 0) / TICKS_PER_S
    const commands = commandsOf(stats)
    const total = Object.values(commands).reduce((sum, calls) => sum + calls, 0)
    const each = (sum) => round(sum / agents)
    return {
      processes,
      'agents each': count,
      'connections per agent': each(Number(clients.connected_clients) - 1),
      'commands/s per agent': each(total / windowS),
      'worker CPU ms/s per agent': each((cpu * 1000) / windowS),
      'Redis CPU ms/s per agent': each(((cpuOf(usedAfter) - cpuOf(used)) * 1000) / windowS),
      'Redis KiB per agent': each((Number(memory.used_memory) - Number(before.used_memory)) / 1024),
      'MiB per process': round(workers.reduce((sum, { pid }) => sum + rssMiB(pid), 0) / processes),
      commands: Object.fromEntries(
        Object.entries(commands).map(([name, calls]) => [name, each(calls / windowS)]),
      ),
    }
  } finally {
    for (const worker of workers) worker.kill('SIGTERM')
    await Promise.all(workers.map((worker) => worker.exitCode ?? once(worker, 'exit')))
  }
}

function start(name, count) {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, REDIS_URL: `unix://${socket}` }
  const args = [
    '--cli',
    'demo',
    '--town',
    root,
    '--town-name',
    'bench',
    '--name',
    name,
    '--count',
    String(count),
  ]
  return spawn(process.execPath, [MAIN, 'run', ...args], { env, stdio: 'ignore' })
}

async function untilIdle(agents) {
  for (;;) {
    const keys = await redis.keys('tt:bench:agent:*')
    const states = await Promise.all(keys.map((key) => redis.hget(key, 'state')))
    if (states.filter((state) => state === 'idle').length === agents) return
    await wait(0.2)
  }
}

async function info(section) {
  const lines = (await redis.info(section)).split('\r\n')
  return Object.fromEntries(lines.filter((line) => line.includes(':')).map((line) => line.split(/:(.*)/s, 2)))
}

/** Calls by command, without those that scripts make and our own. */
function commandsOf(stats) {
  const outer = ['blmove', 'evalsha', 'eval', 'ping', 'scan', 'subscribe', 'client', 'hello', 'info']
  return Object.fromEntries(
    outer.flatMap((name) => {
      const [, calls] = /calls=(\d+)/.exec(stats[`cmdstat_${name}`] ?? '') ?? []
      return calls && name !== 'info' ? [[name, Number(calls)]] : []
    }),
  )
}

function cpuOf({ used_cpu_sys, used_cpu_user }) {
  return Number(used_cpu_sys) + Number(used_cpu_user)
}

/** User and system time of a process. */
function ticksOf(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

function rssMiB(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

function round(value) {
  return Math.round(value * 100) / 100
}

function wait(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}
