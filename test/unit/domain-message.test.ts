import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SUPERVISOR_ID } from '../../src/domain/ids.ts'
import {
  ackOf,
  decodeMessage,
  encodeMessage,
  type Message,
  type MessageBody,
  newMessage,
  PRIORITIES,
} from '../../src/domain/message.ts'
import { TIMES } from '../rig/wire-forms.ts'

const ID = '6a03acfe-9592-4472-8c37-f19f74b61aab'
const AGENT = '3f2c8a1e-5b7d-4c9e-9a10-6d2f4b8e7c01'
const HEAD = `"id":"${ID}","from":"${SUPERVISOR_ID}","to":"${AGENT}"`
const TAIL = '"priority":"normal","created_at":"2026-11-21T09:05:50.237170752Z","correlation_id":null'

const FROM = { from: SUPERVISOR_ID, to: AGENT, createdAt: '2026-11-21T09:05:50Z' } as const

function decoded(raw: string): Message {
  const answer = decodeMessage(raw)
  if (!answer.ok) throw new Error(answer.error)
  return answer.message
}

// As Tinytown 0.10 writes them.
const WIRE: readonly (readonly [string, MessageBody])[] = [
  [
    '"type":"task","description":"Refactor \\"x\\"\\nline2 — ü"',
    { type: 'task', description: 'Refactor "x"\nline2 — ü' },
  ],
  ['"type":"query","question":"q?"', { type: 'query', question: 'q?' }],
  ['"type":"informational","summary":"s"', { type: 'informational', summary: 's' }],
  ...(['received', 'acknowledged', 'thanks', 'approved'] as const).map(
    (type) =>
      [
        `"type":"confirmation","ack_type":{"type":"${type}"}`,
        { type: 'confirmation', ack_type: { type } },
      ] as const,
  ),
  [
    '"type":"confirmation","ack_type":{"type":"rejected","reason":"r"}',
    { type: 'confirmation', ack_type: { type: 'rejected', reason: 'r' } },
  ],
  [
    '"type":"task_assign","task_id":"5ba22b1d-cd14-4917-8157-4430f60e4610"',
    { type: 'task_assign', task_id: '5ba22b1d-cd14-4917-8157-4430f60e4610' },
  ],
  ['"type":"task_done","task_id":"t","result":"ok"', { type: 'task_done', task_id: 't', result: 'ok' }],
  ['"type":"task_failed","task_id":"t","error":"bad"', { type: 'task_failed', task_id: 't', error: 'bad' }],
  ['"type":"status_request"', { type: 'status_request' }],
  [
    '"type":"status_response","state":"working","current_task":"t"',
    { type: 'status_response', state: 'working', current_task: 't' },
  ],
  [
    '"type":"status_response","state":"idle","current_task":null',
    { type: 'status_response', state: 'idle', current_task: null },
  ],
  ['"type":"ping"', { type: 'ping' }],
  ['"type":"pong"', { type: 'pong' }],
  ['"type":"shutdown"', { type: 'shutdown' }],
  ['"type":"custom","kind":"k","payload":"{\\"a\\":1}"', { type: 'custom', kind: 'k', payload: '{"a":1}' }],
]

describe('a message of Tinytown', () => {
  it.each(WIRE)('is read and written back byte for byte: {%s}', (text, body) => {
    const raw = `{${HEAD},${text},${TAIL}}`
    const message = decoded(raw)
    expect(message).toEqual({
      id: ID,
      from: SUPERVISOR_ID,
      to: AGENT,
      body,
      priority: 'normal',
      createdAt: '2026-11-21T09:05:50.237170752Z',
    })
    expect(encodeMessage(message)).toBe(raw)
  })

  it.each(PRIORITIES)('keeps the priority %s and its correlation', (priority) => {
    const raw = `{${HEAD},"type":"ping","priority":"${priority}","created_at":"2026-11-21T09:05:50Z","correlation_id":"95b1a305-ebf8-465b-bfb6-83e731ab75b0"}`
    expect(decoded(raw)).toMatchObject({ priority, correlationId: '95b1a305-ebf8-465b-bfb6-83e731ab75b0' })
    expect(encodeMessage(decoded(raw))).toBe(raw)
  })

  it.each(TIMES)('may be of the time %j', (text, rfc3339) => {
    const time = JSON.stringify(text)
    const { createdAt } = decoded(`{${HEAD},"type":"ping","priority":"low","created_at":${time}}`)
    expect(createdAt).toBe(rfc3339)
  })

  it('is written with every field that upstream writes, whatever is left out', () => {
    const message = decoded(`{${HEAD},"type":"status_response","state":"idle",${TAIL}}`)
    const raw = `{${HEAD},"type":"status_response","state":"idle","current_task":null,${TAIL}}`
    expect(encodeMessage(message)).toBe(raw)
  })

  it('is written without halves of characters, which serde refuses', () => {
    const summary = 'a\ud83d b\ude00 \u{1f600}'
    const written = encodeMessage(newMessage({ ...FROM, body: { type: 'informational', summary } }))
    expect(decoded(written).body).toMatchObject({ summary: 'a\ufffd b\ufffd \u{1f600}' })
  })

  it('may leave out what is optional, and say more than is known', () => {
    const raw = `{${HEAD},"type":"status_response","state":"idle","mood":"fine","priority":"low","created_at":"2026-11-21T09:05:50Z"}`
    expect(decoded(raw).body).toEqual({ type: 'status_response', state: 'idle' })
    expect(decoded(raw)).not.toHaveProperty('correlationId')
  })

  it('may have its fields in any order and its ids in any form', () => {
    const raw = `{"priority":"low","type":"task_assign","created_at":"2026-11-21T09:05:50Z","task_id":"5BA22B1DCD1449178157 4430F60E4610","to":"{${AGENT}}","from":"urn:uuid:${ID.toUpperCase()}","id":"${ID}"}`
    const message = decoded(raw.replace('8157 ', '8157'))
    expect(message).toMatchObject({ from: ID, to: AGENT })
    expect(message.body).toEqual({ type: 'task_assign', task_id: '5ba22b1d-cd14-4917-8157-4430f60e4610' })
  })
})

const GOOD = {
  id: ID,
  from: SUPERVISOR_ID,
  to: AGENT,
  type: 'ping',
  priority: 'normal',
  created_at: '2026-11-21T09:05:50Z',
}
const TYPES =
  'task, query, informational, confirmation, task_assign, task_done, task_failed, status_request, status_response, ping, pong, shutdown, custom'
const expected = (what: string) => `Expected the message field ${what}`

describe('decodeMessage', () => {
  it.each(['', ' ', 'nope', '{', `${JSON.stringify(GOOD)}}`])('says that %j is not JSON', (raw) => {
    expect(decodeMessage(raw)).toEqual({ ok: false, error: 'The message is not JSON' })
  })

  it.each(['null', '5', '"text"', '[]', 'true', `[${JSON.stringify(GOOD)}]`])(
    'says that %s is not a JSON object',
    (raw) => {
      expect(decodeMessage(raw)).toEqual({ ok: false, error: 'The message is not a JSON object' })
    },
  )

  it.each<[string, object]>([
    ...['id', 'from', 'to', 'priority', 'created_at', 'type'].map((name): [string, object] => [
      name,
      { [name]: undefined },
    ]),
    ['description', { type: 'task' }],
    ['question', { type: 'query' }],
    ['summary', { type: 'informational' }],
    ['ack_type', { type: 'confirmation' }],
    ['ack_type.type', { type: 'confirmation', ack_type: {} }],
    ['ack_type.reason', { type: 'confirmation', ack_type: { type: 'rejected' } }],
    ['task_id', { type: 'task_assign' }],
    ['result', { type: 'task_done', task_id: 't' }],
    ['error', { type: 'task_failed', task_id: 't' }],
    ['state', { type: 'status_response' }],
    ['kind', { type: 'custom', payload: '' }],
    ['payload', { type: 'custom', kind: '' }],
  ])('says that the field %s is not there', (name, change) => {
    const error = `The message has no field ${name}`
    expect(decodeMessage(JSON.stringify({ ...GOOD, ...change }))).toEqual({ ok: false, error })
  })

  it.each([
    [{ id: 'x' }, 'id to be a UUID, got "x"'],
    [{ id: 5 }, 'id to be a string, got 5'],
    [{ id: null }, 'id to be a string, got null'],
    [{ from: 'supervisor' }, 'from to be a UUID, got "supervisor"'],
    [{ to: [] }, 'to to be a string, got a list'],
    [{ to: {} }, 'to to be a string, got an object'],
    [{ to: 'y'.repeat(5000) }, `to to be a UUID, got "${'y'.repeat(80)}"`],
    [{ correlation_id: 'x' }, 'correlation_id to be a UUID, got "x"'],
    [{ priority: 'NORMAL' }, 'priority to be one of low, normal, high, urgent, got "NORMAL"'],
    [{ priority: 1 }, 'priority to be one of low, normal, high, urgent, got 1'],
    [{ created_at: 'today' }, 'created_at to be an RFC 3339 time with a zone, got "today"'],
    [
      { created_at: '2026-11-21T09:05:50' },
      'created_at to be an RFC 3339 time with a zone, got "2026-11-21T09:05:50"',
    ],
    [{ type: 'launch' }, `type to be one of ${TYPES}, got "launch"`],
    [{ type: 7 }, `type to be one of ${TYPES}, got 7`],
    [{ type: 'task', description: 5 }, 'description to be a string, got 5'],
    [{ type: 'custom', kind: 'k', payload: { a: 1 } }, 'payload to be a string, got an object'],
    [{ type: 'confirmation', ack_type: 'received' }, 'ack_type to be an object, got "received"'],
    [
      { type: 'confirmation', ack_type: { type: 'no' } },
      'ack_type.type to be one of received, acknowledged, thanks, approved, rejected, got "no"',
    ],
    [{ type: 'task_assign', task_id: 't' }, 'task_id to be a UUID, got "t"'],
    [{ type: 'status_response', state: 'idle', current_task: 5 }, 'current_task to be a string, got 5'],
  ])('says of %j which rule it breaks', (change, sentence) => {
    const raw = JSON.stringify({ ...GOOD, ...change })
    expect(decodeMessage(raw)).toEqual({ ok: false, error: expected(sentence) })
  })

  it('takes nothing from the names of object members', () => {
    const raw = `{"__proto__":${JSON.stringify(GOOD)}}`
    expect(decodeMessage(raw)).toEqual({ ok: false, error: 'The message has no field id' })
  })

  it('never throws, whatever the text', () => {
    const values = fc.record(Object.fromEntries(Object.keys(GOOD).map((name) => [name, fc.anything()])), {
      requiredKeys: [],
    })
    const mostlyGood = fc
      .tuple(fc.constantFrom(...Object.keys(GOOD)), fc.jsonValue())
      .map(([name, value]) => JSON.stringify({ ...GOOD, [name]: value }))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), mostlyGood, values.map(jsonOf)), (raw) => {
        const answer = decodeMessage(raw)
        if (!answer.ok) expect(answer.error.length).toBeLessThan(400)
      }),
      { numRuns: 500 },
    )
  })

  it('never throws at a value that is nested very deep', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)
    expect(decodeMessage(`{"id":${deep}}`)).toEqual({
      ok: false,
      error: expected('id to be a string, got a list'),
    })
    expect(decodeMessage('['.repeat(200_000))).toMatchObject({ ok: false })
  })

  it('reads a message of 10 MB', () => {
    const description = 'ü'.repeat(5_000_000)
    expect(decoded(JSON.stringify({ ...GOOD, type: 'task', description })).body).toEqual({
      type: 'task',
      description,
    })
  })
})

function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return ''
  }
}

describe('newMessage', () => {
  const from = { ...FROM, body: { type: 'ping' } } as const

  it('makes an id and normal priority', () => {
    const [one, two] = [newMessage(from), newMessage(from)]
    expect(one).toMatchObject({ ...from, priority: 'normal' })
    expect(one.id).not.toBe(two.id)
    expect(decoded(encodeMessage(one))).toEqual(one)
  })

  it('takes the priority and correlation that it is given', () => {
    expect(newMessage({ ...from, priority: 'urgent', correlationId: ID })).toMatchObject({
      priority: 'urgent',
      correlationId: ID,
    })
  })
})

describe('what a text confirms', () => {
  it.each([
    ['Received, on it', { type: 'received' }],
    ['approved', { type: 'approved' }],
    ['Many THANKS', { type: 'thanks' }],
    ['well, thank you', { type: 'thanks' }],
    ['REJECTED: no tests: none', { type: 'rejected', reason: 'no tests: none' }],
    ['rejected:', { type: 'rejected', reason: 'No reason provided' }],
    ['rejected', { type: 'acknowledged' }],
    ['ok', { type: 'acknowledged' }],
  ])('is read as tt reads it: %s', (text, ack) => {
    expect(ackOf(text)).toEqual(ack)
  })
})
