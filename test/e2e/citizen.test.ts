import { mkdir, mkdtemp, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { decodeMessage, encodeMessage, type Message, newMessage } from '../../src/domain/message.ts'
import { findProgram } from '../../src/process/which.ts'
import { assignTask, cancelTask, getTask } from '../../src/store/tasks.ts'
import { isAlive } from '../rig/census.ts'
import { processLives, type TestTown, useClosers } from '../rig/daemon.ts'
import { agentOf, assign, ended, push, taskThat, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

/** What lies in a mailbox. */
async function mailOf(town: TestTown, id: string): Promise<Message[]> {
  const raws = await (await town.redis()).lrange(town.keys.agent(id).inbox, 0, -1)
  return raws.flatMap((raw) => {
    const decoded = decodeMessage(raw)
    return decoded.ok ? [decoded.message] : []
  })
}

async function answersTo(town: TestTown, from: string, count = 1): Promise<Message[]> {
  return await until(async () => {
    const mail = await mailOf(town, from)
    return mail.length >= count ? mail : null
  }, `${count} answers have come`)
}

async function set(town: TestTown, fields: Record<string, string>): Promise<void> {
  const { id } = await agentOf(town)
  await (await town.redis()).hset(town.keys.agent(id).record, fields)
}

describe('while a task runs', () => {
  it('a ping and a status request are answered, past the tasks that wait', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const first = await assign(town, 'first')
    const run = await agents.next()
    const second = await assign(town, 'second')
    const asker = newId()
    const ping = await push(town, { type: 'ping' }, asker)
    const request = await push(town, { type: 'status_request' }, asker)
    const third = await assign(town, 'third')
    expect(await answersTo(town, asker, 2)).toMatchObject([
      { body: { type: 'pong' }, correlationId: ping, from: (await agentOf(town)).id },
      { body: { type: 'status_response', state: 'working', current_task: first }, correlationId: request },
    ])
    await run.stdout('1')
    await run.exit(0)
    for (const [text, id] of [
      ['second', second],
      ['third', third],
    ] as const) {
      const next = await agents.next()
      expect(next.hello.prompt).toBe(text)
      await next.stdout(text)
      await next.exit(0)
      expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
    }
    expect(await mailOf(town, asker)).toHaveLength(2)
  })

  it('each of several pings is answered, though there is never more than one', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    await assign(town, 'first')
    await agents.next()
    const asker = newId()
    for (let count = 1; count <= 5; count += 1) {
      await push(town, { type: 'ping' }, asker)
      await answersTo(town, asker, count)
    }
  })

  it('a question is found among very many tasks', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    await assign(town, 'first')
    await agents.next()
    const { id } = await agentOf(town)
    const redis = await town.redis()
    const asker = newId()
    const createdAt = new Date().toISOString()
    const tasks = Array.from({ length: 700 }, () =>
      encodeMessage(
        newMessage({
          from: SUPERVISOR_ID,
          to: id,
          body: { type: 'task_assign', task_id: newId() },
          createdAt,
        }),
      ),
    )
    const ping = encodeMessage(newMessage({ from: asker, to: id, body: { type: 'ping' }, createdAt }))
    await redis.rpush(town.keys.agent(id).inbox, ...tasks.slice(0, 350), ping, ...tasks.slice(350))
    await answersTo(town, asker)
    expect(await redis.llen(town.keys.agent(id).inbox)).toBe(700)
  })

  it('a shutdown lets it finish and takes nothing more', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const first = await assign(town, 'first')
    const run = await agents.next()
    const second = await assign(town, 'second')
    await push(town, { type: 'shutdown' })
    await daemon.says(/draining \(shutdown message\)/)
    await run.stdout('done')
    await run.exit(0)
    expect(await daemon.exit).toBe(0)
    expect(await ended(town, first)).toMatchObject({ state: 'completed' })
    expect(await getTask(await town.redis(), town.keys, second)).toMatchObject({ state: 'assigned' })
    expect(await mailOf(town, (await agentOf(town)).id)).toHaveLength(1)
  })

  it('37: a stop is not forgotten when its flag runs out, and the record says draining again', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const redis = await town.redis()
    const keys = town.keys.agent((await agentOf(town)).id)
    // As tt kill does it.
    await redis.setex(keys.stop, 3600, '1')
    await redis.hset(keys.record, 'state', 'stopped')
    await daemon.says(/draining \(stop requested\)/)
    await until(async () => (await agentOf(town)).state === 'draining', 'the record says draining')
    await redis.del(keys.stop)
    await redis.hset(keys.record, 'state', 'idle')
    await until(
      async () => (await agentOf(town)).state === 'draining',
      'the record says draining again',
      15_000,
    )
    await run.stdout('ok')
    await run.exit(0)
    expect(await daemon.exit).toBe(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    expect(await agentOf(town)).toMatchObject({ state: 'stopped' })
  })

  it('11: a cancel ends its tree at once, also one that ignores SIGTERM, and the task stays cancelled', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--kill-grace', '60s')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.ignoreTerm()
    const grandchild = await run.grandchild({ keepStdout: true })
    expect(await cancelTask(await town.redis(), town.keys, id, 'not needed')).toMatchObject({
      before: 'running',
    })
    await run.gone
    await until(async () => !(await processLives(grandchild)), 'the grandchild is gone')
    await daemon.says(/task cancelled/)
    expect(await ended(town, id)).toMatchObject({ state: 'cancelled', result: 'not needed' })
    await until(async () => (await agentOf(town)).state === 'idle', 'the agent is idle')
    expect(await agentOf(town)).toMatchObject({ tasksCompleted: 0 })
  })

  it('a log file of an earlier loop of tt is kept young, so that tt recover takes nobody for dead', async () => {
    const { town } = await scene()
    const file = join(town.root, '.tt', 'logs', 'worker-1.log')
    const daemon = town.start('--cli', 'fake', '--lease-ms', '1500')
    await daemon.says(/starting -> idle/)
    await mkdir(join(town.root, '.tt', 'logs'), { recursive: true })
    await writeFile(file, 'old')
    const long = new Date(Date.now() - 600_000)
    await utimes(file, long, long)
    await until(async () => (await stat(file)).mtimeMs > Date.now() - 60_000, 'the file is young')
    expect(await readFile(file, 'utf8')).toBe('old')
  })
})

describe('an interrupt', () => {
  it('of a paused worker leaves its questions answered', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    await set(town, { state: 'paused' })
    await daemon.says(/paused: no task is taken/)
    const asker = newId()
    await push(town, { type: 'status_request' }, asker)
    expect(await answersTo(town, asker)).toMatchObject([
      { body: { type: 'status_response', state: 'paused' } },
    ])
  })

  it('stops the run with --pause-signal, no limit counts meanwhile, and a resume lets it go on', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake', '--pause-signal', 'SIGSTOP', '--stall-timeout', '2s')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const grandchild = await run.grandchild({ keepStdout: false })
    await set(town, { state: 'paused' })
    const stopped = async (pid: number) =>
      /\) T /.test(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))
    await until(
      async () => (await stopped(run.hello.pid)) && (await stopped(grandchild)),
      'the tree is stopped',
    )
    // Longer than the silence that ends a run; the server's clock tells when it is over.
    const redis = await town.redis()
    await redis.blpop('nothing', 2.5)
    expect(await processLives(run.hello.pid)).toBe(true)
    await set(town, { state: 'working' })
    await until(async () => !(await stopped(run.hello.pid)), 'the run goes on')
    await run.stdout('went on')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'went on' })
  })

  it('is over with a drain, which waits for the run', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--pause-signal', 'SIGSTOP')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await set(town, { state: 'paused' })
    const stopped = async () => /\) T /.test(await readFile(`/proc/${run.hello.pid}/stat`, 'utf8'))
    await until(stopped, 'it is stopped')
    daemon.signal('SIGTERM')
    await run.stdout('ok')
    await run.exit(0)
    expect(await daemon.exit).toBe(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'ok' })
  })

  it('does not keep a stopped run from being ended', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--pause-signal', 'SIGSTOP')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await set(town, { state: 'paused' })
    await until(
      async () => /\) T /.test(await readFile(`/proc/${run.hello.pid}/stat`, 'utf8')),
      'it is stopped',
    )
    daemon.signal('SIGTERM')
    await daemon.says(/draining/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(143)
    await run.gone
    expect(await taskThat(town, id, ({ state }) => state === 'assigned', 'was given back')).toMatchObject({
      attempts: 0,
    })
  })
})

it('an urgent message of our own client is taken by an idle worker before its next look', async () => {
  const { town, agents } = await scene()
  await town.worker('--cli', 'fake')
  const redis = await town.redis()
  const { id } = await agentOf(town)
  // A wait that is cut short shows in the count of blocked waits that the server finished by CLIENT UNBLOCK.
  await until(async () => /cmdstat_blmove/.test(await redis.info('commandstats')), 'the worker waits')
  const createdAt = new Date().toISOString()
  const body = { type: 'task', description: 'now' } as const
  const raw = encodeMessage(newMessage({ from: SUPERVISOR_ID, to: id, body, createdAt }))
  await redis
    .pipeline()
    .lpush(town.keys.agent(id).urgent, raw)
    .publish(town.keys.agent(id).wake, 'message')
    .exec()
  const run = await agents.next()
  expect(run.hello.prompt).toBe('now')
  expect(await redis.info('commandstats')).toMatch(/cmdstat_client\|unblock/)
  await run.exit(1)
})

describe('a broadcast', () => {
  it('reaches every worker of the town but its sender, on the channel of the town and of the guide', async () => {
    const { town, agents } = await scene()
    const daemon = town.start('--cli', 'fake', '--count', '2')
    await daemon.says(/"agent":"worker-2".*starting -> idle/)
    const redis = await town.redis()
    const sender = (await agentOf(town, 'worker-2')).id
    const createdAt = new Date().toISOString()
    const say = async (channel: string, summary: string) => {
      const body = { type: 'informational', summary } as const
      await redis.publish(
        channel,
        encodeMessage(newMessage({ from: sender, to: SUPERVISOR_ID, body, createdAt })),
      )
    }
    await say(town.keys.broadcast, 'The API moved to v2')
    await say(town.keys.guideBroadcast, 'Lunch at noon')
    const notes = (id: string) => redis.lrange(town.keys.agent(id).notes, 0, -1)
    const { id } = await agentOf(town, 'worker-1')
    await until(async () => (await notes(id)).length === 2, 'both are kept for the next prompt')
    await assign(town, 'x')
    const run = await agents.next()
    expect(run.hello.prompt).toContain('- The API moved to v2\n- Lunch at noon')
    expect(await notes(sender)).toEqual([])
    await run.exit(1)
  })
})

it('keys of an old Tinytown are told, with the remedy', async () => {
  const { town } = await scene()
  expect((await town.cli('redis', 'start')).exit).toBe(0)
  await (await town.redis()).hset(`tt:agent:${newId()}`, 'id', 'x')
  const daemon = await town.worker('--cli', 'fake')
  await daemon.says(/1 key\(s\) of an old Tinytown without a town name.*tt migrate/)
  expect((await town.cli('doctor')).stdout).toMatch(/warn {2}Old keys .*old Tinytown[\s\S]*tt migrate/)
})

describe('a daemon with several agents', () => {
  it('hosts each with its own record, inbox and lease, and ends when the last one has', async () => {
    const { town, agents } = await scene()
    const daemon = town.start('--cli', 'fake', '--count', '3')
    const names = ['worker-1', 'worker-2', 'worker-3']
    const redis = await until(
      () => town.redis().then(async (one) => ((await one.ping()) ? one : null)),
      'Redis answers',
    )
    await until(async () => {
      const all = await Promise.all(names.map((name) => agentOf(town, name).catch(() => null)))
      return all.every((agent) => agent?.state === 'idle')
    }, 'all are idle')
    const tasks = []
    for (const name of names) tasks.push(await assign(town, `for ${name}`, name))
    const runs = [await agents.next(), await agents.next(), await agents.next()]
    expect(runs.map(({ hello }) => hello.prompt).toSorted()).toEqual(names.map((name) => `for ${name}`))
    expect(new Set(runs.map(({ hello }) => hello.env.TINYTOWN_AGENT_NAME))).toEqual(new Set(names))
    for (const run of runs) {
      await run.stdout(run.hello.prompt)
      await run.exit(0)
    }
    for (const [at, id] of tasks.entries())
      expect(await ended(town, id)).toMatchObject({ state: 'completed', result: `for ${names[at]}` })
    expect((await town.cli('kill', 'worker-2', '--wait')).exit).toBe(0)
    expect(await agentOf(town, 'worker-1')).toMatchObject({ state: 'idle' })
    const again = await assign(town, 'still there', 'worker-3')
    const run = await agents.next()
    await run.stdout('yes')
    await run.exit(0)
    expect(await ended(town, again)).toMatchObject({ state: 'completed' })
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    for (const name of names) expect(await agentOf(town, name)).toMatchObject({ state: 'stopped' })
    expect(await redis.keys('*:lease')).toEqual([])
  })

  it('starts none when one of the names is in use', async () => {
    const { town } = await scene()
    await town.worker('--cli', 'fake', '--name', 'worker-2')
    const refused = await town.cli('--cli', 'fake', '--count', '3')
    expect(refused).toMatchObject({
      exit: 75,
      stderr: expect.stringContaining('The agent name worker-2 is in use'),
    })
    expect(await agentOf(town, 'worker-1')).toMatchObject({ state: 'stopped' })
    await expect(agentOf(town, 'worker-3')).rejects.toThrow(/No agent/)
  })
})

describe('what somebody else wrote into the records', () => {
  it('a task state that is no end gives way to the result of the run', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await (await town.redis()).hset(town.keys.task(id), 'state', 'pending')
    await run.stdout('THE RESULT')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'THE RESULT' })
    expect(await agentOf(town)).toMatchObject({ tasksCompleted: 1 })
  })

  it('the end of a query that its own CLI wrote is what the asker is told', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const asker = newId()
    const id = await push(town, { type: 'query', question: 'why?' }, asker)
    const run = await agents.next()
    await (await town.redis()).hset(town.keys.task(id), { state: 'completed', result: 'BY THE CHILD' })
    await run.exit(1)
    expect(await answersTo(town, asker)).toMatchObject([
      { body: { type: 'informational', summary: 'BY THE CHILD' }, correlationId: id },
    ])
  })

  it('an agent record without id is put right, and the worker goes on', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const { id } = await agentOf(town)
    const redis = await town.redis()
    await redis.hdel(town.keys.agent(id).record, 'id')
    await until(async () => (await redis.hget(town.keys.agent(id).record, 'id')) === id, 'the id is back')
    await assign(town, 'x')
    await (await agents.next()).exit(0)
  })

  it('a second agent of the name is told', async () => {
    const { town } = await scene()
    const first = await town.worker('--cli', 'fake')
    first.signal('SIGTERM')
    await first.exit
    const [redis, twin] = [await town.redis(), newId()]
    await redis.hset(town.keys.agent(twin).record, { id: twin, name: 'Worker-1', state: 'stopped', cli: 'x' })
    await redis.rpush(town.keys.agent(twin).inbox, 'waits')
    const daemon = await town.worker('--cli', 'fake')
    await daemon.says(new RegExp(`another agent is named worker-1 too: ${twin}, stopped, 1 waiting`))
  })

  it('a restart by tt beside it ends the worker, and the record is left to the other one', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    await ended(town, id)
    await set(town, { state: 'idle', rounds_completed: '0' })
    expect(await daemon.exit).toBe(0)
    expect(daemon.stderr()).toMatch(/draining \(tt restart has started another worker for this agent\)/)
    expect(await agentOf(town)).toMatchObject({ state: 'idle' })
  })

  it('a queue that is no list is trouble, and over when it is put right', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const { inbox } = town.keys.agent((await agentOf(town)).id)
    const redis = await town.redis()
    await redis.set(inbox, 'no list')
    await daemon.says(/Redis refuses what the worker needs: WRONGTYPE/)
    expect(await agentOf(town)).toMatchObject({
      state: 'error',
      lastError: expect.stringContaining('WRONGTYPE'),
    })
    await redis.del(inbox)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })
})

describe('the task of a mission', () => {
  /** A PATH on which the worker finds its redis-server, and no tt. */
  async function pathWithoutTt(): Promise<string> {
    const bin = await mkdtemp(join(tmpdir(), 'tw-bin-'))
    onClose(() => rm(bin, { recursive: true, force: true }))
    const server = await findProgram('redis-server', { path: process.env.PATH, cwd: '/' })
    if (server !== null) await symlink(server, join(bin, 'redis-server'))
    return bin
  }

  async function assignTagged(town: TestTown, tags: string[]): Promise<string> {
    const task = { description: 'Do X', tags, priority: 'normal' } as const
    return (await assignTask(await town.redis(), town.keys, (await agentOf(town)).id, task)).taskId
  }

  it('is left running, and the conductor told why, when there is no tt to report it', async () => {
    const { town, agents } = await scene({ env: { PATH: await pathWithoutTt() } })
    const daemon = await town.worker('--cli', 'fake')
    const id = await assignTagged(town, ['mission-work-item', 'mission-task:work'])
    const run = await agents.next()
    expect(run.hello.prompt).toContain('Name a pull request in your final message only if')
    await run.stdout('made it')
    await run.exit(0)
    await daemon.says(/task left running/)
    const task = await getTask(await town.redis(), town.keys, id)
    expect(task).toMatchObject({ state: 'running', exitCode: 0 })
    expect(task?.result).toBeUndefined()
    const [letter] = await answersTo(town, SUPERVISOR_ID)
    expect(letter).toMatchObject({ body: { type: 'query' }, from: (await agentOf(town)).id })
    expect(JSON.stringify(letter)).toMatch(/tt is not in PATH.*made it/)
    expect(await agentOf(town)).toMatchObject({ state: 'idle' })
    expect(await (await town.redis()).exists(town.keys.agent((await agentOf(town)).id).inFlight)).toBe(0)
  })

  it('does not hold up the end of a worker with a tt that hangs, which goes with it', async () => {
    const bin = await pathWithoutTt()
    const sign = join(bin, 'pid')
    const hangs = `#!/bin/sh\ntrap '' TERM\necho $$ > '${sign}'\nwhile :; do /bin/sleep 0.05; done\n`
    await writeFile(join(bin, 'tt'), hangs, { mode: 0o755 })
    const { town, agents } = await scene({ env: { PATH: bin } })
    const daemon = await town.worker('--cli', 'fake')
    const id = await assignTagged(town, ['mission-task:work'])
    const run = await agents.next()
    await run.stdout('made it')
    await run.exit(0)
    const pid = await until(async () => Number(await readFile(sign, 'utf8').catch(() => '')), 'tt runs')
    daemon.signal('SIGTERM')
    await daemon.says(/draining/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(143)
    expect(isAlive(pid)).toBe(false)
    expect(daemon.stderr()).not.toContain('Redis does not take')
    expect(await getTask(await town.redis(), town.keys, id)).toMatchObject({ state: 'running' })
    expect(JSON.stringify(await answersTo(town, SUPERVISOR_ID))).toMatch(
      /it was ended, as the worker ends.*made it/,
    )
  })

  it('is reported through tt, with the Redis of the worker', async () => {
    const bin = await pathWithoutTt()
    const calls = join(bin, 'calls')
    await writeFile(join(bin, 'tt'), `#!/bin/sh\nprintf '%s\\n' "$REDIS_URL" "$@" > '${calls}'\n`, {
      mode: 0o755,
    })
    const { town, agents } = await scene({ env: { PATH: bin } })
    await town.worker('--cli', 'fake')
    const id = await assignTagged(town, ['mission-review-task'])
    const run = await agents.next()
    await run.stdout('**Approved:** it works')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    const [url, ...args] = (await readFile(calls, 'utf8')).trim().split('\n')
    expect(url).toBe(`unix://${join(town.root, '.tt', 'redis.sock')}`)
    expect(args).toEqual(['--town', town.root, 'task', 'complete', id, '--result=Approved: it works'])
  })
})

describe('the backlog', () => {
  async function add(town: TestTown, description: string, tags: string[] = []): Promise<string> {
    const id = newId()
    const redis = await town.redis()
    await redis.hset(town.keys.task(id), { id, description, state: 'pending', tags: JSON.stringify(tags) })
    await redis.rpush(town.keys.backlog, id)
    return id
  }

  it('is left alone unless the worker is told to take from it', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = await add(town, 'later')
    const other = await assign(town, 'now')
    const run = await agents.next()
    expect(run.hello.prompt).toBe('now')
    await run.stdout('ok')
    await run.exit(0)
    await ended(town, other)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(await (await town.redis()).lrange(town.keys.backlog, 0, -1)).toEqual([id])
  })

  it('gives an idle worker the tasks of its role, one at a time', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake', '--role', 'backend', '--claim-backlog')
    const page = await add(town, 'Draw the page', ['frontend'])
    const first = await add(town, 'Make the api faster')
    const second = await add(town, 'Import it', ['data'])
    for (const [id, text] of [
      [first, 'Make the api faster'],
      [second, 'Import it'],
    ] as const) {
      const run = await agents.next()
      expect(run.hello.prompt).toContain(text)
      const waiting = await (await town.redis()).lrange(town.keys.backlog, 0, -1)
      expect(waiting).toEqual(id === first ? [page, second] : [page])
      await run.stdout('ok')
      await run.exit(0)
      expect(await ended(town, id)).toMatchObject({
        state: 'completed',
        assignedTo: (await agentOf(town)).id,
      })
    }
  })
})
