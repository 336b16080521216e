import { expect, test } from 'vitest'
import { codex, parseCodexLine } from '../../workers/codex.ts'
import { casesOf, type Reading, readCase, reasonOf } from './transcript.ts'

const CLI = 'codex-0.169.0'

/** What each recorded run is read as, without its session. */
const readings: Record<string, Reading> = {
  'at-capacity': {
    error: 'Selected model is at capacity. Please try a different model.',
    notices: 1,
    reason: 'overloaded',
    end: false,
  },
  'context-too-long': {
    error: "Codex ran out of room in the model's context window. Start a",
    notices: 1,
    reason: 'context-too-long',
    end: false,
  },
  'file-change': {
    tools: ['edit: /workspace/hello.txt'],
    messages: ['All done.'],
    usage: [20, 0, 10, undefined],
    end: true,
  },
  'forbidden-403': {
    error: 'unexpected status 403 Forbidden: scripted, url: http://127.0',
    notices: 1,
    reason: 'auth',
    end: false,
  },
  'no-model-server': { notices: 2, retries: 'unreachable' },
  'not-logged-in': { notices: 5, retries: 'unreachable' },
  ok: {
    tools: ["shell: /bin/bash -lc 'echo hi > hello.txt'"],
    messages: ['All done: wrote hello.txt'],
    usage: [20, 0, 10, undefined],
    notices: 1,
    end: true,
  },
  'prompt-too-long': { reason: 'context-too-long' },
  quota: {
    error: 'Quota exceeded. Check your plan and billing details.',
    notices: 2,
    reason: 'quota',
    end: false,
  },
  'rate-limit-429': {
    error: 'exceeded retry limit, last status: 429 Too Many Requests',
    notices: 7,
    reason: 'rate-limit',
    end: false,
  },
  'rate-limit-tokens': {
    error: 'rate limit exceeded: Rate limit reached for gpt in organizat',
    notices: 1,
    reason: 'rate-limit',
    end: false,
  },
  'resume-unknown-session': { reason: 'session-lost' },
  resumed: { messages: ['All done: wrote hello.txt'], usage: [30, 0, 15, undefined], notices: 1, end: true },
  'server-error-500': {
    error: 'We’re currently experiencing high demand, which may cause te',
    notices: 7,
    reason: 'overloaded',
    end: false,
  },
  'tool-failed': {
    tools: ["shell: /bin/bash -lc 'echo no such thing >&2; exit 3'"],
    failedTools: 1,
    messages: ['All done.'],
    usage: [20, 0, 10, undefined],
    end: true,
  },
  'unauthorized-401': {
    error: 'unexpected status 401 Unauthorized: Incorrect API key provid',
    notices: 7,
    reason: 'auth',
    end: false,
  },
  'unavailable-503': {
    error: 'unexpected status 503 Service Unavailable: scripted, url: ht',
    notices: 1,
    reason: 'overloaded',
    end: false,
  },
  'usage-limit': {
    error: 'You’ve hit your usage limit. Upgrade to Pro (https://chatgpt',
    notices: 1,
    reason: 'quota',
    end: false,
  },
  'usage-not-included': {
    error: 'To use Codex with your ChatGPT plan, upgrade to Plus: https:',
    notices: 1,
    reason: 'quota',
    end: false,
  },
}

test('every recorded run is in the table', () => {
  expect(Object.keys(readings).sort()).toEqual(casesOf(CLI))
})

test.each(Object.entries(readings))('reads the run "%s"', (name, expected) => {
  const { session: _session, model: _model, ...reading } = readCase(codex, CLI, name)
  expect(reading).toEqual(expected)
})

test('tells the session, the same for a resumed one', () => {
  const session = '01a1fd57-a614-7250-83f3-bf9b0787469c'
  expect(readCase(codex, CLI, 'ok').session).toBe(session)
  expect(readCase(codex, CLI, 'resumed').session).toBe(session)
})

test.each([
  '',
  'plain text',
  'null',
  '[]',
  '"turn.completed"',
  '{"type":"item.completed"}',
  '{"type":"item.started","item":null}',
  '{"type":"item.completed","item":{"type":"reasoning","text":"thinking"}}',
  '{"type":"item.updated","item":{"type":"todo_list","items":[]}}',
  '{"type":"thread.started"}',
  '{"type":"a word of tomorrow"}',
  '{"type":"turn.comp',
])('makes nothing of %j', (line) => {
  expect(parseCodexLine(line)).toEqual([])
})

test('leaves out what the usage does not tell', () => {
  expect(parseCodexLine('{"type":"turn.completed"}')).toEqual([
    { type: 'usage', usage: {} },
    { type: 'end', ok: true },
  ])
})

test.each([
  [
    { id: 'item_1', type: 'mcp_tool_call', server: 'files', tool: 'read', status: 'completed' },
    { name: 'read', ok: true },
  ],
  [
    { id: 'item_1', type: 'web_search', query: 'redis lua' },
    { name: 'web search', ok: true },
  ],
  [
    { id: 'item_1', type: 'command_execution', command: 'rm -r /', status: 'declined' },
    { name: 'shell', ok: false },
  ],
])('reads the end of the tool %j', (item, { name, ok }) => {
  const line = JSON.stringify({ type: 'item.completed', item })
  expect(parseCodexLine(line)).toEqual([{ type: 'tool-finished', id: 'item_1', name, ok }])
})

test('shows of a command its first line, of at most 500 characters', () => {
  const item = { id: 'item_1', type: 'command_execution', command: `${'x'.repeat(600)}\nmore` }
  const [event] = parseCodexLine(JSON.stringify({ type: 'item.started', item }))
  expect(event).toMatchObject({ type: 'tool-started', detail: `${'x'.repeat(499)}…` })
})

test.each([
  'Please write a test for the text "unexpected status 401 Unauthorized"',
  'The file talks about Quota exceeded and rate limit exceeded',
])('sees no failure of the model server in %j', (message) => {
  const events = parseCodexLine(JSON.stringify({ type: 'turn.failed', error: { message } }))
  expect(events.map((event) => event.type === 'error' && reasonOf(codex, event))).toEqual([undefined, false])
})

test.each([
  ['Connection failed: error sending request', 'unreachable'],
  ['error sending request for url (https://h/v1/responses)', 'unreachable'],
  ['stream disconnected before completion: error sending request for url (https://h)', 'unreachable'],
  ['stream disconnected before completion: failed to lookup address information: Try again', 'unreachable'],
  ['stream disconnected before completion: Transport error: tcp connect error', 'unreachable'],
  ['stream disconnected before completion: stream closed before response.completed', 'overloaded'],
  ['stream disconnected before completion: idle timeout waiting for SSE', 'overloaded'],
])('tells a server that cannot be reached from one that broke off: %s', (message, reason) => {
  expect(reasonOf(codex, { message })).toBe(reason)
})
