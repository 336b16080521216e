import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { AgentHandle } from '../../src/client/agent-handle.ts'
import { Channel } from '../../src/client/channel.ts'
import { Connections } from '../../src/client/connections.ts'
import { Town } from '../../src/client/town.ts'
import { newAgent } from '../../src/domain/agent.ts'
import { newTask } from '../../src/domain/task.ts'
import { townKeys } from '../../src/store/keys.ts'

const ID = '3f2c8a1e-5b7d-4c9e-9a10-6d2f4b8e7c01'
const HALF = 'half \ud83d'

// Nobody answers there: what is refused is refused before Redis is asked.
const redis = new Redis({ path: '/nowhere/redis.sock', lazyConnect: true, retryStrategy: () => null })
redis.on('error', () => undefined)
const channel = new Channel(redis, 'shop')
const connections = new Connections(async () => redis)
const handle = new AgentHandle({ open: { redis, keys: townKeys('shop') }, channel, connections }, ID)
const agent = newAgent({ name: 'worker-1', cli: 'demo' })
const task = newTask({ description: 'Do X' })
const event = { event_type: 'agent_completed', message: 'done' } as const
const info = { to: ID, body: { type: 'informational', summary: 's' } } as const

afterEach(() => {
  expect(redis.status).toBe('wait')
})

/** What JavaScript may give, whatever the types say. */
const js = (value: unknown) => value as never

async function refusal(what: () => unknown): Promise<string> {
  try {
    await what()
  } catch (error) {
    expect(error).toMatchObject({ name: 'WorkerError', code: 'usage' })
    return String((error as Error).message)
  }
  throw new Error('It was not refused')
}

describe('an id that is none', () => {
  const agentId: [string, (id: string) => unknown][] = [
    ['receive', (id) => channel.receive(id, 10)],
    ['tryReceive', (id) => channel.tryReceive(id)],
    ['receiveUrgent', (id) => channel.receiveUrgent(id)],
    ['inboxLen', (id) => channel.inboxLen(id)],
    ['peekInbox', (id) => channel.peekInbox(id)],
    ['getAgentState', (id) => channel.getAgentState(id)],
    ['backlogClaim', (id) => channel.backlogClaim(ID, id)],
    ['logActivity', (id) => channel.logActivity(id, 'x')],
    ['getActivity', (id) => channel.getActivity(id)],
    ['requestStop', (id) => channel.requestStop(id)],
    ['shouldStop', (id) => channel.shouldStop(id)],
    ['clearStop', (id) => channel.clearStop(id)],
    ['readEvents', (id) => channel.readEvents({ agentId: id })],
    ['eventStream', (id) => channel.eventStream({ agentId: id })],
  ]
  const taskId: [string, (id: string) => unknown][] = [
    ['getTask', (id) => channel.getTask(id)],
    ['waitForTask', (id) => channel.waitForTask(id)],
    ['backlogPush', (id) => channel.backlogPush(id)],
    ['backlogRemove', (id) => channel.backlogRemove(id)],
    ['backlogClaim', (id) => channel.backlogClaim(id, ID)],
    ['waitForTask of a handle', (id) => handle.waitForTask(id)],
  ]
  it.each([
    ...agentId.map(([name, call]) => [name, 'agent', call] as const),
    ...taskId.map(([name, call]) => [name, 'task', call] as const),
  ])('is refused by %s', async (_, what, call) => {
    expect(await refusal(() => call('junk'))).toBe(`Expected the id of the ${what} to be a UUID, got "junk"`)
  })
})

describe('a value that breaks its rule', () => {
  it.each<[string, () => unknown]>([
    ['Expected the id of the agent to be given, got undefined', () => channel.tryReceive(js(undefined))],
    ['Expected count to be a whole number, 0 or more, got -1', () => channel.peekInbox(ID, -1)],
    ['Expected count to be a whole number, 0 or more, got 1.5', () => channel.peekInbox(ID, 1.5)],
    ['Expected count to be a whole number, 0 or more, got -1', () => channel.readEvents({ count: -1 })],
    ['Expected count to be a whole number, 0 or more, got 1.5', () => channel.readEvents({ count: 1.5 })],
    [
      'Expected timeoutMs to be a whole number, 0 or more, got -1',
      () => channel.waitForTask(ID, { timeoutMs: -1 }),
    ],
    [
      'Expected timeoutMs to be a whole number, 0 or more, got 1.5',
      () => channel.waitForTask(ID, { timeoutMs: 1.5 }),
    ],
    ['Expected timeoutMs to be a whole number, 0 or more, got -1', () => handle.wait({ timeoutMs: -1 })],
    [
      'Expected timeoutMs to be a whole number, 0 or more, got NaN',
      () => handle.wait({ timeoutMs: Number.NaN }),
    ],
    ['Expected timeoutMs to be 0 or more milliseconds, got -1', () => channel.receive(ID, -1)],
    ['Expected timeoutMs to be 0 or more milliseconds, got 5', () => channel.receive(ID, js('5'))],
    [
      'Expected from to be a place like 0-0 or 1763715950237-0, got "now"',
      () => channel.eventStream({ from: 'now' }),
    ],
    ['Expected the activity to be a string, got 5', () => channel.logActivity(ID, js(5))],
  ])('is refused: %s', async (message, call) => {
    expect(await refusal(call)).toBe(message)
  })
})

describe('an agent record', () => {
  it.each<[object, string]>([
    [{ state: 'busy' }, 'Expected the agent field state to be one of cold, starting, idle, working'],
    [
      { tasksCompleted: Number.NaN },
      'Expected the agent field tasksCompleted to be a whole number, 0 or more, got NaN',
    ],
    [
      { lastHeartbeat: 'yesterday' },
      'Expected the agent field lastHeartbeat to be an RFC 3339 time with a zone, got "yesterday"',
    ],
    [{ nickname: null }, 'Expected the agent field nickname to be a string, got null'],
    [{ name: HALF }, 'Expected the agent field name to be a text without halves of characters'],
    [{ currentTask: 'x' }, 'Expected the agent field currentTask to be a UUID, got "x"'],
    [{ cli: undefined }, 'The agent has no field cli'],
  ])('is refused with %j', async (change, message) => {
    expect(await refusal(() => channel.setAgentState({ ...agent, ...change }))).toContain(message)
  })

  it('is refused when it is no object', async () => {
    expect(await refusal(() => channel.setAgentState(js(undefined)))).toBe(
      'Expected the agent to be an object, got undefined',
    )
  })
})

describe('a task record', () => {
  it.each<[object, string]>([
    [
      { state: 'done' },
      'Expected the task field state to be one of pending, assigned, running, completed, failed, cancelled, got "done"',
    ],
    [{ tags: 'abc' }, 'Expected the task field tags to be a list, got "abc"'],
    [{ tags: ['a', 5] }, 'Expected the task field tags.1 to be a string, got 5'],
    [{ tags: [HALF] }, 'Expected the task field tags.0 to be a text without halves of characters'],
    [{ description: undefined }, 'The task has no field description'],
    [{ assignedTo: 'worker-1' }, 'Expected the task field assignedTo to be a UUID, got "worker-1"'],
    [
      { startedAt: 'soon' },
      'Expected the task field startedAt to be an RFC 3339 time with a zone, got "soon"',
    ],
    [{ reason: 'bored' }, 'Expected the task field reason to be one of exit, '],
    [{ costUsd: Number.POSITIVE_INFINITY }, 'Expected the task field costUsd to be a number, got Infinity'],
  ])('is refused with %j', async (change, message) => {
    expect(await refusal(() => channel.setTask({ ...task, ...change }))).toContain(message)
  })
})

describe('an assignment', () => {
  it.each<[unknown, string]>([
    [undefined, 'Expected the task to be an object, got undefined'],
    [{}, 'The task has no field description'],
    ['  ', 'Expected the task field description to be a text, not empty, got "  "'],
    [HALF, 'Expected the task field description to be a text without halves of characters'],
    [
      { description: 'x', priority: 'High' },
      'Expected the task field priority to be one of low, normal, high, urgent, got "High"',
    ],
    [{ description: 'x', tags: 'abc' }, 'Expected the task field tags to be a list, got "abc"'],
    [{ description: 'x', id: 'abc' }, 'Expected the task field id to be a UUID, got "abc"'],
    [{ description: 'x', parentId: 'abc' }, 'Expected the task field parentId to be a UUID, got "abc"'],
  ])('is refused: %j', async (given, message) => {
    expect(await refusal(() => handle.assign(js(given)))).toContain(message)
  })
})

describe('a message to be sent', () => {
  it.each<[string, () => unknown]>([
    ['Expected the message to be an object, got undefined', () => channel.send(js(undefined))],
    ['Expected the message to be an object, got undefined', () => channel.broadcast(js(undefined))],
    ['The message has no body', () => handle.send(js(undefined))],
    ['The message has no field type', () => channel.send(js({ to: ID, body: {} }))],
    [
      'Expected the message field summary to be a text without halves of characters (lone surrogates)',
      () => channel.send({ ...info, body: { type: 'informational', summary: HALF } }),
    ],
    [
      'Expected the message field reason to be a text without halves of characters (lone surrogates)',
      () =>
        channel.sendUrgent({
          to: ID,
          body: { type: 'confirmation', ack_type: { type: 'rejected', reason: HALF } },
        }),
    ],
  ])('is refused: %s', async (message, call) => {
    expect(await refusal(call)).toBe(message)
  })

  it('is refused when it holds itself', async () => {
    const body: Record<string, unknown> = { type: 'informational' }
    body.summary = body
    expect(await refusal(() => channel.send(js({ to: ID, body })))).toBe('The message is not JSON')
  })
})

describe('an event', () => {
  it.each<[object, string]>([
    [{ message: undefined }, 'The event has no field message'],
    [{ message: HALF }, 'Expected the event field message to be a text without halves of characters'],
    [{ event_type: 'lunch' }, 'Expected the event field event_type to be one of agent_state_changed, '],
    [{ agent_id: 'worker-1' }, 'Expected the event field agent_id to be a UUID, got "worker-1"'],
    [
      { timestamp: 'now' },
      'Expected the event field timestamp to be an RFC 3339 time with a zone, got "now"',
    ],
  ])('is refused with %j', async (change, message) => {
    expect(await refusal(() => channel.emitEvent({ ...event, ...change }))).toContain(message)
  })
})

describe('what a channel or town is made of', () => {
  it.each<[string, () => unknown]>([
    ['Expected the name of the town to be a text, got undefined', () => new Channel(redis, js(undefined))],
    ['Expected the name of the town to be a text, got null', () => new Channel(redis, js(null))],
    ['Expected the connection to be an object, got undefined', () => new Channel(js(undefined), 'shop')],
    [
      'Expected a connection without stringNumbers, got true',
      () => new Channel(new Redis({ lazyConnect: true, stringNumbers: true }), 'shop'),
    ],
    [
      'Expected a connection to one server, got a cluster',
      () => new Channel(js({ isCluster: true }), 'shop'),
    ],
    ['Expected the options to be an object, got undefined', () => Town.init('/nowhere', js(undefined))],
    [
      'Expected root to be a text, not empty, got undefined',
      () => Town.init(js(undefined), { name: 'shop' }),
    ],
    ['Expected root to be a text, not empty, got undefined', () => Town.connect(js(undefined))],
  ])('is refused: %s', async (message, call) => {
    expect(await refusal(call)).toBe(message)
  })
})

it('a channel takes the connection of another copy of ioredis, and gives it back as what it is', () => {
  // ioredis 5 lacks most of the methods of 6: no type of ours may ask for more than these.
  const foreign = {
    isCluster: false,
    status: 'wait',
    options: { keyPrefix: '' },
    duplicate: () => foreign,
    disconnect: () => undefined,
    call: async () => null,
    own: 'its own',
  }
  expect(new Channel(foreign, 'shop').redis.own).toBe('its own')
})
