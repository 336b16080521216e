import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Daemon, type TestTown, useClosers } from '../rig/daemon.ts'
import { freePort, startRedis } from '../rig/redis-servers.ts'
import { assign, ended, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const HEALTH = ['--health-addr', '127.0.0.1:0']

interface Asked {
  readonly status: number
  readonly type: string | null
  readonly body: string
}

/** Asks the health server of a daemon, which tells its address in the log. */
async function asker(daemon: Daemon): Promise<(path: string, init?: RequestInit) => Promise<Asked>> {
  await daemon.says(/health and metrics at http/)
  const [url = ''] = /http:\/\/127\.0\.0\.1:\d+/.exec(daemon.stderr()) ?? []
  return async (path, init) => {
    const response = await fetch(`${url}${path}`, init)
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      body: await response.text(),
    }
  }
}

async function healthy(town: TestTown, ...args: string[]) {
  const daemon = await town.worker('--cli', 'fake', ...HEALTH, ...args)
  return { daemon, ask: await asker(daemon) }
}

describe('--health-addr', () => {
  it('says live and ready, tells of a run while it lasts, and counts it afterwards', async () => {
    const { town, agents } = await scene()
    const { ask } = await healthy(town)
    expect(await ask('/livez')).toEqual({ status: 200, type: 'text/plain; charset=utf-8', body: 'live\n' })
    expect(await ask('/readyz')).toMatchObject({ status: 200, body: 'ready\n' })

    const id = await assign(town, 'mend the roof')
    await assign(town, 'and the door')
    const run = await agents.next()
    const during = JSON.parse((await ask('/status.json')).body)
    expect(during).toMatchObject({
      town: 'test',
      cli: 'fake',
      ready: true,
      live: true,
      agents: [
        {
          name: 'worker-1',
          state: 'working',
          task: { taskId: id, attempt: 1, summary: 'mend the roof' },
          queues: { inbox: 1, inFlight: 1 },
        },
      ],
    })
    await run.stdout('done')
    await run.exit(0)
    await ended(town, id)
    await (await agents.next()).exit(3)

    const labels = 'agent="worker-1",cli="fake"'
    const failed = `tinytown_worker_tasks_total{${labels},outcome="failed",reason="exit"} 1`
    const metrics = await until(async () => {
      const { body } = await ask('/metrics')
      return body.includes(failed) ? body : null
    }, 'both tasks are counted')
    for (const line of [
      `tinytown_worker_tasks_total{${labels},outcome="completed",reason=""} 1`,
      `tinytown_worker_runs_total{${labels},outcome="failed",reason="exit"} 1`,
      `tinytown_worker_run_seconds_count{${labels},outcome="completed"} 1`,
      `tinytown_worker_queue_wait_seconds_count{${labels}} 2`,
      `tinytown_worker_dispatch_seconds_count{${labels}} 2`,
      `tinytown_worker_inbox_depth{${labels},queue="inbox"} 0`,
      `tinytown_worker_ready{${labels}} 1`,
      `tinytown_worker_circuit_closed{${labels}} 1`,
      `tinytown_worker_restarts{${labels}} 0`,
    ])
      expect(metrics.split('\n')).toContain(line)
    expect(metrics).toMatch(/^tinytown_worker_redis_round_trip_seconds_count [1-9]/m)
    expect(metrics).toMatch(/^nodejs_eventloop_lag_p99_seconds /m)
  })

  it('is live and not ready while the CLI is missing, and says what is missing', async () => {
    const { town } = await scene({ table: '[agent_clis.none]\ncommand = "no-such-program"\n' })
    const daemon = await town.worker('--cli', 'none', ...HEALTH)
    const ask = await asker(daemon)
    expect(await ask('/livez')).toMatchObject({ status: 200 })
    const { status, body } = await ask('/readyz')
    expect([status, body]).toEqual([
      503,
      expect.stringMatching(/^worker-1: cli: none is not installed \(no-such-program/),
    ])
  })

  it('is live and not ready while Redis cannot be reached at the start, and works when it can', async () => {
    const { town, agents } = await scene()
    const port = await freePort()
    const env = { REDIS_URL: `redis://127.0.0.1:${port}` }
    const daemon = town.startWith({ env }, '--cli', 'fake', '--connect-timeout', '60s', ...HEALTH)
    const ask = await asker(daemon)
    await daemon.says(/does not answer yet/)
    expect(await ask('/livez')).toMatchObject({ status: 200 })
    expect(await ask('/readyz')).toMatchObject({
      status: 503,
      body: 'worker-1: redis: not connected yet\nworker-1: lease: not registered yet\n',
    })
    const server = await startRedis({ port })
    onClose(() => server.close())
    await daemon.says(/starting -> idle/)
    expect(await ask('/readyz')).toMatchObject({ status: 200 })
    const assigned = await town.cliWith({ env }, 'assign', 'worker-1', 'work')
    expect(assigned.exit).toBe(0)
    const run = await agents.next()
    await run.exit(0)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
  })

  it('6: is not ready while Redis is frozen, and answers all the same', async () => {
    const { town } = await scene()
    const port = await freePort()
    const server = await startRedis({ port })
    onClose(() => server.close())
    const daemon = town.startWith(
      { env: { REDIS_URL: `redis://127.0.0.1:${port}` } },
      '--cli',
      'fake',
      ...HEALTH,
    )
    const ask = await asker(daemon)
    await daemon.says(/starting -> idle/)
    server.process.kill('SIGSTOP')
    try {
      expect(await ask('/readyz')).toMatchObject({
        status: 503,
        body: expect.stringContaining('worker-1: redis: Redis did not answer within 2 s'),
      })
      expect((await ask('/metrics')).body).toMatch(/^tinytown_worker_ready\{.*\} 0$/m)
      expect(await ask('/livez')).toMatchObject({ status: 200 })
    } finally {
      server.process.kill('SIGCONT')
    }
    await until(async () => (await ask('/readyz')).status === 200, 'it is ready again')
  })

  it('is not ready while the circuit is open, nor when the worker drains', async () => {
    const { town, agents } = await scene()
    const { ask, daemon } = await healthy(town, '--circuit-failures', '1', '--circuit-delay', '1s')
    await assign(town, 'a')
    await (await agents.next()).exit(1)
    const why = await until(async () => {
      const { status, body } = await ask('/readyz')
      return status === 503 && /circuit is open/.test(body) ? body : null
    }, 'it says that the circuit is open')
    expect(why).toMatch(/worker-1: circuit: the circuit is open/)
    await assign(town, 'b')
    const probe = await agents.next()
    daemon.signal('SIGTERM')
    await until(
      async () => /worker-1: draining: the worker ends/.test((await ask('/readyz')).body),
      'it says that it ends',
    )
    await probe.exit(0)
    expect(await daemon.exit).toBe(0)
  })

  it('answers for every agent of the process, and nothing but questions', async () => {
    const { town } = await scene()
    const { ask } = await healthy(town, '--count', '2')
    await until(async () => (await ask('/readyz')).status === 200, 'both are ready')
    const { agents } = JSON.parse((await ask('/status.json')).body)
    expect(agents.map(({ name }: { name: string }) => name)).toEqual(['worker-1', 'worker-2'])
    expect(await ask('/nothing')).toMatchObject({ status: 404, body: 'Not here: /nothing\n' })
    expect(await ask('/livez', { method: 'POST' })).toMatchObject({ status: 405 })
    expect(await ask('/livez', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' })
    expect((await ask('/?x=1')).body).toBe('/livez\n/readyz\n/status.json\n/metrics\n')
  })

  it('ends with 78 where the address is in use, and leaves no agent behind', async () => {
    const { town } = await scene()
    const { daemon } = await healthy(town)
    const [, port] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(daemon.stderr()) ?? []
    const second = await town.cli('--cli', 'fake', '--name', 'worker-2', '--health-addr', port ?? '')
    expect(second.exit).toBe(78)
    expect(second.stderr).toMatch(
      /health address 127\.0\.0\.1:\d+ cannot be had: it is in use[\s\S]*--health-addr/,
    )
    expect((await town.cli('list')).stdout).not.toContain('worker-2')
  })

  it('is refused where it is no address', async () => {
    const { town } = await scene()
    const { exit, stderr } = await town.cli('--cli', 'fake', '--health-addr', 'localhost:http')
    expect([exit, stderr]).toEqual([2, expect.stringContaining('an address like 127.0.0.1:9464')])
  })
})

describe('--log-file', () => {
  it('gets the lines that stderr gets, as JSON', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker(
      '--cli',
      'fake',
      '--log-file',
      'deep/worker.log',
      '--log-format',
      'pretty',
    )
    const id = await assign(town, 'a')
    const run = await agents.next()
    await run.stdout('done')
    await run.exit(0)
    await ended(town, id)
    daemon.signal('SIGTERM')
    await daemon.exit
    const text = await readFile(join(town.root, 'deep/worker.log'), 'utf8')
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toContainEqual(
      expect.objectContaining({ agent: 'worker-1', event: 'task-settled', taskId: id }),
    )
    expect(lines.map(({ event }) => event)).toContain('stopped')
    expect(daemon.stderr()).toMatch(/\d\d:\d\d:\d\d.* task completed/)
  })

  it('that cannot be written ends the start with 78', async () => {
    const { town } = await scene()
    const { exit, stderr } = await town.cli('--cli', 'fake', '--log-file', 'tinytown.toml/worker.log')
    expect([exit, stderr]).toEqual([
      78,
      expect.stringMatching(/log file tinytown\.toml\/worker\.log cannot be written[\s\S]*--log-file/),
    ])
  })
})

describe('tinytown-worker health', () => {
  it('asks the worker that the settings name: whether it lives, and whether it is ready', async () => {
    const { town } = await scene({ table: '[agent_clis.none]\ncommand = "no-such-program"\n' })
    const daemon = await town.worker('--cli', 'none', ...HEALTH)
    await asker(daemon)
    const [, port = ''] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(daemon.stderr()) ?? []
    const env = { TINYTOWN_HEALTH_ADDR: `0.0.0.0:${port}` }
    expect(await town.cliWith({ env }, 'health')).toMatchObject({ exit: 0, stdout: 'live\n' })
    expect(await town.cliWith({ env }, 'health', '--ready')).toMatchObject({
      exit: 1,
      stdout: expect.stringContaining('worker-1: cli: none is not installed'),
    })
    expect(await town.cli('health', '--health-addr', port)).toMatchObject({ exit: 0 })
  })

  it('says when nobody answers, and when nobody could', async () => {
    const { town } = await scene()
    const port = await freePort()
    expect(await town.cli('health', '--health-addr', String(port))).toMatchObject({
      exit: 1,
      stderr: expect.stringContaining(`No worker answers at 127.0.0.1:${port}`),
    })
    expect(await town.cli('health')).toMatchObject({
      exit: 78,
      stderr: expect.stringContaining('No health address is set'),
    })
  })
})
