import { oneLine } from '../src/base/text.ts'
import type { Usage } from '../src/domain/outcome.ts'
import type { AgentEvent, Profile, ToldError } from '../src/process/profile.ts'
import {
  type Fields,
  fieldsIn,
  listIn,
  MAX_DETAIL,
  numberIn,
  present,
  readFields,
  textIn,
} from './json-line.ts'
import { type Moment, timeAt } from './reset-time.ts'

/** Anthropic Claude Code, run with `claude --print`. */
export const claude: Profile = {
  id: 'claude',
  title: 'Claude Code',
  command: {
    program: 'claude',
    // stream-json is refused without --verbose.
    args: ['--print', '--output-format', 'stream-json', '--verbose', '--dangerously-skip-permissions'],
  },
  prompt: { via: 'stdin', maxBytes: 10_000_000 },
  env: {
    // IS_SANDBOX=1 lets it skip permissions as root. Bedrock and Vertex also need variables of their clouds.
    pass: ['ANTHROPIC_*', 'CLAUDE_*', 'IS_SANDBOX'],
    set: {
      // By default it tries for minutes, 181 s even on a wrong key; the worker retries better.
      CLAUDE_CODE_MAX_RETRIES: '1',
      DISABLE_AUTOUPDATER: '1',
    },
  },
  version: { args: ['--version'], tested: ['2.1.329'] },
  login: {
    env: ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'CLAUDE_CODE_OAUTH_TOKEN'],
    files: [],
    // Asks nobody: a login that ran out still counts.
    command: { args: ['auth', 'status'], loggedIn: ({ exitCode }) => exitCode === 0 },
    remedy: 'claude auth login, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN',
  },
  asRoot: {
    variable: 'IS_SANDBOX',
    remedy: 'run the worker as another user, or set IS_SANDBOX=1 where the machine is a sandbox',
  },
  install: 'npm install -g @anthropic-ai/claude-code',
  upstreamCommands: ['claude --print --dangerously-skip-permissions'],
  parseLine: parseClaudeLine,
  terminalEvent: true,
  failures: [
    { reason: 'auth', match: ({ status }) => status === 401 || status === 403 },
    { reason: 'auth', match: /^(Not logged in|Invalid API key|OAuth token|Please run \/login)\b/ },
    { reason: 'context-too-long', match: withCode('prompt_too_long') },
    { reason: 'context-too-long', match: ({ status }) => status === 413 },
    { reason: 'session-lost', match: /^No conversation found with session ID/ },
    { reason: 'permission-denied', match: withCode('permission_denied') },
    { reason: 'quota', match: /^You['’]ve hit your .*limit|^Credit balance is too low|Usage limit reached/ },
    { reason: 'rate-limit', match: ({ status }) => status === 429 },
    { reason: 'overloaded', match: ({ status }) => status !== undefined && status >= 500 },
    { reason: 'unreachable', match: withCode('connection_failed') },
    {
      reason: 'unreachable',
      match: /^API Error: (Connection (error|refused)|Unable to connect|fetch failed)/,
    },
  ],
  stderrFailures: [
    { reason: 'session-lost', match: /^No conversation found with session ID/m },
    { reason: 'permission-denied', match: /^--dangerously-skip-permissions cannot be used with root/m },
  ],
  resetsAt: claudeReset,
  // It is known to stay after its result, waiting for its background work.
  exitGraceMs: 30_000,
}

/** "… resets 10:26pm (UTC)", or in seconds since 1970 after a bar; its events tell it better, where it prints them. */
function claudeReset(message: string, moment: Moment): number | undefined {
  const seconds = /limit reached\|(\d{10})\b/.exec(message)?.[1]
  if (seconds !== undefined) return Number(seconds) * 1000
  return timeAt(/\bresets (?:at )?(.+)/.exec(message)?.[1] ?? '', moment)
}

function withCode(...codes: readonly string[]): (error: ToldError) => boolean {
  return ({ code }) => code !== undefined && codes.includes(code)
}

/** Reads one line of `claude --print --output-format stream-json --verbose`. */
export function parseClaudeLine(line: string): readonly AgentEvent[] {
  const event = readFields(line)
  switch (event?.type) {
    case 'system':
      return systemEvents(event)
    case 'assistant':
      return assistantEvents(event)
    case 'user':
      return toolResults(event)
    case 'rate_limit_event':
      return rateLimit(fieldsIn(event, 'rate_limit_info'))
    case 'result':
      return resultEvents(event)
    default:
      return []
  }
}

function systemEvents(event: Fields): AgentEvent[] {
  switch (event.subtype) {
    case 'init': {
      const id = textIn(event, 'session_id')
      return id === undefined ? [] : [{ type: 'session', id, ...present({ model: textIn(event, 'model') }) }]
    }
    case 'api_retry': {
      const { attempt, max_retries, retry_delay_ms, error_status, error } = event
      const why = [error_status, error].filter((part) => part !== null && part !== undefined).join(' ')
      const told = { message: why, ...present({ status: numberIn(event, 'error_status') }) }
      const text = `Retry ${attempt}/${max_retries} in ${retry_delay_ms} ms (${why})`
      return [{ type: 'notice', text, error: told }]
    }
    case 'permission_denied':
      return [{ type: 'notice', text: textIn(event, 'message') ?? 'a tool was denied' }]
    default:
      return []
  }
}

function assistantEvents(event: Fields): AgentEvent[] {
  // An error of the model server dressed up as something the agent said; the result tells it again.
  if (event.is_api_error_message === true) return []
  const ofSubagent = textIn(event, 'parent_tool_use_id') !== undefined
  return listIn(fieldsIn(event, 'message'), 'content').flatMap((block): AgentEvent[] => {
    if (block.type === 'tool_use') {
      const detail = oneLine(detailOf(fieldsIn(block, 'input')), MAX_DETAIL)
      return [
        { type: 'tool-started', id: textIn(block, 'id') ?? '', name: textIn(block, 'name') ?? '', detail },
      ]
    }
    if (block.type === 'text' && !ofSubagent) {
      return [{ type: 'message', text: textIn(block, 'text') ?? '' }]
    }
    return []
  })
}

/** The most telling field of a tool's input: the command, the file, what is looked for. */
function detailOf(input: Fields | null): string {
  const names = ['command', 'file_path', 'notebook_path', 'pattern', 'query', 'url', 'description', 'prompt']
  const name = names.find((candidate) => textIn(input, candidate) !== undefined)
  return name === undefined ? JSON.stringify(input ?? {}) : (textIn(input, name) ?? '')
}

function toolResults(event: Fields): AgentEvent[] {
  return listIn(fieldsIn(event, 'message'), 'content')
    .filter((block) => block.type === 'tool_result')
    .map((block) => ({
      type: 'tool-finished',
      id: textIn(block, 'tool_use_id') ?? '',
      ok: block.is_error !== true,
    }))
}

/** Told at every run of a subscriber. Only a refusal parks: a warning says when the allowance begins anew, not that it is used up. */
function rateLimit(info: Fields | null): AgentEvent[] {
  const status = textIn(info, 'status')
  if (status === undefined) return []
  // Seconds since 1970.
  const seconds = numberIn(info, 'resetsAt')
  const resetsAt = seconds === undefined ? null : seconds * 1000
  const limit: AgentEvent = { type: 'limit', resetsAt: status === 'rejected' ? resetsAt : null }
  if (status === 'allowed') return [limit]
  const until = resetsAt === null ? '' : ` until ${new Date(resetsAt).toISOString()}`
  return [
    { type: 'notice', text: `${textIn(info, 'rateLimitType') ?? 'usage'} limit: ${status}${until}` },
    limit,
  ]
}

function resultEvents(event: Fields): AgentEvent[] {
  const usage: AgentEvent = { type: 'usage', usage: usageOf(event) }
  const answer = textIn(event, 'result')
  // `is_error` decides; the subtype says "success" also of a run that the model server refused.
  if (event.is_error === true || answer === undefined) {
    return [usage, failureOf(event, answer), { type: 'end', ok: false }]
  }
  const final: AgentEvent = { type: 'final', text: answer }
  const denied = listIn(event, 'permission_denials')
  return denied.length === 0
    ? [usage, final, { type: 'end', ok: true }]
    : [usage, final, denialOf(denied), { type: 'end', ok: false }]
}

function failureOf(event: Fields, answer: string | undefined): AgentEvent {
  const { errors } = event
  const told = Array.isArray(errors) ? errors.filter((error) => typeof error === 'string') : []
  const reason = textIn(event, 'terminal_reason')
  const code =
    reason === undefined || reason === 'api_error'
      ? (textIn(event, 'api_error_type') ?? textIn(event, 'api_error') ?? reason)
      : reason
  return {
    type: 'error',
    message: answer ?? (told.join('; ') || (textIn(event, 'subtype') ?? 'the run failed')),
    fatal: true,
    ...present({ status: numberIn(event, 'api_error_status'), code }),
  }
}

/** The agent was kept from doing something and went on: exit 0 and a cheerful answer are no proof of work. */
function denialOf(denied: readonly Fields[]): AgentEvent {
  const tools = denied.map((denial) => {
    const detail = detailOf(fieldsIn(denial, 'tool_input'))
    return `${textIn(denial, 'tool_name') ?? 'a tool'} (${oneLine(detail)})`
  })
  const message = `Permission denied: ${tools.join(', ')}`
  return { type: 'error', message: oneLine(message, MAX_DETAIL), fatal: true, code: 'permission_denied' }
}

/**
 * Claude's input tokens are the uncached ones alone, of this run; those read from the cache and written to it
 * are added. Its cost is that of the whole session, resumed runs included.
 */
function usageOf(event: Fields): Usage {
  const usage = fieldsIn(event, 'usage')
  const cached = numberIn(usage, 'cache_read_input_tokens')
  const uncached = numberIn(usage, 'input_tokens')
  const written = numberIn(usage, 'cache_creation_input_tokens') ?? 0
  return present({
    inputTokens: uncached === undefined ? undefined : uncached + written + (cached ?? 0),
    cachedInputTokens: cached,
    outputTokens: numberIn(usage, 'output_tokens'),
    costUsd: numberIn(event, 'total_cost_usd'),
  })
}
