import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the scripted model does when a CLI asks it for the next turn. */
export type ModelStep =
  /** Calls the CLI's shell tool with this command line. */
  | { kind: 'run'; command: string }
  /** Says this and ends the turn: the CLI's final answer. */
  | { kind: 'say'; text: string }
  /** Refuses. A status of 200 starts the answer and breaks it with the error inside the stream. */
  | { kind: 'fail'; status: number; body?: object; headers?: Record<string, string> }
  /** Never answers. */
  | { kind: 'hang' }

export type ModelScript = readonly ModelStep[]

/** One request that a CLI made, as far as it was readable. */
interface ModelRequest {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: Record<string, unknown>
  /** The step it was answered with; absent for side requests, which take none. */
  step?: ModelStep
}

export interface ModelServer {
  /** `http://127.0.0.1:<port>`, without the `/v1`. */
  url: string
  /** Everything asked so far, oldest first; the first 1000 are kept. */
  requests: readonly ModelRequest[]
  /** Ends every connection, also the hanging ones. */
  close(): Promise<void>
}

const KEPT_REQUESTS = 1000
const MAX_BODY_BYTES = 32 * 1024 * 1024

/**
 * Starts a scripted model on a free loopback port. It speaks the OpenAI Responses API (`POST /v1/responses`,
 * codex) and the Anthropic Messages API (`POST /v1/messages`, claude), both as server-sent events.
 *
 * Each conversation (a session of a CLI; a resumed session is the same one) takes the script from its start,
 * one step for each request, and repeats the last step. A function gives the nth conversation, from 0, a
 * script of its own. Each answered step is accounted as 10 input and 5 output tokens.
 */
export async function startModelServer(
  script: ModelScript | ((conversation: number) => ModelScript),
): Promise<ModelServer> {
  const requests: ModelRequest[] = []
  const nextStep = stepTaker(script)

  const server = createServer((req, res) => {
    answer(req, res).catch((error: unknown) => res.destroy(error instanceof Error ? error : undefined))
  })

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = new URL(req.url ?? '/', 'http://model').pathname
    const body = await readJson(req)
    const request: ModelRequest = { method: req.method ?? '', path, headers: req.headers, body }
    if (requests.length < KEPT_REQUESTS) requests.push(request)

    const wire = req.method === 'POST' ? wires[path] : undefined
    if (wire !== undefined && isTurn(body)) {
      request.step = nextStep(wire.conversationOf(request))
      perform(request.step, { wire, res, body })
    } else if (wire !== undefined) {
      wire.say(openStream(res), 'A task', body)
      res.end()
    } else if (path === '/v1/messages/count_tokens') {
      sendJson(res, 200, { input_tokens: 10 })
    } else {
      sendJson(res, 404, { error: { type: 'not_found_error', message: `no ${req.method} ${path} here` } })
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function stepTaker(script: ModelScript | ((conversation: number) => ModelScript)) {
  const conversations = new Map<string, { steps: ModelScript; taken: number }>()
  return (id: string): ModelStep => {
    let conversation = conversations.get(id)
    if (conversation === undefined) {
      const steps = typeof script === 'function' ? script(conversations.size) : script
      conversation = { steps, taken: 0 }
      conversations.set(id, conversation)
    }
    const { steps } = conversation
    const step = steps[Math.min(conversation.taken++, steps.length - 1)]
    if (step === undefined) throw new Error('Expected a model script of at least one step, got an empty one')
    return step
  }
}

/** Both CLIs also ask for titles, summaries and the like: such requests offer no tools. */
function isTurn(body: Record<string, unknown>): boolean {
  return Array.isArray(body.tools) && body.tools.length > 0
}

function perform(
  step: ModelStep,
  { wire, res, body }: { wire: Wire; res: ServerResponse; body: Record<string, unknown> },
): void {
  switch (step.kind) {
    case 'run':
      wire.run(openStream(res), step.command, body)
      res.end()
      return
    case 'say':
      wire.say(openStream(res), step.text, body)
      res.end()
      return
    case 'fail': {
      const error = step.body ?? wire.error(step.status)
      if (step.status === 200) {
        wire.breakOff(openStream(res), error)
        res.end()
      } else {
        sendJson(res, step.status, error, step.headers)
      }
      return
    }
    case 'hang':
      return
  }
}

type Send = (event: { type: string } & Record<string, unknown>) => void

/** How one API says the same things. */
interface Wire {
  conversationOf(request: ModelRequest): string
  run(send: Send, command: string, body: Record<string, unknown>): void
  say(send: Send, text: string, body: Record<string, unknown>): void
  breakOff(send: Send, error: object): void
  error(status: number): object
}

let ids = 0

/**
 * codex 0.169: the shell tool is a function `exec_command` with `{cmd}`; the header `session-id` carries the
 * thread id. https://platform.openai.com/docs/api-reference/responses-streaming
 */
const openaiResponses: Wire = {
  conversationOf: ({ headers, body }) => String(headers['session-id'] ?? body.prompt_cache_key ?? ''),
  run: (send, command) =>
    sendResponse(send, {
      type: 'function_call',
      id: `fc_${++ids}`,
      call_id: `call_${ids}`,
      name: 'exec_command',
      arguments: JSON.stringify({ cmd: command }),
    }),
  say: (send, text) =>
    sendResponse(send, {
      type: 'message',
      id: `msg_${++ids}`,
      role: 'assistant',
      content: [{ type: 'output_text', text }],
    }),
  breakOff: (send, error) => {
    const id = `resp_${++ids}`
    send({ type: 'response.created', response: { id } })
    send({ type: 'response.failed', response: { id, status: 'failed', ...error } })
  },
  error: (status) => ({ error: { type: 'scripted_error', code: `status_${status}`, message: 'scripted' } }),
}

function sendResponse(send: Send, item: Record<string, unknown>): void {
  const id = `resp_${++ids}`
  send({ type: 'response.created', response: { id } })
  send({ type: 'response.output_item.done', output_index: 0, item })
  const usage = {
    input_tokens: 10,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 15,
  }
  send({ type: 'response.completed', response: { id, usage } })
}

/**
 * claude 2.1: the shell tool is `Bash` with `{command}`; the header `x-claude-code-session-id` carries the
 * session id. https://platform.claude.com/docs/en/build-with-claude/streaming
 */
const anthropicMessages: Wire = {
  conversationOf: ({ headers }) => String(headers['x-claude-code-session-id'] ?? ''),
  run: (send, command, body) => {
    const block = { type: 'tool_use', id: `toolu_${++ids}`, name: 'Bash', input: {} }
    const input = { command, description: 'Run the scripted command' }
    const delta = { type: 'input_json_delta', partial_json: JSON.stringify(input) }
    sendMessage(send, { model: body.model, block, delta, stopReason: 'tool_use' })
  },
  say: (send, text, body) => {
    const block = { type: 'text', text: '' }
    const delta = { type: 'text_delta', text }
    sendMessage(send, { model: body.model, block, delta, stopReason: 'end_turn' })
  },
  breakOff: (send, error) => send({ type: 'error', ...error }),
  error: (status) => ({
    type: 'error',
    error: { type: anthropicErrors[status] ?? 'api_error', message: 'scripted' },
  }),
}

/** https://platform.claude.com/docs/en/api/errors */
const anthropicErrors: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}

function sendMessage(
  send: Send,
  { model, block, delta, stopReason }: { model: unknown; block: object; delta: object; stopReason: string },
): void {
  const usage = { input_tokens: 10, output_tokens: 1 }
  const message = { id: `msg_${++ids}`, type: 'message', role: 'assistant', model, content: [] }
  send({ type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null, usage } })
  send({ type: 'content_block_start', index: 0, content_block: block })
  send({ type: 'content_block_delta', index: 0, delta })
  send({ type: 'content_block_stop', index: 0 })
  send({
    type: 'message_delta',
    delta: { stop_reason: stopReason, stop_sequence: null },
    usage: { output_tokens: 5 },
  })
  send({ type: 'message_stop' })
}

const wires: Readonly<Record<string, Wire>> = {
  '/v1/responses': openaiResponses,
  '/v1/messages': anthropicMessages,
}

/** https://html.spec.whatwg.org/multipage/server-sent-events.html */
function openStream(res: ServerResponse): Send {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  return (event) => res.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
}

function sendJson(
  res: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  res.writeHead(status, { 'content-type': 'application/json', ...headers })
  res.end(JSON.stringify(body))
}

async function readJson(req: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_BODY_BYTES) throw new Error(`Expected a request of at most ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>
  } catch {
    return {}
  }
}
