import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { readTlsFiles, type TlsFiles } from '../config/tls-files.ts'

/** Where a Redis listens: a unix socket, or a host and port, maybe with TLS and a password. */
export type Endpoint =
  | { path: string }
  | { host: string; port: number; tls?: TlsFiles | null; password?: string }

/** What one command got: the reply, or why there was none. */
export type Exchange =
  | { kind: 'reply'; text: string; isError: boolean }
  | { kind: 'refused' }
  | { kind: 'timeout' }
  | { kind: 'closed' }
  | { kind: 'failed'; text: string }

export interface Deadline {
  /** Milliseconds from connect to reply. */
  timeoutMs: number
  signal?: AbortSignal | undefined
}

// No socket file, no folder for one, and a socket file or port that nobody listens on, mean the same: no server.
const NOBODY_LISTENS = new Set(['ENOENT', 'ENOTDIR', 'ECONNREFUSED'])
// A process that dies takes connections until its last thread is gone.
const HUNG_UP = new Set(['ECONNRESET', 'EPIPE'])

/**
 * Sends one command over its own connection, after the login where there is a password, and returns the reply; a bulk string is
 * returned whole, of an array only the header. A login that is refused is the reply. Resolves for every way the server can
 * answer or stay away; throws `signal.reason` when aborted, and `config` for TLS files that cannot be used.
 */
export async function exchange(
  endpoint: Endpoint,
  args: readonly string[],
  deadline: Deadline,
): Promise<Exchange> {
  const { timeoutMs, signal } = deadline
  signal?.throwIfAborted()
  const password = 'host' in endpoint ? endpoint.password : undefined
  const commands = password === undefined ? [args] : [['AUTH', password], args]
  const { socket, ready } = open(endpoint)
  return await new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      socket.destroy()
      settle()
    }
    const end = (result: Exchange) => finish(() => resolve(result))
    const onAbort = () => finish(() => reject(signal?.reason))
    const timer = setTimeout(() => end({ kind: 'timeout' }), timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })

    let received = Buffer.alloc(0)
    socket.on(ready, () => socket.write(commands.map(encodeCommand).join('')))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const reply = decodeLast(received, commands.length)
      if (reply) end(reply)
    })
    socket.on('error', (error) => end(fromError(error)))
    socket.on('close', () => end({ kind: 'closed' }))
  })
}

function open(endpoint: Endpoint): { socket: Socket; ready: 'connect' | 'secureConnect' } {
  if ('path' in endpoint || !endpoint.tls) return { socket: connect(endpoint), ready: 'connect' }
  const { host, port, tls } = endpoint
  return { socket: connectTls({ host, port, ...readTlsFiles(tls) }), ready: 'secureConnect' }
}

function fromError(error: NodeJS.ErrnoException): Exchange {
  const code = error.code ?? ''
  if (NOBODY_LISTENS.has(code)) return { kind: 'refused' }
  if (HUNG_UP.has(code)) return { kind: 'closed' }
  return { kind: 'failed', text: error.message }
}

function encodeCommand(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`
}

type Reply = Extract<Exchange, { kind: 'reply' | 'failed' }>

/** The reply that counts, of as many as there will be: the last one, or a login that was refused. Null while it is incomplete. */
function decodeLast(received: Buffer, count: number): Reply | null {
  let rest = received
  for (let at = 1; ; at += 1) {
    const decoded = decodeReply(rest)
    if (decoded === null) return null
    const { reply, length } = decoded
    // A server without a password refuses one; nothing is lost by it.
    const isRefusal = reply.kind === 'failed' || (reply.isError && /^(?:WRONGPASS|NOAUTH)/.test(reply.text))
    if (at === count || isRefusal) return reply
    rest = rest.subarray(length)
  }
}

/** The first reply in `received` and how many bytes it takes, or null while it is incomplete. */
function decodeReply(received: Buffer): { reply: Reply; length: number } | null {
  const lineEnd = received.indexOf('\r\n')
  if (lineEnd < 0) return null
  const line = received.toString('utf8', 0, lineEnd)
  if (!/^[+\-:$*]/.test(line)) return { reply: { kind: 'failed', text: line }, length: lineEnd + 2 }
  const start = lineEnd + 2
  if (!line.startsWith('$'))
    return { reply: { kind: 'reply', text: line.slice(1), isError: line.startsWith('-') }, length: start }
  const length = Math.max(0, Number(line.slice(1)))
  if (received.length < start + length) return null
  return {
    reply: { kind: 'reply', text: received.toString('utf8', start, start + length), isError: false },
    length: start + length + 2,
  }
}
