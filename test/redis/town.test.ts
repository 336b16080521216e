import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Town } from '../../src/client/town.ts'
import { SUPERVISOR_ID, shortId } from '../../src/domain/ids.ts'
import { newTask } from '../../src/domain/task.ts'
import { leaveTown, registerAgent, setAgentState } from '../../src/store/agents.ts'
import { claimMessage } from '../../src/store/inbox.ts'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import type { Lease } from '../../src/store/lease.ts'
import { settleTask, startTask } from '../../src/store/tasks.ts'
import { useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()
const towns: Town[] = []
let root: string
let env: Record<string, string>

beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'tw-town-')))
  env = { REDIS_URL: here.url }
})

afterEach(async () => {
  for (const town of towns.splice(0)) await town.close()
  await rm(root, { recursive: true, force: true })
  await until(
    async () => !/name=tinytown-worker:/.test(String(await here.redis.client('LIST'))),
    'every connection of a town is closed',
  )
})

function opened(town: Town): Town {
  towns.push(town)
  return town
}

async function makeTown(recordFormat: 'hash' | 'json' = 'hash'): Promise<Town> {
  return opened(await Town.init(root, { name: here.town.town, recordFormat, env }))
}

/** A worker of this name, as far as Redis knows it. */
async function register(town: TownKeys, name = 'worker-1'): Promise<Lease> {
  const who = { name, cli: 'demo', role: undefined, leaseMs: 30_000, extra: {} }
  const registered = await registerAgent(here.redis, town, who)
  if (registered.kind !== 'registered') throw new Error('held')
  await setAgentState(registered.lease, { state: 'idle', message: 'ready' })
  return registered.lease
}

async function runOne(lease: Lease, taskId: string, result: string): Promise<void> {
  const claim = await claimMessage(lease)
  if (claim.kind !== 'message') throw new Error(`claimed nothing: ${claim.kind}`)
  const { digest } = claim
  await startTask(lease, { digest, taskId, startId: taskId, cli: 'demo' })
  const end = { notesUsed: 0, extras: {}, eventMessage: 'done', activity: 'completed' }
  await settleTask(lease, { ...end, digest, taskId, settleId: `end-${taskId}`, state: 'completed', result })
}

async function untilBlocked(): Promise<void> {
  await until(
    async () => /cmd=xread/.test(String(await here.redis.client('LIST'))),
    'a wait is blocked in XREAD',
  )
}

describe('Town.init', () => {
  it('makes the folder, its file and its parts, and opens the town', async () => {
    root = join(root, 'new', 'place')
    const town = await makeTown('json')
    expect(town.config).toEqual({
      name: here.town.town,
      root,
      file: join(root, 'tinytown.toml'),
      redis: `${here.url} (REDIS_URL)`,
      recordFormat: 'json',
      defaultCli: undefined,
    })
    for (const part of ['agents', 'logs', 'tasks']) expect(existsSync(join(root, '.tt', part))).toBe(true)
    expect(town.root).toBe(root)
    expect(town.channel().town).toBe(here.town.town)
    expect(await town.listAgents()).toEqual([])
  })

  it('leaves what is there, and refuses a town of another name', async () => {
    await makeTown()
    const before = await readFile(join(root, 'tinytown.toml'), 'utf8')
    await makeTown('json')
    expect(await readFile(join(root, 'tinytown.toml'), 'utf8')).toBe(before)
    await expect(Town.init(root, { name: 'other', env })).rejects.toMatchObject({
      code: 'config',
      message: expect.stringMatching(/to be named other, got town-\d+ \(tinytown.toml\)/),
    })
    env.TINYTOWN_TOWN_NAME = 'third'
    await expect(makeTown()).rejects.toThrow(/got third \(TINYTOWN_TOWN_NAME\)/)
  })

  it.each([
    ['a name', { name: 'a:b' }, /Expected name to be a name without spaces/],
    ['a CLI', { name: 'a', defaultCli: ' ' }, /Expected defaultCli to be a text/],
    ['a form', { name: 'a', recordFormat: 'xml' as never }, /Expected recordFormat to be one of hash, json/],
    ['a URL', { name: 'a', redisUrl: 'http://x' }, /Expected redisUrl to be a URL like redis:/],
    [
      'a password',
      { name: 'a', redisUrl: 'redis://:secret@h' },
      /without a password, got redis:\/\/:\*\*\*\*@h/,
    ],
  ])('refuses %s that breaks its rule, and makes nothing', async (_, config, message) => {
    const folder = join(root, 'none')
    const error = await Town.initWithConfig({ root: folder, ...config }, { env }).catch((one) => one)
    expect(error).toMatchObject({ code: 'usage', message: expect.stringMatching(message) })
    expect(String(error)).not.toContain('secret')
    expect(existsSync(folder)).toBe(false)
  })

  it('writes what it is told, so that it is found again', async () => {
    const name = here.town.town
    const config = { root, name, defaultCli: 'codex', redisUrl: here.url, recordFormat: 'json' } as const
    opened(await Town.initWithConfig(config, { env: {} }))
    const again = opened(await Town.connect(root, { env: {} }))
    expect(again.config).toMatchObject({
      name,
      defaultCli: 'codex',
      recordFormat: 'json',
      redis: expect.stringContaining(`${join(root, 'tinytown.toml')}:`),
    })
    expect(readFileSync(join(root, 'tinytown.toml'), 'utf8')).not.toContain('use_socket')
  })
})

describe('Town.connect', () => {
  it('finds no town where there is none', async () => {
    await expect(Town.connect(root, { env: {} })).rejects.toMatchObject({ code: 'not-found' })
    await expect(Town.connect(join(root, 'none'), { env })).rejects.toThrow(/There is no folder/)
    expect(existsSync(join(root, '.tt'))).toBe(false)
  })

  it('takes CLIs of a town as they are', async () => {
    await writeFile(join(root, 'tinytown.toml'), 'name = "shop"\n[agent_clis.codex]\nargs = ["-m", "x"]\n')
    expect(opened(await Town.connect(root, { env })).name).toBe('shop')
  })

  it('tells of keys that are of no town, with the remedy', async () => {
    const old = 'tt:agent:3f2c8a1e-5b7d-4c9e-9a10-6d2f4b8e7c01'
    expect(opened(await Town.connect(root, { env })).warnings).toEqual([])
    await here.redis.hset(old, 'id', 'x')
    await here.redis.set('tt:backlog', 'x')
    for (const key of ['tt:backlog', old]) {
      const { warnings } = opened(await Town.connect(root, { env }))
      expect(warnings).toEqual([expect.stringMatching(new RegExp(`such as ${key}: .*tt migrate`))])
      await here.redis.del(key)
    }
  })

  it('ends with the signal', async () => {
    const signal = AbortSignal.abort('enough')
    await expect(Town.connect(root, { env, signal })).rejects.toBe('enough')
  })

  it('lives on when the signal of its opening aborts later', async () => {
    const opening = new AbortController()
    const town = opened(await Town.connect(root, { env, signal: opening.signal }))
    opening.abort()
    expect(await town.channel().receive(SUPERVISOR_ID, 20)).toBeNull()
  })
})

describe.each(['hash', 'json'] as const)('the agents of a town with records as %s', (format) => {
  it('are spawned and found by id, name, nickname and short id', async () => {
    const town = await makeTown(format)
    const { id } = await town.spawnAgent('worker-1', 'codex')
    const agent = await (await town.agent('worker-1')).state()
    expect(agent).toMatchObject({
      id,
      name: 'worker-1',
      cli: 'codex',
      state: 'starting',
      agentType: 'worker',
    })
    if (!agent) throw new Error('no agent')
    await town.channel().setAgentState({ ...agent, nickname: 'Bennie' })
    for (const reference of [id, id.toUpperCase(), 'WORKER-1', ' bennie ', shortId(id)])
      expect((await town.agent(reference)).id).toBe(id)
    expect((await town.listAgents()).map(({ name }) => name)).toEqual(['worker-1'])
    expect((await town.channel().readEvents()).map(({ event }) => event.event_type)).toEqual([
      'agent_spawned',
    ])
  })

  it('are what a worker of that name takes over', async () => {
    const town = await makeTown(format)
    const handle = await town.spawnAgent('worker-1', 'codex')
    const taskId = await handle.assign('Do X')
    const lease = await register(townKeys(town.name, format))
    expect(lease.agentId).toBe(handle.id)
    const waiting = handle.waitForTask(taskId, { timeoutMs: 30_000 })
    await untilBlocked()
    await runOne(lease, taskId, 'did X')
    expect(await waiting).toMatchObject({ state: 'completed', result: 'did X' })
  })
})

describe('spawning', () => {
  it.each(['supervisor', 'Conductor', 'a b', ''])('refuses the name %j', async (name) => {
    const town = await makeTown()
    await expect(town.spawnAgent(name, 'codex')).rejects.toMatchObject({ code: 'usage' })
    await expect(town.spawnAgent('a', '')).rejects.toThrow(/Expected cli to be a text/)
    expect(await town.listAgents()).toEqual([])
  })

  it('refuses a name that is there, in any case, also when several ask at once', async () => {
    const town = await makeTown()
    const asked = await Promise.allSettled(['a', 'A', 'a'].map((name) => town.spawnAgent(name, 'codex')))
    expect(asked.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    await expect(town.spawnAgent('a', 'codex')).rejects.toMatchObject({
      code: 'name-in-use',
      message: expect.stringMatching(
        /^The agent name a is taken in town .* by [0-9a-f-]{36}, which is starting$/,
      ),
    })
  })

  it('gives a name whose record was deleted its inbox again', async () => {
    const town = await makeTown()
    const first = await town.spawnAgent('worker-1', 'codex')
    await first.send({ type: 'ping' })
    await here.redis.del(here.town.agent(first.id).record)
    const second = await town.spawnAgent('worker-1', 'codex')
    expect(second.id).toBe(first.id)
    expect(await second.inboxLen()).toBe(1)
  })

  it('does not write over an agent that somebody else made under a name that is known', async () => {
    const town = await makeTown()
    const { id } = await town.spawnAgent('worker-1', 'codex')
    const agent = await town.channel().getAgentState(id)
    if (!agent) throw new Error('no agent')
    await here.redis.del(here.town.agent(id).record)
    const other = { ...agent, id: '3f2c8a1e-5b7d-4c9e-9a10-6d2f4b8e7c01', cli: 'mine' }
    await town.channel().setAgentState(other)
    await expect(town.spawnAgent('worker-1', 'codex')).rejects.toMatchObject({ code: 'name-in-use' })
    expect(await town.channel().getAgentState(other.id)).toEqual(other)
  })
})

describe('Town.agent', () => {
  it('refuses what is no reference', async () => {
    const town = await makeTown()
    for (const nothing of [undefined, '', 5])
      await expect(town.agent(nothing as never)).rejects.toMatchObject({ code: 'usage' })
  })

  it('names the candidates of an ambiguous reference, and the agents that are there', async () => {
    const town = await makeTown()
    const one = await town.spawnAgent('worker-1', 'codex')
    const agent = await one.state()
    if (!agent) throw new Error('no agent')
    const two = { ...agent, id: `${shortId(one.id)}8a1e-5b7d-4c9e-9a10-6d2f4b8e7c01`, name: 'worker-2' }
    await town.channel().setAgentState(two)
    const ambiguous = await town.agent(shortId(one.id)).catch((error) => error)
    expect(ambiguous).toMatchObject({ code: 'not-found' })
    for (const candidate of [one.id, two.id, 'worker-1', 'worker-2'])
      expect(ambiguous.message).toContain(candidate)
    await expect(town.agent('worker-3')).rejects.toMatchObject({
      code: 'not-found',
      remedy: 'Known agents: worker-1, worker-2',
    })
  })

  it('gives the well-known mailbox, which does no tasks', async () => {
    const town = await makeTown()
    for (const reference of ['supervisor', 'Conductor', SUPERVISOR_ID]) {
      const handle = await town.agent(reference)
      expect(handle.id).toBe(SUPERVISOR_ID)
      expect(await handle.state()).toBeNull()
      await expect(handle.assign('x')).rejects.toMatchObject({ code: 'usage' })
      await handle.send({ type: 'query', question: 'q?' })
    }
    expect(await town.channel().inboxLen(SUPERVISOR_ID)).toBe(3)
  })
})

describe('an agent handle', () => {
  it('assigns tasks and sends messages', async () => {
    const town = await makeTown()
    const handle = await town.spawnAgent('worker-1', 'codex')
    const low = await handle.assign('Do X')
    const high = await handle.assign({ description: 'Do Y', tags: ['docs'], priority: 'high' })
    expect(await town.channel().getTask(high)).toMatchObject({
      state: 'assigned',
      tags: ['docs'],
      assignedTo: handle.id,
    })
    const order = (await town.channel().peekInbox(handle.id)).map((one) => one.ok && one.message.body)
    expect(order).toEqual([high, low].map((task_id) => ({ type: 'task_assign', task_id })))
    await expect(handle.assign('  ')).rejects.toMatchObject({ code: 'usage' })
    const sent = await handle.send({ type: 'ping' }, { urgent: true, correlationId: low })
    expect(await town.channel().receiveUrgent(handle.id)).toEqual([sent])
    expect(await handle.inboxLen()).toBe(2)
  })

  it.each(['hash', 'json'] as const)('assigns a whole task under its own id, as %s', async (form) => {
    const town = await makeTown(form)
    const handle = await town.spawnAgent('worker-1', 'codex')
    const parentId = await handle.assign('The whole')
    const task = newTask({
      description: 'A part',
      tags: ['docs'],
      parentId,
      createdAt: '2026-11-21T09:05:50Z',
    })
    expect(await handle.assign(task)).toBe(task.id)
    expect(await handle.assign(task)).toBe(task.id)
    expect(await handle.assign({ description: 'Another', parentId })).not.toBe(task.id)
    const assigned = await town.channel().getTask(task.id)
    expect(assigned).toMatchObject({
      ...task,
      state: 'assigned',
      updatedAt: expect.any(String),
      assignedTo: handle.id,
    })
    const waiting = await town.channel().peekInbox(handle.id)
    const ids = waiting.map(
      (one) => one.ok && one.message.body.type === 'task_assign' && one.message.body.task_id,
    )
    expect(ids.slice(0, 2)).toEqual([parentId, task.id])
    expect(ids).toHaveLength(3)
  })

  it('assigns a task that nobody has yet, and takes it off the backlog', async () => {
    const town = await makeTown()
    const channel = town.channel()
    const [one, two] = [
      await town.spawnAgent('worker-1', 'codex'),
      await town.spawnAgent('worker-2', 'codex'),
    ]
    const task = newTask({ description: 'Do X' })
    await channel.setTask(task)
    await channel.backlogPush(task.id)
    expect(await one.assign({ ...task, id: task.id.toUpperCase() })).toBe(task.id)
    expect([await channel.backlogLen(), await one.inboxLen()]).toEqual([0, 1])
    expect(await channel.getTask(task.id)).toMatchObject({ state: 'assigned', assignedTo: one.id })
    await expect(two.assign(task)).rejects.toMatchObject({
      code: 'wrong-state',
      message: `The task ${task.id} is assigned, by ${one.id}`,
    })
    await channel.setTask({ ...task, state: 'completed', result: 'done' })
    await expect(one.assign(task)).rejects.toMatchObject({ code: 'wrong-state' })
    const odd = newTask({ description: 'x' })
    await here.redis.rpush(here.town.task(odd.id), 'x')
    await expect(one.assign(odd)).rejects.toMatchObject({ code: 'config' })
    expect([await one.inboxLen(), await two.inboxLen()]).toEqual([1, 0])
  })

  it('waits until nothing is left to do', async () => {
    const town = await makeTown()
    const lease = await register(here.town)
    const handle = await town.agent('worker-1')
    const taskId = await handle.assign('Do X')
    const waiting = handle.wait({ timeoutMs: 30_000 })
    await untilBlocked()
    await runOne(lease, taskId, 'done')
    expect(await waiting).toMatchObject({ state: 'idle', tasksCompleted: 1 })
  })

  it('waits until the agent has stopped', async () => {
    const town = await makeTown()
    const lease = await register(here.town)
    const handle = await town.agent('worker-1')
    await handle.assign('Do X')
    const waiting = handle.wait()
    await untilBlocked()
    await leaveTown(lease, 'bye')
    expect(await waiting).toMatchObject({ state: 'stopped' })
  })

  it('is resumed where its state allows it', async () => {
    const town = await makeTown()
    const agent = await town.spawnAgent('worker-1', 'codex')
    const { record, lease } = here.town.agent(agent.id)
    await here.redis.hset(record, { state: 'paused' })
    expect(await agent.resume()).toBe('idle')
    await expect(agent.resume()).rejects.toMatchObject({ code: 'wrong-state' })
    await here.redis.hset(record, { state: 'error' })
    await expect(agent.resume()).rejects.toMatchObject({ code: 'wrong-state' })
    await here.redis.set(lease, 'token')
    expect(await agent.resume()).toBe('error')
  })

  it('rejects when the agent is in error, with its reason', async () => {
    const town = await makeTown()
    const lease = await register(here.town)
    const handle = await town.agent('worker-1')
    await handle.assign('Do X')
    const waiting = expect(handle.wait()).rejects.toMatchObject({
      code: 'agent-error',
      message: 'worker-1 is in error: codex is not there',
    })
    await untilBlocked()
    await setAgentState(lease, { state: 'error', message: 'broken', lastError: 'codex is not there' })
    await waiting
  })

  it('rejects when the time is over, the signal aborts, the agent is gone or the town is closed', async () => {
    const town = await makeTown()
    const handle = await town.spawnAgent('worker-1', 'codex')
    await handle.assign('Do X')
    await expect(handle.wait({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'timeout' })
    await expect(handle.wait({ signal: AbortSignal.abort('enough') })).rejects.toBe('enough')
    const closed = expect(handle.wait()).rejects.toMatchObject({ code: 'closed' })
    const received = expect(town.channel().receive(SUPERVISOR_ID, 30_000)).rejects.toMatchObject({
      code: 'closed',
    })
    await untilBlocked()
    await town.close()
    await Promise.all([closed, received])
    const again = await makeTown()
    await here.redis.del(here.town.agent(handle.id).record)
    const ghost = await again.spawnAgent('worker-2', 'codex')
    await here.redis.del(here.town.agent(ghost.id).record)
    await expect(ghost.wait()).rejects.toMatchObject({ code: 'not-found' })
  })
})

describe('a town that was closed', () => {
  it('says so, whatever it is asked', async () => {
    const town = await makeTown()
    const handle = await town.spawnAgent('worker-1', 'codex')
    await town.close()
    for (const call of [
      () => town.agent('worker-1'),
      () => town.spawnAgent('worker-2', 'codex'),
      () => town.listAgents(),
      () => town.channel().send({ to: handle.id, body: { type: 'ping' } }),
      () => handle.assign('Do X'),
      () => handle.state(),
      () => handle.wait(),
      () => town.eventStream().next(),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'closed' })
  })

  it('says so to what it cuts off', async () => {
    const town = await makeTown()
    const asked = Array.from({ length: 20 }, () => town.listAgents().catch(({ code }) => code))
    await town.close()
    const answers = await Promise.all(asked)
    for (const answer of answers) expect(['closed', []]).toContainEqual(answer)
  })
})

describe('the event stream of a town', () => {
  it('is what happens in it', async () => {
    const town = await makeTown()
    const stream = town.eventStream()
    const first = stream.next()
    await untilBlocked()
    await town.spawnAgent('worker-1', 'codex')
    expect((await first).value.event).toMatchObject({ event_type: 'agent_spawned' })
    await stream.return(undefined as never)
  })
})
