// How fast a worker notices a message: from the push to the answer in the asker's mailbox, in milliseconds. A ping is pushed as
// our own client does (which wakes the worker) and as tt does (a plain push), to an idle worker and to one that runs a task.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { newId, Town } from 'tinytown-worker'

const TIMES = 100
const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))

const root = await mkdtemp(join(tmpdir(), 'tw-bench-'))
const run = (...args) => spawn(process.execPath, [MAIN, ...args, '--town', root], { stdio: 'ignore' })
const town = await Town.init(root, { name: 'bench' })
const redis = new Redis({ path: join(root, '.tt', 'redis.sock') })
const worker = run('run', '--cli', 'sleeper')
try {
  await import('node:fs/promises').then(({ appendFile }) =>
    appendFile(
      join(root, 'tinytown.toml'),
      '\n[agent_clis.sleeper]\nname = "sleeper"\ncommand = "sleep 1000"\n',
    ),
  )
  const agent = await untilAgent('idle')
  const rows = []
  for (const busy of [false, true]) {
    if (busy) {
      await agent.assign('sleep')
      await untilAgent('working')
    }
    for (const [who, push] of [
      ['our client, urgent', (message) => town.channel().sendUrgent(message)],
      ['our client', (message) => town.channel().send(message)],
      [
        'a plain push, as tt does',
        (message) => redis.rpush(`tt:bench:inbox:${agent.id}`, JSON.stringify(message)),
      ],
    ]) {
      rows.push({ worker: busy ? 'running a task' : 'idle', who, ...(await measure(agent.id, push, who)) })
    }
  }
  console.log(
    `Node.js ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model}, ${TIMES} pings each, ms`,
  )
  console.table(rows)
} finally {
  redis.disconnect()
  await town.close()
  worker.kill('SIGTERM')
  worker.kill('SIGINT')
  await once(worker, 'exit')
  await once(run('redis', 'stop'), 'exit')
  await rm(root, { recursive: true, force: true })
}

async function untilAgent(state) {
  for (;;) {
    const agent = await town.agent('worker-1').catch(() => null)
    if (agent && (await agent.state())?.state === state) return agent
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function measure(to, push, who) {
  const asker = newId()
  const took = []
  const plain = who.startsWith('a plain')
  for (let at = 0; at < TIMES; at += 1) {
    const since = performance.now()
    const created = new Date().toISOString()
    await push(
      plain
        ? {
            id: newId(),
            from: asker,
            to,
            type: 'ping',
            priority: 'normal',
            created_at: created,
            correlation_id: null,
          }
        : { from: asker, to, body: { type: 'ping' } },
    )
    await redis.blpop(`tt:bench:inbox:${asker}`, 5)
    took.push(performance.now() - since)
  }
  took.sort((a, b) => a - b)
  const at = (share) =>
    Number((took[Math.min(TIMES - 1, Math.floor(share * TIMES))] ?? Number.NaN).toFixed(1))
  return { p50: at(0.5), p95: at(0.95), max: at(1) }
}
