import { oneLine } from '../src/base/text.ts'
import type { Usage } from '../src/domain/outcome.ts'
import type { AgentEvent, Profile } from '../src/process/profile.ts'
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
import { type Moment, timeAfter, timeAt } from './reset-time.ts'

/** OpenAI Codex, run with `codex exec`. It has no final statement: its last message is its answer. */
export const codex: Profile = {
  id: 'codex',
  title: 'Codex',
  command: {
    program: 'codex',
    // Without --skip-git-repo-check it refuses a folder outside git; `-` reads the prompt from stdin.
    args: ['exec', '--json', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '-'],
  },
  // The limit is 1,048,576 characters; as bytes it is never too high.
  prompt: { via: 'stdin', maxBytes: 1_048_576 },
  env: { pass: ['CODEX_*', 'OPENAI_*'], set: {} },
  version: { args: ['--version'], tested: ['0.169.0'] },
  login: {
    // OPENAI_API_KEY alone sends no key. CODEX_ACCESS_TOKEN makes `login status` ask over the network.
    env: ['CODEX_API_KEY', 'CODEX_ACCESS_TOKEN'],
    files: [],
    // It looks at its own login only: a model provider of config.toml that needs none counts as logged out.
    command: { args: ['login', 'status'], loggedIn: ({ exitCode }) => exitCode === 0 },
    remedy: 'codex login, or set CODEX_API_KEY',
  },
  install: 'npm install -g @openai/codex',
  upstreamCommands: ['codex exec --dangerously-bypass-approvals-and-sandbox'],
  parseLine: parseCodexLine,
  terminalEvent: true,
  // Its errors are sentences without a status or code.
  failures: [
    { reason: 'auth', match: /^unexpected status 40[13]\b/ },
    { reason: 'auth', match: /^Your (access|refresh) token\b|[Pp]lease (log out and )?sign in again/ },
    { reason: 'context-too-long', match: /^Codex ran out of room in the model's context window/ },
    { reason: 'session-lost', match: /no rollout found for thread id/ },
    {
      reason: 'quota',
      match: /^Quota exceeded|^You['’]ve hit your usage limit|^To use Codex with your ChatGPT plan/,
    },
    { reason: 'rate-limit', match: /^exceeded retry limit, last status: 429\b|^rate limit exceeded\b/i },
    { reason: 'overloaded', match: /currently experiencing high demand|^Selected model is at capacity/ },
    { reason: 'overloaded', match: /^(unexpected status|exceeded retry limit, last status:) 5\d\d\b/ },
    // It never got through to the server; one that broke off in the middle is there.
    { reason: 'unreachable', match: /^(Connection failed|error sending request)\b/ },
    {
      reason: 'unreachable',
      match:
        /^stream disconnected before completion: (error sending request|failed to lookup address|.*(dns error|tcp connect error|[Cc]onnection refused|unreachable|No route to host))/,
    },
    { reason: 'overloaded', match: /^stream disconnected\b/ },
  ],
  stderrFailures: [
    { reason: 'session-lost', match: /^Error: .*no rollout found for thread id/m },
    { reason: 'context-too-long', match: /^Error: .*Input exceeds the maximum length/m },
  ],
  resetsAt: codexReset,
  // At its exit it delivers analytics, which takes 5 s without a network.
  exitGraceMs: 15_000,
}

/** "… try again at 10:26 PM.", "… try again in 11s.": the clock is that of its own machine. */
function codexReset(message: string, moment: Moment): number | undefined {
  const { how, when = '' } = /\b[Tt]ry again (?<how>at|in) (?<when>.+)/.exec(message)?.groups ?? {}
  return how === 'in' ? timeAfter(when, moment) : timeAt(when, moment)
}

/** Reads one line of `codex exec --json`. */
export function parseCodexLine(line: string): readonly AgentEvent[] {
  const event = readFields(line)
  switch (event?.type) {
    case 'thread.started':
      return sessionOf(event)
    case 'item.started':
      return startedItem(fieldsIn(event, 'item'))
    case 'item.completed':
      return completedItem(fieldsIn(event, 'item'))
    case 'turn.completed':
      return [
        { type: 'usage', usage: usageOf(fieldsIn(event, 'usage')) },
        { type: 'end', ok: true },
      ]
    case 'turn.failed': {
      const message = textIn(fieldsIn(event, 'error'), 'message') ?? 'the turn failed'
      return [
        { type: 'error', message, fatal: true },
        { type: 'end', ok: false },
      ]
    }
    case 'error':
      return [noticeOf(textIn(event, 'message') ?? '')]
    default:
      return []
  }
}

/** "Reconnecting... 1/5 (why)", or the message that turn.failed repeats. */
function noticeOf(text: string): AgentEvent {
  const message = /^Reconnecting\.\.\..*?\((.+)\)$/s.exec(text)?.[1]
  return { type: 'notice', text, ...(message === undefined ? {} : { error: { message } }) }
}

function sessionOf(event: Fields): AgentEvent[] {
  const id = textIn(event, 'thread_id')
  return id === undefined ? [] : [{ type: 'session', id }]
}

function startedItem(item: Fields | null): AgentEvent[] {
  const tool = toolOf(item)
  return tool === null ? [] : [{ type: 'tool-started', ...tool }]
}

function completedItem(item: Fields | null): AgentEvent[] {
  const type = textIn(item, 'type')
  if (type === 'agent_message') return [{ type: 'message', text: textIn(item, 'text') ?? '' }]
  // A warning; the turn goes on.
  if (type === 'error') return [{ type: 'notice', text: textIn(item, 'message') ?? '' }]
  const tool = toolOf(item)
  if (tool === null) return []
  const status = textIn(item, 'status')
  const ok = status !== 'failed' && status !== 'declined'
  return [{ type: 'tool-finished', id: tool.id, name: tool.name, ok }]
}

/** The tool that an item is the use of; null for thoughts, plans and what is not known. */
function toolOf(item: Fields | null): { id: string; name: string; detail: string } | null {
  const told = toolWords(item)
  if (told === null) return null
  return { id: textIn(item, 'id') ?? '', name: told.name, detail: oneLine(told.detail, MAX_DETAIL) }
}

function toolWords(item: Fields | null): { name: string; detail: string } | null {
  switch (item?.type) {
    case 'command_execution':
      return { name: 'shell', detail: textIn(item, 'command') ?? '' }
    case 'file_change': {
      const paths = listIn(item, 'changes').map((change) => textIn(change, 'path') ?? '')
      return { name: 'edit', detail: paths.join(' ') }
    }
    case 'mcp_tool_call':
      return { name: textIn(item, 'tool') ?? 'mcp', detail: textIn(item, 'server') ?? '' }
    case 'web_search':
      return { name: 'web search', detail: textIn(item, 'query') ?? '' }
    case 'collab_tool_call':
      return { name: textIn(item, 'tool') ?? 'agent', detail: textIn(item, 'prompt') ?? '' }
    default:
      return null
  }
}

/** Codex counts the whole thread, resumed turns included; its input tokens contain the cached ones. */
function usageOf(usage: Fields | null): Usage {
  return present({
    inputTokens: numberIn(usage, 'input_tokens'),
    cachedInputTokens: numberIn(usage, 'cached_input_tokens'),
    outputTokens: numberIn(usage, 'output_tokens'),
  })
}
