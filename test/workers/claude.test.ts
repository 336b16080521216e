import { expect, test } from 'vitest'
import { claude, parseClaudeLine } from '../../workers/claude.ts'
import { casesOf, type Reading, readCase, reasonOf } from './transcript.ts'

const CLI = 'claude-2.1.329'

/** What each recorded run is read as, without its session. */
const readings: Record<string, Reading> = {
  'approval-missing': {
    tools: ['Bash: echo hi > hello.txt'],
    failedTools: 1,
    messages: ['All done.'],
    final: 'All done.',
    usage: [20, 0, 10, 0.00028000000000000003],
    error: 'permission_denied Permission denied: Bash (echo hi > hello.txt)',
    notices: 1,
    reason: 'permission-denied',
    end: false,
  },
  'as-root': { reason: 'permission-denied' },
  'credit-used-up': {
    usage: [0, 0, 0, 0],
    error: '400 invalid_request_error Credit balance is too low',
    reason: 'quota',
    end: false,
  },
  'denied-by-rule': {
    tools: ['Bash: rm -f nothing', 'Bash: true'],
    failedTools: 1,
    messages: ['All done.'],
    final: 'All done.',
    usage: [30, 0, 15, 0.00042],
    error: 'permission_denied Permission denied: Bash (rm -f nothing)',
    notices: 1,
    reason: 'permission-denied',
    end: false,
  },
  'forbidden-403': {
    usage: [0, 0, 0, 0],
    error: '403 permission_error Failed to authenticate. API Error: 403 scripted',
    reason: 'auth',
    end: false,
  },
  'max-turns': {
    tools: ['Bash: true', 'Bash: true'],
    usage: [20, 0, 10, 0.00028000000000000003],
    error: 'max_turns Reached maximum number of turns (2)',
    end: false,
  },
  'model-404': {
    usage: [0, 0, 0, 0],
    error: "404 not_found_error There's an issue with the selected model (claude-opus-5-5). ",
    end: false,
  },
  'no-model-server': {
    usage: [0, 0, 0, 0],
    error: 'connection_failed API Error: Connection refused — a firewall or proxy may be b',
    reason: 'unreachable',
    end: false,
  },
  'not-logged-in': {
    usage: [0, 0, 0, 0],
    error: 'api_error Not logged in · Please run /login',
    reason: 'auth',
    end: false,
  },
  ok: {
    tools: ['Bash: echo hi > hello.txt'],
    messages: ['All done: wrote hello.txt'],
    final: 'All done: wrote hello.txt',
    usage: [20, 0, 30, 0.00068],
    end: true,
  },
  'overloaded-529': {
    usage: [0, 0, 0, 0],
    error: '529 overloaded_error API Error: 529 scripted. This is a server-side issue, usuall',
    notices: 1,
    reason: 'overloaded',
    end: false,
  },
  'prompt-too-long': {
    usage: [0, 0, 0, 0],
    error: '400 prompt_too_long Prompt is too long · the request is ~210000 tokens (limit 20',
    reason: 'context-too-long',
    end: false,
  },
  quota: {
    usage: [0, 0, 0, 0],
    error: '429 rate_limit_error API Error: Request rejected (429) · Usage limit reached',
    reason: 'quota',
    end: false,
  },
  'rate-limit-429': {
    usage: [0, 0, 0, 0],
    error: '429 rate_limit_error API Error: Request rejected (429) · scripted',
    notices: 1,
    reason: 'rate-limit',
    end: false,
  },
  'request-too-large': {
    usage: [0, 0, 0, 0],
    error: '413 image_error Request too large (max 32MB). Accumulated images and attachm',
    reason: 'context-too-long',
    end: false,
  },
  'resume-unknown-session': {
    usage: [0, 0, 0, 0],
    error: 'No conversation found with session ID: 6ba65180-f615-4cf2-91',
    reason: 'session-lost',
    end: false,
  },
  'server-error-500': {
    usage: [0, 0, 0, 0],
    error: '500 api_error API Error: 500 Internal server error. This is a server-side ',
    reason: 'overloaded',
    end: false,
  },
  'tool-denied': {
    final: 'All done: wrote hello.txt',
    usage: [20, 0, 30, 0.00068],
    error: 'permission_denied Permission denied: Bash (echo hi > hello.txt)',
    reason: 'permission-denied',
    end: false,
  },
  'tool-failed': {
    tools: ['Bash: echo no such thing >&2; exit 3'],
    failedTools: 1,
    messages: ['All done.'],
    final: 'All done.',
    usage: [20, 0, 10, 0.00028000000000000003],
    end: true,
  },
  'unauthorized-401': {
    usage: [0, 0, 0, 0],
    error: '401 authentication_error Invalid API key · Fix external API key',
    reason: 'auth',
    end: false,
  },
  'usage-limit': {
    usage: [0, 0, 0, 0],
    error: "429 rate_limit_error You've hit your 5-hour limit · resets 10:26pm (UTC)",
    notices: 1,
    reason: 'quota',
    end: false,
  },
}

test('every recorded run is in the table', () => {
  expect(Object.keys(readings).sort()).toEqual(casesOf(CLI))
})

test.each(Object.entries(readings))('reads the run "%s"', (name, expected) => {
  const { session: _session, model: _model, ...reading } = readCase(claude, CLI, name)
  expect(reading).toEqual(expected)
})

test('tells the session and the model', () => {
  expect(readCase(claude, CLI, 'ok')).toMatchObject({
    session: '319475df-6da5-4829-8381-4cf8898e4fcd',
    model: 'claude-opus-5-5',
  })
})

test.each([
  '',
  'plain text',
  'null',
  '[]',
  '{"type":"system","subtype":"compact_boundary"}',
  '{"type":"system","subtype":"init"}',
  '{"type":"assistant"}',
  '{"type":"assistant","message":{"content":"text"}}',
  '{"type":"assistant","message":{"content":[null,{"type":"thinking","thinking":"hm"}]}}',
  '{"type":"user","message":{"role":"user","content":"text"}}',
  '{"type":"rate_limit_event"}',
  '{"type":"a word of tomorrow"}',
  '{"type":"result","is_err',
])('makes nothing of %j', (line) => {
  expect(parseClaudeLine(line)).toEqual([])
})

test('counts the cached input tokens as input', () => {
  const usage = {
    input_tokens: 3,
    cache_creation_input_tokens: 100,
    cache_read_input_tokens: 4000,
    output_tokens: 7,
  }
  const line = JSON.stringify({ type: 'result', is_error: false, result: 'ok', usage, total_cost_usd: 0.5 })
  expect(parseClaudeLine(line)).toContainEqual({
    type: 'usage',
    usage: { inputTokens: 4103, cachedInputTokens: 4000, outputTokens: 7, costUsd: 0.5 },
  })
})

test('takes a result without a word of error and without an answer for a failure', () => {
  expect(parseClaudeLine('{"type":"result","subtype":"error_max_turns"}')).toEqual([
    { type: 'usage', usage: {} },
    { type: 'error', message: 'error_max_turns', fatal: true },
    { type: 'end', ok: false },
  ])
})

test('keeps what a subagent says apart from what the agent says, but shows its tools', () => {
  const content = [
    { type: 'text', text: 'I looked.' },
    { type: 'tool_use', id: 'toolu_2', name: 'Read', input: { file_path: '/workspace/a.ts' } },
  ]
  const line = JSON.stringify({ type: 'assistant', message: { content }, parent_tool_use_id: 'toolu_1' })
  expect(parseClaudeLine(line)).toEqual([
    { type: 'tool-started', id: 'toolu_2', name: 'Read', detail: '/workspace/a.ts' },
  ])
})

test.each([
  [{ status: 'rejected', resetsAt: 1795300000 }, 1795300000000],
  [{ status: 'rejected' }, null],
  [{ status: 'allowed_warning', resetsAt: 1795300000 }, null],
  [{ status: 'allowed', resetsAt: 1795300000 }, null],
])('of the limit %j only a refusal is one that holds up', (rate_limit_info, resetsAt) => {
  const events = parseClaudeLine(JSON.stringify({ type: 'rate_limit_event', rate_limit_info }))
  expect(events.at(-1)).toEqual({ type: 'limit', resetsAt })
})

test.each([
  ['rejected', 'five_hour limit: rejected until 2026-11-21T22:26:40.000Z'],
  ['allowed_warning', 'five_hour limit: allowed_warning until 2026-11-21T22:26:40.000Z'],
  ['allowed', undefined],
])('says of a limit that is %s: %s', (status, text) => {
  const rate_limit_info = { status, resetsAt: 1795300000, rateLimitType: 'five_hour' }
  const events = parseClaudeLine(JSON.stringify({ type: 'rate_limit_event', rate_limit_info }))
  expect(events.find(({ type }) => type === 'notice')).toEqual(text && { type: 'notice', text })
})

test.each([
  [{ message: 'API Error: Connection error.' }, 'unreachable'],
  [{ message: 'API Error: Unable to connect. Is the computer able to access the url?' }, 'unreachable'],
  [{ message: 'API Error: Connection error.', status: 502 }, 'overloaded'],
  [{ message: 'I fixed what printed "API Error: Connection error."' }, undefined],
])('tells a server that cannot be reached from one that refuses: %j', (error, reason) => {
  expect(reasonOf(claude, error)).toBe(reason)
})
