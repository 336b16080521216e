import { connect } from 'node:net'

/** Where a Redis listens: a unix socket, or a host and port without TLS. */
export type Endpoint = { path: string } | { host: string; port: number }

/** What one command got: the first reply, or why there was none. */
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
 * Sends one command over its own connection and returns the first reply; a bulk string is returned whole, of an array only the
 * header. Resolves for every way the server can answer or stay away; throws `signal.reason` when aborted.
 */
export function exchange(endpoint: Endpoint, args: readonly string[], deadline: Deadline): Promise<Exchange> {
  const { timeoutMs, signal } = deadline
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const socket = connect(endpoint)
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
    socket.on('connect', () => socket.write(encodeCommand(args)))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      const reply = decodeReply(received)
      if (reply) end(reply)
    })
    socket.on('error', (error) => end(fromError(error)))
    socket.on('close', () => end({ kind: 'closed' }))
  })
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

/** The first reply in `received`, or null while it is incomplete. */
function decodeReply(received: Buffer): Exchange | null {
  const lineEnd = received.indexOf('\r\n')
  if (lineEnd < 0) return null
  const line = received.toString('utf8', 0, lineEnd)
  if (!line.startsWith('$')) return { kind: 'reply', text: line.slice(1), isError: line.startsWith('-') }
  const start = lineEnd + 2
  const length = Math.max(0, Number(line.slice(1)))
  if (received.length < start + length) return null
  return { kind: 'reply', text: received.toString('utf8', start, start + length), isError: false }
}
