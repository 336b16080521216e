import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Channel } from '../../src/client/channel.ts'
import { type Agent, newAgent } from '../../src/domain/agent.ts'
import type { TownEvent } from '../../src/domain/event.ts'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import {
  decodeMessage,
  encodeMessage,
  type Message,
  newMessage,
  PRIORITIES,
} from '../../src/domain/message.ts'
import { newTask, type Task } from '../../src/domain/task.ts'
import { fieldOf } from '../../src/store/events.ts'
import { takeMessage } from '../../src/store/receive.ts'
import { agent, task } from '../rig/arbitraries.ts'
import { collectGarbage } from '../rig/garbage.ts'
import { connectAs, startTestRedis, useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()
const AGENT = '3f2c8a1e-5b7d-4c9e-9a10-6d2f4b8e7c01'
const channels: Channel[] = []
let channel: Channel

beforeEach(() => {
  channel = open()
})

afterEach(async () => {
  for (const one of channels.splice(0)) await one.close()
  await until(
    async () => !/name=tinytown-worker:/.test(String(await here.redis.client('LIST'))),
    'every connection of a channel is closed',
  )
})

function open(recordFormat: 'hash' | 'json' = 'hash', redis = here.redis): Channel {
  const made = new Channel(redis, here.town.town, { recordFormat })
  channels.push(made)
  return made
}

function info(summary: string) {
  return { to: AGENT, body: { type: 'informational', summary } } as const
}

function summaryOf(message: Message | null): string | null {
  return message?.body.type === 'informational' ? message.body.summary : null
}

async function deadLetters() {
  const entries = await here.redis.xrange(here.town.deadLetters, '-', '+')
  return entries.map(([, fields]) =>
    Object.fromEntries(
      ['agent_id', 'agent', 'reason', 'detail', 'message'].map((name) => [name, fieldOf(fields, name)]),
    ),
  )
}

async function untilBlocked(command: string): Promise<void> {
  await until(
    async () => new RegExp(`cmd=${command}`).test(String(await here.redis.client('LIST'))),
    `a connection is blocked in ${command}`,
  )
}

describe('a channel', () => {
  it.each(['', 'a b', 'a:b', 'a*', 'task'])('refuses the town name %j', (name) => {
    expect(() => new Channel(here.redis, name)).toThrow(/Expected the name of the town to be/)
  })

  it('refuses a form of records that nobody knows', () => {
    const recordFormat = 'xml' as never
    expect(() => new Channel(here.redis, 'shop', { recordFormat })).toThrow(/hash or json, got xml/)
  })

  it('refuses a connection that changes keys', () => {
    const prefixed = new Redis({ path: here.socketPath, lazyConnect: true, keyPrefix: 'x:' })
    expect(() => new Channel(prefixed, 'shop')).toThrow(/without keyPrefix, got x:/)
  })

  it('leaves the connection open that it was given, and does nothing more', async () => {
    await channel.close()
    await channel.close()
    expect(await here.redis.ping()).toBe('PONG')
    for (const call of [
      () => channel.receive(AGENT, 10),
      () => channel.send(info('s')),
      () => channel.inboxLen(AGENT),
      () => channel.listTasks(),
      () => channel.subscribe(),
      () => channel.eventStream().next(),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'closed' })
    expect(await here.redis.keys(`${here.town.base}:*`)).toEqual([])
  })

  it('tells that Redis is away by its code', async () => {
    const path = '/nowhere/redis.sock'
    const nobody = new Redis({ path, lazyConnect: true, maxRetriesPerRequest: 1, retryStrategy: () => 5 })
    nobody.on('error', () => undefined)
    const alone = open('hash', nobody)
    try {
      const unreachable = { code: 'redis-unreachable', message: /^Redis does not answer: / }
      const away = { ...unreachable, message: expect.stringMatching(unreachable.message) }
      await expect(alone.inboxLen(AGENT)).rejects.toMatchObject(away)
      await expect(alone.waitForTask(AGENT)).rejects.toMatchObject(away)
      await expect(alone.receive(AGENT, 10)).rejects.toMatchObject(away)
    } finally {
      nobody.disconnect()
    }
  })

  it('takes an id in any form for the same mailbox and record', async () => {
    const forms = [AGENT.toUpperCase(), `urn:uuid:${AGENT}`, `{${AGENT}}`, AGENT.replaceAll('-', '')]
    for (const to of forms) await channel.send({ ...info(to), to })
    await channel.sendUrgent(info('urgent'))
    for (const [at, id] of forms.entries()) {
      expect(await channel.inboxLen(id)).toBe(forms.length - at)
      expect(summaryOf(await channel.tryReceive(id))).toBe(forms[at])
    }
    expect((await channel.receiveUrgent(AGENT.toUpperCase())).map(summaryOf)).toEqual(['urgent'])
    const task = {
      ...newTask({ description: 'x' }),
      assignedTo: AGENT.toUpperCase(),
      state: 'assigned',
    } as const
    await channel.setTask({ ...task, id: task.id.toUpperCase() })
    expect(await channel.getTask(task.id.toUpperCase())).toMatchObject({ id: task.id, assignedTo: AGENT })
    await channel.backlogPush(task.id)
    expect(await channel.backlogRemove(task.id.toUpperCase())).toBe(true)
    expect(await channel.readEvents({ agentId: AGENT.toUpperCase() })).toHaveLength(1)
  })
})

describe('sending', () => {
  it('puts urgent and high at the head, normal and low at the tail', async () => {
    for (const priority of PRIORITIES) await channel.send({ ...info(priority), priority })
    const peeked = await channel.peekInbox(AGENT)
    expect(peeked.map((one) => one.ok && summaryOf(one.message))).toEqual(['urgent', 'high', 'low', 'normal'])
    expect(await channel.peekInbox(AGENT, 1)).toHaveLength(1)
    expect(await channel.peekInbox(AGENT, 0)).toEqual([])
    expect(await channel.inboxLen(AGENT)).toBe(4)
  })

  it('fills in what was not said: the id, the supervisor, the time of the server', async () => {
    const sent = await channel.send(info('s'))
    expect(sent).toMatchObject({ from: SUPERVISOR_ID, to: AGENT, priority: 'normal' })
    expect(sent.createdAt).toMatch(/^\d{4}-.*Z$/)
    expect(await here.redis.lrange(here.town.agent(AGENT).inbox, 0, -1)).toEqual([encodeMessage(sent)])
  })

  it('sends a whole message as it is', async () => {
    const whole = newMessage({ ...info('s'), from: newId(), createdAt: '2026-11-21T09:05:50.237170752Z' })
    expect(await channel.send(whole)).toEqual(whole)
    expect(await channel.tryReceive(AGENT)).toEqual(whole)
  })

  it('refuses what nobody could read, and sends nothing', async () => {
    await expect(channel.send({ ...info('s'), to: 'worker-1' })).rejects.toMatchObject({
      code: 'usage',
      message: 'Expected the message field to to be a UUID, got "worker-1"',
    })
    const body = { type: 'launch' } as never
    await expect(channel.sendUrgent({ to: AGENT, body })).rejects.toThrow(/field type to be one of/)
    expect(await here.redis.keys(`${here.town.base}:*`)).toEqual([])
  })

  it('keeps urgent messages apart, newest first', async () => {
    await channel.sendUrgent(info('one'))
    await channel.sendUrgent(info('two'))
    expect(await channel.inboxLen(AGENT)).toBe(0)
    expect((await channel.receiveUrgent(AGENT)).map(summaryOf)).toEqual(['two', 'one'])
    expect(await channel.receiveUrgent(AGENT)).toEqual([])
  })
})

describe('receiving', () => {
  it('gives what is there, from the head', async () => {
    await channel.send(info('one'))
    await channel.send(info('two'))
    expect(summaryOf(await channel.receive(AGENT, 1000))).toBe('one')
    expect(summaryOf(await channel.tryReceive(AGENT))).toBe('two')
    expect(await channel.tryReceive(AGENT)).toBeNull()
  })

  it('gives null when nothing comes in time, and at once without time', async () => {
    expect(await channel.receive(AGENT, 0)).toBeNull()
    expect(await channel.receive(AGENT, 30)).toBeNull()
    await expect(channel.receive(AGENT, Number.NaN)).rejects.toMatchObject({ code: 'usage' })
  })

  it('waits for what comes, for several agents at once, without keeping others from sending', async () => {
    const other = newId()
    const first = channel.receive(AGENT, 30_000)
    const second = channel.receive(other, 30_000)
    await until(
      async () => [...String(await here.redis.client('LIST')).matchAll(/cmd=blpop/g)].length === 2,
      'both are blocked',
    )
    await channel.send({ ...info('for other'), to: other })
    await channel.send(info('for agent'))
    expect((await Promise.all([first, second])).map(summaryOf)).toEqual(['for agent', 'for other'])
  })

  it('ends with the signal, and loses nothing by it', async () => {
    const stop = new AbortController()
    const waiting = channel.receive(AGENT, 30_000, { signal: stop.signal })
    const ended = expect(waiting).rejects.toBe('enough')
    await untilBlocked('blpop')
    stop.abort('enough')
    await ended
    await channel.send(info('later'))
    expect(summaryOf(await channel.tryReceive(AGENT))).toBe('later')
  })

  it('ends with the signal also while Redis says nothing', async () => {
    const stop = new AbortController()
    const waiting = channel.receive(AGENT, 30_000, { signal: stop.signal }).catch((reason) => reason)
    await untilBlocked('blpop')
    await here.redis.client('PAUSE', 4000, 'ALL')
    stop.abort('enough')
    expect(await Promise.race([waiting, here.redis.ping()])).toBe('enough')
  })

  it('keeps its time while Redis is frozen, and takes nothing later', async () => {
    const server = await startTestRedis()
    const frozen = open('hash', server.redis)
    try {
      for (const blocked of [true, false]) {
        const waiting = blocked && frozen.receive(AGENT, 300)
        const isBlocked = async () => /cmd=blpop/.test(String(await server.redis.client('LIST')))
        if (blocked) await until(isBlocked, 'a connection is blocked in BLPOP')
        server.process.kill('SIGSTOP')
        let answer: unknown = 'none yet'
        const done = (waiting || frozen.receive(AGENT, 300)).then((message) => {
          answer = message
        })
        await until(() => answer !== 'none yet', 'the time is over', 6000)
        server.process.kill('SIGCONT')
        await done
        expect(answer).toBeNull()
        await frozen.send(info('later'))
        expect(summaryOf(await frozen.tryReceive(AGENT))).toBe('later')
      }
    } finally {
      server.process.kill('SIGCONT')
      await frozen.close()
      await server.close()
    }
  })

  it('keeps its time while Redis is gone', async () => {
    const server = await startTestRedis()
    server.redis.on('error', () => undefined)
    const left = open('hash', server.redis)
    const waiting = left.receive(AGENT, 300)
    await until(
      async () => /cmd=blpop/.test(String(await server.redis.client('LIST'))),
      'a connection is blocked in BLPOP',
    )
    server.process.kill('SIGKILL')
    let answer: unknown = 'none yet'
    const done = waiting.then((message) => {
      answer = message
    })
    try {
      await until(() => answer !== 'none yet', 'the time is over', 6000)
      expect(answer).toBeNull()
    } finally {
      await left.close()
      server.redis.disconnect()
      await server.close()
      await done
    }
  })

  it('gives back what was taken after its time', async () => {
    await channel.send(info('one'))
    const taker = here.redis.duplicate()
    const late = new AbortController()
    try {
      await taker.ping()
      await here.redis.config('RESETSTAT')
      // The text is looked at, and about to be taken when the time is over.
      await here.redis.client('PAUSE', 10_000, 'WRITE')
      const box = { agentId: AGENT, list: 'inbox' } as const
      const taking = expect(takeMessage(taker, here.town, box, late.signal)).rejects.toBe('late')
      await untilBlocked('eval')
      late.abort('late')
      await taking
      await here.redis.client('UNPAUSE')
      await until(async () => /cmdstat_lpush/.test(await here.redis.info('commandstats')), 'it is put back')
    } finally {
      await here.redis.client('UNPAUSE')
      taker.disconnect()
    }
    expect(summaryOf(await channel.tryReceive(AGENT))).toBe('one')
  })

  it.each(['-client|id', '-client|unblock'])(
    'goes on as a user with %s, and loses nothing when it ends',
    async (denied) => {
      const limited = await connectAs(here, denied)
      const own = open('hash', limited)
      const stop = new AbortController()
      try {
        const waiting = own.receive(AGENT, 30_000, { signal: stop.signal })
        const ended = expect(waiting).rejects.toBe('enough')
        await untilBlocked('blpop')
        stop.abort('enough')
        await ended
        await channel.send(info('later'))
        expect(summaryOf(await own.receive(AGENT, 1000))).toBe('later')
      } finally {
        await own.close()
        limited.disconnect()
      }
    },
  )

  it('warns of nothing when many wait at once, and keeps few connections', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error) => void warnings.push(warning)
    process.on('warning', onWarning)
    const receivers = async () =>
      [...String(await here.redis.client('LIST')).matchAll(/name=tinytown-worker:receive.*cmd=(\w+)/g)].map(
        ([, command]) => command,
      )
    try {
      const all = Array.from({ length: 20 }, () => channel.receive(AGENT, 30_000))
      const blocked = async () => (await receivers()).filter((command) => command === 'blpop').length === 20
      await until(blocked, 'all are blocked')
      for (let count = 0; count < 20; count += 1) await channel.send(info(String(count)))
      expect((await Promise.all(all)).map(summaryOf).sort()).toEqual([...Array(20).keys()].map(String).sort())
      await until(async () => (await receivers()).length <= 2, 'the others are closed')
      expect(warnings).toEqual([])
    } finally {
      process.off('warning', onWarning)
    }
  })

  it('ends when the channel is closed', async () => {
    const waiting = channel.receive(AGENT, 30_000)
    const ended = expect(waiting).rejects.toMatchObject({ code: 'closed' })
    await untilBlocked('blpop')
    await channel.close()
    await ended
  })

  it.each(['inbox', 'urgent'] as const)(
    'puts what cannot be read of the %s into the dead letters, with its text, and goes on',
    async (list) => {
      await channel.setAgentState({ ...newAgent({ name: 'worker-1', cli: 'demo' }), id: AGENT })
      const good = encodeMessage(
        newMessage({ ...info('good'), from: AGENT, createdAt: '2026-11-21T09:05:50Z' }),
      )
      await here.redis.rpush(here.town.agent(AGENT)[list], 'nope', '{"id":5}', good, 'no more')
      const received =
        list === 'inbox' ? [await channel.tryReceive(AGENT)] : await channel.receiveUrgent(AGENT)
      expect(received.map(summaryOf)).toEqual(['good'])
      if (list === 'inbox') expect(await channel.receive(AGENT, 20)).toBeNull()
      const about = { agent_id: AGENT, agent: 'worker-1', reason: 'bad-task' }
      expect(await deadLetters()).toEqual([
        { ...about, detail: 'The message is not JSON', message: 'nope' },
        { ...about, detail: 'Expected the message field id to be a string, got 5', message: '{"id":5}' },
        { ...about, detail: 'The message is not JSON', message: 'no more' },
      ])
    },
  )

  it('gets past bytes that are no text, and keeps them as they are', async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x20, 0x6e])
    const { inbox } = here.town.agent(AGENT)
    await here.redis.rpush(inbox, bytes)
    const waiting = channel.receive(AGENT, 30_000)
    await untilBlocked('blpop')
    await here.redis.rpush(inbox, bytes)
    await channel.send(info('good'))
    expect(summaryOf(await waiting)).toBe('good')
    const kept = await here.redis.xrangeBuffer(here.town.deadLetters, '-', '+')
    expect(kept.map(([, fields]) => fields.some((field) => field.equals(bytes)))).toEqual([true, true])
  })

  it('puts what cannot be read aside also when it comes while it waits', async () => {
    const waiting = channel.receive(AGENT, 30_000)
    await untilBlocked('blpop')
    await here.redis.rpush(here.town.agent(AGENT).inbox, 'nope')
    await until(async () => (await deadLetters()).length === 1, 'the message is put aside')
    await channel.send(info('good'))
    expect(summaryOf(await waiting)).toBe('good')
  })

  it('hands every message to one of several receivers', async () => {
    for (let count = 0; count < 50; count += 1) await channel.send(info(String(count)))
    const others = [channel, open(), open()]
    const taken = await Promise.all(
      others.map(async (one) => {
        const mine: (string | null)[] = []
        for (let message = await one.tryReceive(AGENT); message; message = await one.tryReceive(AGENT))
          mine.push(summaryOf(message))
        return mine
      }),
    )
    expect(
      taken
        .flat()
        .map(Number)
        .sort((a, b) => a - b),
    ).toEqual([...Array(50).keys()])
  })

  it('shows what cannot be read when it only looks', async () => {
    await here.redis.rpush(here.town.agent(AGENT).inbox, 'nope')
    expect(await channel.peekInbox(AGENT)).toEqual([
      { ok: false, error: 'The message is not JSON', raw: 'nope' },
    ])
    expect(await deadLetters()).toEqual([])
  })
})

describe('broadcasts', () => {
  it('reach everybody who has subscribed, on the channel of the town and of the guide', async () => {
    const unreadable: string[] = []
    const one = await channel.subscribe({ onUnreadable: (raw) => void unreadable.push(raw) })
    const two = await open().subscribe()
    const body = { type: 'informational', summary: 'all' } as const
    expect(await channel.broadcast({ body })).toBe(2)
    await here.redis.publish('tt:broadcast', 'nope')
    const guide = newMessage({ ...info('guide'), from: AGENT, createdAt: '2026-11-21T09:05:50Z' })
    await here.redis.publish('tt:broadcast', encodeMessage(guide))
    for (const subscription of [one, two]) {
      const heard: (string | null)[] = []
      for await (const message of subscription) if (heard.push(summaryOf(message)) === 2) break
      expect(heard).toEqual(['all', 'guide'])
      expect(subscription.missed).toBe(0)
    }
    expect(unreadable).toEqual(['nope'])
    expect(await channel.broadcast({ body })).toBe(0)
  })

  it('reach one of several readers each, and end for all', async () => {
    const subscription = await channel.subscribe()
    const heard: (string | null)[] = []
    const read = async () => {
      for await (const message of subscription) heard.push(summaryOf(message))
    }
    const readers = [read(), read(), read()]
    for (const summary of ['one', 'two'])
      await channel.broadcast({ body: { type: 'informational', summary } })
    await until(() => heard.length === 2, 'both are heard')
    await channel.close()
    await Promise.all(readers)
    expect(heard.sort()).toEqual(['one', 'two'])
  })

  it('end with the channel, after what came before', async () => {
    const subscription = await channel.subscribe()
    await channel.broadcast({ body: { type: 'ping' } })
    const heard: string[] = []
    const reading = (async () => {
      for await (const { body } of subscription) heard.push(body.type)
    })()
    await until(() => heard.length === 1, 'the broadcast is heard')
    await channel.close()
    await reading
    expect(heard).toEqual(['ping'])
  })
})

describe.each(['hash', 'json'] as const)('records as %s', (form) => {
  const type = form === 'hash' ? 'hash' : 'string'
  beforeEach(() => {
    channel = open(form)
  })

  const fullAgent: Agent = {
    ...newAgent({ name: 'worker-1', cli: 'codex', nickname: 'Bennie', roleId: 'backend' }),
    state: 'working',
    parentAgentId: AGENT,
    currentTask: AGENT,
    tasksCompleted: 3,
    roundsCompleted: 4,
    host: 'box',
    pid: 42,
    workerVersion: '1',
    circuit: 'half-open',
    lastError: 'x',
  }

  const fullTask: Task = {
    ...newTask({ description: 'Do "X"\n{"tags":{}} ü', tags: ['a', 'b"'], parentId: AGENT }),
    state: 'failed',
    assignedTo: AGENT,
    startedAt: '2026-11-21T09:05:50.237170Z',
    completedAt: '2026-11-21T09:05:51Z',
    result: '',
    attempts: 2,
    reason: 'timeout',
    costUsd: 0.25,
    resultTruncated: true,
    log: '/log',
  }

  it('are written whole and read the same', async () => {
    await channel.setAgentState(fullAgent)
    await channel.setTask(fullTask)
    expect(await channel.getAgentState(fullAgent.id)).toEqual(fullAgent)
    expect(await channel.getTask(fullTask.id)).toEqual(fullTask)
    expect(await here.redis.type(here.town.agent(fullAgent.id).record)).toBe(type)
    expect(await here.redis.type(here.town.task(fullTask.id))).toBe(type)
  })

  it('have no field for what is undefined, and keep those of others', async () => {
    await channel.setAgentState(fullAgent)
    await channel.setTask(fullTask)
    const { nickname: _, currentTask: __, host: ___, lastError: ____, ...agent } = fullAgent
    const { result: _____, assignedTo: ______, attempts: _______, ...task } = fullTask
    await channel.setAgentState({ ...agent, state: 'idle' })
    await channel.setTask({ ...task, state: 'pending', tags: [] })
    expect(await channel.getAgentState(agent.id)).toEqual({
      ...agent,
      state: 'idle',
      host: 'box',
      lastError: 'x',
    })
    expect(await channel.getTask(task.id)).toEqual({ ...task, state: 'pending', tags: [], attempts: 2 })
  })

  it('stay in their form, whatever form new ones have', async () => {
    await channel.setAgentState(fullAgent)
    const key = here.town.agent(fullAgent.id).record
    if (form === 'hash') await here.redis.hset(key, 'mood', 'fine')
    else
      await here.redis.set(
        key,
        JSON.stringify({ ...JSON.parse((await here.redis.get(key)) ?? ''), mood: 'fine' }),
      )
    await open(form === 'hash' ? 'json' : 'hash').setAgentState({ ...fullAgent, state: 'idle' })
    expect(await here.redis.type(key)).toBe(type)
    const kept =
      form === 'hash' ? await here.redis.hgetall(key) : JSON.parse((await here.redis.get(key)) ?? '')
    expect(kept).toMatchObject({ mood: 'fine', state: 'idle' })
  })

  it('are listed', async () => {
    await channel.setAgentState(fullAgent)
    await channel.setTask(fullTask)
    expect(await channel.listAgents()).toEqual([fullAgent])
    expect(await channel.listTasks()).toEqual([fullTask])
  })

  it('tell a change of state, once', async () => {
    const agent = newAgent({ name: 'worker-1', cli: 'demo' })
    await channel.setAgentState(agent)
    await channel.setAgentState({ ...agent, state: 'idle' })
    await channel.setAgentState({ ...agent, state: 'idle' })
    const events = (await channel.readEvents({ agentId: agent.id })).map(({ event }) => event)
    expect(events).toMatchObject([
      { event_type: 'agent_state_changed', new_state: 'Starting' },
      { event_type: 'agent_state_changed', old_state: 'Starting', new_state: 'Idle' },
    ])
    const task = newTask({ description: 'Do X' })
    for (const state of ['pending', 'running', 'completed', 'completed'] as const)
      await channel.setTask({ ...task, state })
    const told = (await channel.readEvents()).map(({ event }) => event.event_type)
    expect(told.filter((word) => word.startsWith('task_'))).toEqual(['task_completed'])
  })

  it.each([30_000, 2 ** 32, Number.POSITIVE_INFINITY])(
    'wake who waits %d ms for a task',
    async (timeoutMs) => {
      const task = newTask({ description: 'Do X' })
      await channel.setTask(task)
      const waiting = channel.waitForTask(task.id, { timeoutMs })
      await untilBlocked('xread')
      await channel.setTask({ ...task, state: 'completed', result: 'done' })
      expect(await waiting).toMatchObject({ state: 'completed', result: 'done' })
    },
  )
})

describe('a record', () => {
  it('is read the same from a hash and from a JSON string, whatever it says', async () => {
    // Times of a JSON record end in Z.
    const inZ = (record: object) => JSON.parse(JSON.stringify(record).replaceAll('+00:00"', 'Z"'))
    const forms = [open('hash'), open('json')]
    const property = fc.asyncProperty(agent, task, async (who, what) => {
      const found = await Promise.all(
        forms.map(async (one) => {
          // Another town for each form: a record that is there would keep its own.
          const apart = new Channel(one.redis, `${one.town}-${forms.indexOf(one)}`, {
            recordFormat: one === forms[0] ? 'hash' : 'json',
          })
          await apart.setAgentState(who)
          await apart.setTask(what)
          return [await apart.getAgentState(who.id), await apart.getTask(what.id)]
        }),
      )
      expect(found[0]).toEqual([who, what])
      expect(found[1]).toEqual([inZ(who), inZ(what)])
    })
    await fc.assert(property, { numRuns: 60 })
  })

  it('is not made without an id', async () => {
    const agent = { ...newAgent({ name: 'a', cli: 'b' }), id: '' }
    await expect(channel.setAgentState(agent)).rejects.toMatchObject({ code: 'usage' })
    await expect(channel.setTask({ ...newTask({ description: 'x' }), id: 'x' })).rejects.toThrow(
      /to be a UUID, got "x"/,
    )
    expect(await here.redis.keys(`${here.town.base}:*`)).toEqual([])
  })

  it('is not written over a key that holds something else', async () => {
    const task = newTask({ description: 'x' })
    await here.redis.rpush(here.town.task(task.id), 'x')
    await expect(channel.setTask(task)).rejects.toMatchObject({ code: 'config' })
    expect(await channel.getTask(task.id)).toBeNull()
    expect(await here.redis.lrange(here.town.task(task.id), 0, -1)).toEqual(['x'])
  })

  it('that is gone is told to who waits for it', async () => {
    await expect(channel.waitForTask(newId())).rejects.toMatchObject({ code: 'not-found' })
    const task = newTask({ description: 'x' })
    await channel.setTask(task)
    await expect(channel.waitForTask(task.id, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'timeout' })
  })
})

describe('the backlog', () => {
  it('is pushed, listed, popped, removed and claimed', async () => {
    const tasks = ['one', 'two', 'three', 'four'].map((description) => newTask({ description }))
    const ids = tasks.map(({ id }) => id)
    for (const task of tasks) await channel.setTask(task)
    for (const [at, id] of ids.entries()) expect(await channel.backlogPush(id)).toBe(at + 1)
    expect((await channel.backlogList()).map(({ task }) => task?.description)).toEqual([
      'one',
      'two',
      'three',
      'four',
    ])
    expect(await channel.backlogPop()).toBe(ids[0])
    expect(await channel.backlogRemove(ids[1] ?? '')).toBe(true)
    expect(await channel.backlogRemove(ids[1] ?? '')).toBe(false)
    await channel.setAgentState({ ...newAgent({ name: 'worker-1', cli: 'demo' }), id: AGENT })
    expect(await channel.backlogClaim(ids[2] ?? '', AGENT)).toEqual({ kind: 'claimed' })
    expect(await channel.backlogLen()).toBe(1)
    expect((await channel.tryReceive(AGENT))?.body).toEqual({ type: 'task_assign', task_id: ids[2] })
    await expect(channel.backlogPush('x')).rejects.toThrow(/to be a UUID/)
  })

  it('is empty at first', async () => {
    expect(await channel.backlogPop()).toBeNull()
    expect(await channel.backlogList()).toEqual([])
  })
})

describe('signs of an agent', () => {
  it('are its last ten activities, kept for an hour', async () => {
    for (let count = 1; count <= 12; count += 1) await channel.logActivity(AGENT, `Round ${count}`)
    const lines = await channel.getActivity(AGENT)
    expect([lines.length, lines[0], lines.at(-1)]).toEqual([10, 'Round 12', 'Round 3'])
    expect(await here.redis.ttl(here.town.agent(AGENT).activity)).toBeGreaterThan(3500)
  })

  it('are a stop flag that lives for an hour', async () => {
    expect(await channel.shouldStop(AGENT)).toBe(false)
    await channel.requestStop(AGENT)
    expect(await channel.shouldStop(AGENT)).toBe(true)
    expect(await here.redis.get(here.town.agent(AGENT).stop)).toBe('1')
    expect(await here.redis.ttl(here.town.agent(AGENT).stop)).toBeGreaterThan(3500)
    await channel.clearStop(AGENT)
    expect(await channel.shouldStop(AGENT)).toBe(false)
  })
})

describe('events', () => {
  const event = { event_type: 'agent_completed', agent_id: AGENT, message: 'done' } as const

  it('stand in the streams of the town, of the agent and of its parent, in the form of upstream', async () => {
    const parent = newId()
    const place = await channel.emitEvent({ ...event, parent_agent_id: parent })
    const [[at, fields] = ['', []]] = await here.redis.xrange(here.town.events, '-', '+')
    expect(at).toBe(place)
    expect(fields.slice(0, 3)).toEqual(['event_type', 'agent_completed', 'data'])
    expect(JSON.parse(fields[3] ?? '')).toEqual({
      ...event,
      parent_agent_id: parent,
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    for (const agentId of [AGENT, parent]) expect(await channel.readEvents({ agentId })).toHaveLength(1)
  })

  it('are kept, roughly, a thousand of the town and a hundred of an agent', async () => {
    for (let count = 0; count < 1300; count += 100)
      await Promise.all(
        Array.from({ length: 100 }, () => channel.emitEvent({ ...event, timestamp: '2026-11-21T09:05:50Z' })),
      )
    expect(await here.redis.xlen(here.town.events)).toBeLessThan(1200)
    expect(await here.redis.xlen(here.town.agent(AGENT).events)).toBeLessThan(250)
    expect(await channel.readEvents({ count: 3 })).toHaveLength(3)
  })

  it('come as they are emitted, from the call on', async () => {
    await channel.emitEvent({ ...event, message: 'before' })
    const stream = channel.eventStream()
    const first = stream.next()
    await untilBlocked('xread')
    await channel.emitEvent({ ...event, message: 'one' })
    await channel.emitEvent({ ...event, message: 'two' })
    expect((await first).value.event.message).toBe('one')
    expect((await stream.next()).value.event.message).toBe('two')
    await stream.return(undefined as never)
    const all: TownEvent[] = []
    for await (const placed of channel.eventStream({ from: '0-0', agentId: AGENT }))
      if (all.push(placed.event) === 3) break
    expect(all.map(({ message }) => message)).toEqual(['before', 'one', 'two'])
  })

  it('end with a time-out that nobody else holds', async () => {
    const waiting = channel.eventStream({ signal: AbortSignal.timeout(700) }).next()
    const ended = expect(waiting).rejects.toMatchObject({ name: 'TimeoutError' })
    await untilBlocked('xread')
    await collectGarbage()
    await ended
  })

  it('end with the signal and with the channel', async () => {
    const signal = AbortSignal.abort('enough')
    await expect(channel.eventStream({ signal }).next()).rejects.toBe('enough')
    const waiting = channel.eventStream().next()
    const ended = expect(waiting).rejects.toMatchObject({ code: 'closed' })
    await untilBlocked('xread')
    await channel.close()
    await ended
  })
})

it('a message that a channel sends is one that it reads', async () => {
  const sent = await channel.send({ ...info('s'), correlationId: AGENT.toUpperCase() })
  expect(sent.correlationId).toBe(AGENT)
  expect(decodeMessage(encodeMessage(sent))).toEqual({ ok: true, message: sent })
})
