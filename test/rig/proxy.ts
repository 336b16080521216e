import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** One command that a client sent: its words, as texts. */
export type Sent = readonly string[]

/** A proxy before a Redis: it delays, loses and cuts what goes through it, and knows what was asked. */
export interface RedisProxy {
  readonly port: number
  /** What clients sent, in the order in which it came through. */
  readonly sent: Sent[]
  /** From now on nothing passes on the connections that are open: they stay open and silent. New ones work. */
  blackHole(): void
  /** Closes the connections that are open. */
  cut(): void
  /** How many connections were made. */
  readonly connections: number
  close(): Promise<void>
}

/** Starts a proxy. `delayMs` is added to every piece of data, each way. */
export async function startProxy(
  to: { path: string } | { host: string; port: number },
  { delayMs = 0 }: { delayMs?: number } = {},
): Promise<RedisProxy> {
  const sent: Sent[] = []
  const pairs = new Set<{ client: Socket; server: Socket; silent: boolean }>()
  let connections = 0
  const listener = createServer((client) => {
    connections += 1
    const server = connect(to)
    const pair = { client, server, silent: false }
    pairs.add(pair)
    const reader = new CommandReader((command) => sent.push(command))
    const pass = (from: Socket, into: Socket, see?: (data: Buffer) => void) => {
      from.on('data', (data: Buffer) => {
        see?.(data)
        const forward = () => {
          if (!pair.silent && !into.destroyed) into.write(data)
        }
        if (delayMs === 0) forward()
        else setTimeout(forward, delayMs)
      })
      from.on('error', () => undefined)
      from.on('close', () => {
        pairs.delete(pair)
        into.destroy()
      })
    }
    pass(client, server, (data) => reader.push(data))
    pass(server, client)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as { port: number }).port,
    sent,
    blackHole() {
      for (const pair of pairs) pair.silent = true
    },
    cut() {
      for (const { client } of pairs) client.destroy()
    },
    get connections() {
      return connections
    },
    async close() {
      for (const { client, server } of pairs) for (const socket of [client, server]) socket.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

/** Reads the commands that a client sends (RESP arrays of bulk strings). */
class CommandReader {
  readonly #onCommand: (command: Sent) => void
  #rest = Buffer.alloc(0)

  constructor(onCommand: (command: Sent) => void) {
    this.#onCommand = onCommand
  }

  push(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data])
    for (;;) {
      const read = this.#read()
      if (read === null) return
      this.#onCommand(read.words)
      this.#rest = this.#rest.subarray(read.length)
    }
  }

  #read(): { words: string[]; length: number } | null {
    const header = this.#line(0)
    if (header === null) return null
    const words: string[] = []
    let at = header.end
    for (let count = Number(header.text.slice(1)); count > 0; count -= 1) {
      const size = this.#line(at)
      if (size === null) return null
      const end = size.end + Number(size.text.slice(1))
      if (this.#rest.length < end + 2) return null
      words.push(this.#rest.toString('utf8', size.end, end))
      at = end + 2
    }
    return { words, length: at }
  }

  #line(from: number): { text: string; end: number } | null {
    const end = this.#rest.indexOf('\r\n', from)
    return end < 0 ? null : { text: this.#rest.toString('latin1', from, end), end: end + 2 }
  }
}
