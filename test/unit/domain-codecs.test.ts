import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { newAgent } from '../../src/domain/agent.ts'
import { decodeEvent, encodeEvent, type TownEvent } from '../../src/domain/event.ts'
import { parseId } from '../../src/domain/ids.ts'
import {
  decodeMessage,
  encodeMessage,
  type Message,
  type MessageBody,
  PRIORITIES,
} from '../../src/domain/message.ts'
import { newTask } from '../../src/domain/task.ts'
import { agentText, pairs, readAgent, readTask, taskText } from '../../src/store/records.ts'
import { agent, id, task, text, time, writtenId } from '../rig/arbitraries.ts'

type Of<T extends MessageBody['type']> = Extract<MessageBody, { type: T }>

/** Every type of message; the compiler asks for one that is new. */
const BODIES: { readonly [T in MessageBody['type']]: fc.Arbitrary<Of<T>> } = {
  task: fc.record({ type: fc.constant('task'), description: text }),
  query: fc.record({ type: fc.constant('query'), question: text }),
  informational: fc.record({ type: fc.constant('informational'), summary: text }),
  confirmation: fc.record({
    type: fc.constant('confirmation'),
    ack_type: fc.oneof(
      fc.record({ type: fc.constantFrom('received', 'acknowledged', 'thanks', 'approved') }),
      fc.record({ type: fc.constant('rejected' as const), reason: text }),
    ),
  }),
  task_assign: fc.record({ type: fc.constant('task_assign'), task_id: id }),
  task_done: fc.record({ type: fc.constant('task_done'), task_id: text, result: text }),
  task_failed: fc.record({ type: fc.constant('task_failed'), task_id: text, error: text }),
  status_request: fc.record({ type: fc.constant('status_request') }),
  status_response: fc.record({
    type: fc.constant('status_response'),
    state: text,
    current_task: fc.option(text),
  }),
  ping: fc.record({ type: fc.constant('ping') }),
  pong: fc.record({ type: fc.constant('pong') }),
  shutdown: fc.record({ type: fc.constant('shutdown') }),
  custom: fc.record({ type: fc.constant('custom'), kind: text, payload: text }),
}
const TYPES = Object.keys(BODIES) as MessageBody['type'][]

function messageOf(body: fc.Arbitrary<MessageBody>): fc.Arbitrary<Message> {
  const whole = { id, from: id, to: id, body, priority: fc.constantFrom(...PRIORITIES), createdAt: time }
  return fc.record(
    { ...whole, correlationId: id },
    { requiredKeys: ['id', 'from', 'to', 'body', 'priority', 'createdAt'] },
  )
}

describe.each(TYPES)('a message of type %s', (type) => {
  const message = messageOf(BODIES[type])
  const wire = message.map((one) => JSON.parse(encodeMessage(one)) as Record<string, unknown>)

  it('is read as it was written', () => {
    fc.assert(
      fc.property(message, (one) => {
        const raw = encodeMessage(one)
        const decoded = decodeMessage(raw)
        expect(decoded).toEqual({ ok: true, message: one })
        expect(decoded.ok && encodeMessage(decoded.message)).toBe(raw)
      }),
    )
  })

  it('is read with its ids in any form', () => {
    fc.assert(
      fc.property(
        wire,
        writtenId,
        fc.constantFrom('id', 'from', 'to', 'correlation_id'),
        (one, written, field) => {
          const decoded = decodeMessage(JSON.stringify({ ...one, [field]: written }))
          const key = field === 'correlation_id' ? 'correlationId' : (field as 'id' | 'from' | 'to')
          expect(decoded.ok && decoded.message[key]).toBe(parseId(written))
        },
      ),
    )
  })

  it('is refused by name when a field is missing', () => {
    fc.assert(
      fc.property(wire, fc.nat(), (one, pick) => {
        const fields = Object.keys(one).filter(
          (field) => field !== 'correlation_id' && field !== 'current_task',
        )
        const field = fields[pick % fields.length] ?? ''
        const { [field]: _, ...rest } = one
        const decoded = decodeMessage(JSON.stringify(rest))
        expect(decoded).toEqual({ ok: false, error: `The message has no field ${field}` })
      }),
    )
  })

  it('is refused by name when a field has the wrong type', () => {
    const wrong = fc.oneof(
      fc.integer(),
      fc.boolean(),
      fc.array(fc.string()),
      fc.dictionary(fc.string(), fc.integer()),
    )
    fc.assert(
      fc.property(wire, fc.nat(), wrong, (one, pick, value) => {
        const fields = Object.keys(one)
        const field = fields[pick % fields.length] ?? ''
        const decoded = decodeMessage(JSON.stringify({ ...one, [field]: value }))
        const error = decoded.ok ? '' : decoded.error
        // The field itself, or what is missing in it where an object belongs.
        expect(error).toMatch(new RegExp(`field ${field}\\b`))
      }),
    )
  })

  it('is refused when its priority or type is in another case, or of nobody', () => {
    fc.assert(
      fc.property(wire, fc.constantFrom(...PRIORITIES), text, (one, priority, word) => {
        for (const wrong of [priority.toUpperCase(), ` ${priority}`, `${priority}${word}x`])
          expect(decodeMessage(JSON.stringify({ ...one, priority: wrong }))).toMatchObject({
            ok: false,
            error: expect.stringContaining('field priority to be one of low, normal, high, urgent'),
          })
        for (const wrong of [type.toUpperCase(), `${type}${word}x`])
          expect(decodeMessage(JSON.stringify({ ...one, type: wrong }))).toMatchObject({
            ok: false,
            error: expect.stringContaining('field type to be one of task, query'),
          })
      }),
    )
  })

  it('never makes the reader throw when it is cut short', () => {
    fc.assert(
      fc.property(message, fc.nat(), (one, pick) => {
        const raw = encodeMessage(one)
        expect(decodeMessage(raw.slice(0, pick % raw.length)).ok).toBe(false)
      }),
    )
  })
})

describe('an event', () => {
  const event: fc.Arbitrary<TownEvent> = fc.record(
    {
      event_type: text,
      message: text,
      timestamp: time,
      agent_id: id,
      task_id: id,
      old_state: text,
      new_state: text,
      parent_agent_id: id,
      scope: text,
      spawn_mode: text,
      reason: text,
    },
    { requiredKeys: ['event_type', 'message', 'timestamp'] },
  )

  it('is read as it was written', () => {
    fc.assert(
      fc.property(event, (one) => {
        expect(decodeEvent(encodeEvent(one))).toEqual(one)
      }),
    )
  })

  it('is written in the order of upstream, without what is absent', () => {
    const data =
      '{"event_type":"task_completed","agent_id":"a","task_id":"t","old_state":"Working","new_state":"Idle","message":"done","timestamp":"2026-11-21T09:05:50.237692465Z","parent_agent_id":"p","scope":"s","spawn_mode":"forkedcontext"}'
    const one = decodeEvent(data)
    expect(one && encodeEvent(one)).toBe(data)
  })

  it.each([
    { message: 5 },
    { message: undefined },
    { timestamp: undefined },
    { timestamp: 'today' },
    { agent_id: 5 },
    { task_id: {} },
    { event_type: null },
  ])('is none when it says %j', (change) => {
    const good = { event_type: 'x', message: 'm', timestamp: '2026-11-21T09:05:50Z' }
    expect(decodeEvent(JSON.stringify({ ...good, agent_id: null }))).toEqual(good)
    expect(decodeEvent(JSON.stringify({ ...good, ...change }))).toBeNull()
  })

  it('is none, whatever the text, and nothing is thrown', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (data) => {
        decodeEvent(data)
      }),
    )
  })
})

describe('a record', () => {
  it('of an agent is read as it was written', () => {
    fc.assert(
      fc.property(agent, (one) => {
        expect(readAgent(pairs(agentText(one).fields))).toEqual(one)
      }),
    )
  })

  it('of a task is read as it was written', () => {
    fc.assert(
      fc.property(task, (one) => {
        expect(readTask(pairs(taskText(one).fields))).toEqual(one)
      }),
    )
  })

  it('says each field once, as a value or as absent', () => {
    fc.assert(
      fc.property(fc.oneof(agent.map(agentText), task.map(taskText)), ({ fields, absent }) => {
        const names = [...fields.filter((_, at) => at % 2 === 0), ...absent]
        expect(new Set(names).size).toBe(names.length)
      }),
    )
  })

  it('has an id, or is none', () => {
    expect(readAgent({ name: 'a', state: 'idle' })).toBeNull()
    expect(readTask({ description: 'x' })).toBeNull()
  })

  it('that names ids in another form is read as one that names them as Tinytown does', () => {
    const [id, other] = ['3F2C8A1E-5B7D-4C9E-9A10-6D2F4B8E7C01', '{6a03acfe-9592-4472-8c37-f19f74b61aab}']
    const [own, bare] = [id.toLowerCase(), other.slice(1, -1)]
    const agent = readAgent({ id, parent_agent_id: other, current_task: other })
    expect(agent).toMatchObject({ id: own, parentAgentId: bare, currentTask: bare })
    const task = readTask({ id, parent_id: other, assigned_to: other })
    expect(task).toMatchObject({ id: own, parentId: bare, assignedTo: bare })
  })

  it('with words that nobody knows is read as upstream reads it', () => {
    const odd = { id: 'x', state: 'flying', agent_type: 'cat', spawn_mode: 'odd', tags: '{', reason: 'mood' }
    expect(readAgent(odd)).toMatchObject({ state: 'starting' })
    expect(readAgent(odd)).not.toHaveProperty('agentType')
    expect(readTask(odd)).toMatchObject({ state: 'pending', tags: [] })
    expect(readTask({ id: 'x', state: 'in_flight' })).toMatchObject({ state: 'running' })
  })

  it('of something new is whole', () => {
    const made = newAgent({ name: 'a', cli: 'b', createdAt: '2026-11-21T09:05:50Z' })
    expect(made).toMatchObject({
      state: 'starting',
      lastHeartbeat: '2026-11-21T09:05:50Z',
      tasksCompleted: 0,
    })
    const todo = newTask({ description: 'x' })
    expect(todo).toMatchObject({ state: 'pending', tags: [], updatedAt: todo.createdAt })
    expect(newTask({ description: 'x' }).id).not.toBe(todo.id)
  })
})
