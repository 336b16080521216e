import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type Deferred, deferred } from '../../src/base/deferred.ts'

/** One command that a client sent: its words, as texts. */
export type Sent = readonly string[]

/** Says whether a command is meant. */
export type Match = (command: Sent) => boolean

/** A command that a proxy has in its hand, with all that came behind it on its connection. */
interface Held {
  /** Settles when the command is there. */
  readonly arrived: Promise<Sent>
  /** Lets everything go on. */
  release(): void
}

/** A proxy before a Redis: it delays, holds, loses and cuts what goes through it, and knows what was asked. */
export interface RedisProxy {
  readonly port: number
  /** What clients sent, in the order in which it came through. */
  readonly sent: Sent[]
  /** From now on nothing passes on the connections that are open: they stay open and silent. New ones work. */
  blackHole(): void
  /** Closes the connections that are open. */
  cut(): void
  /** Holds the next command that matches: the server does not get it before it is released. */
  hold(match: Match): Held
  /**
   * Lets the next command that matches through and loses its reply: all of it, or what is behind the first `bytes` of it. Then the
   * connection is closed. Settles when it is done.
   */
  loseReply(match: Match, bytes?: number): Promise<void>
  /** Forgets what was to be held or lost and closes the connections that are open: new ones work. */
  heal(): void
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
  const pairs = new Set<Pair>()
  const traps: Trap[] = []
  let connections = 0
  const listener = createServer((client) => {
    connections += 1
    const server = connect(to)
    const pair: Pair = { client, server, silent: false, held: null, loss: null }
    pairs.add(pair)
    const reader = new CommandReader((command) => {
      sent.push(command)
      const at = traps.findIndex(({ match }) => match(command))
      if (at >= 0) traps.splice(at, 1)[0]?.spring(pair, command)
    })
    const pass = (from: Socket, into: Socket, see?: (data: Buffer) => void) => {
      from.on('data', (data: Buffer) => {
        see?.(data)
        const forward = () => {
          if (pair.silent || into.destroyed) return
          if (from === client && pair.held) pair.held.push(data)
          else if (from === server && pair.loss) loseNow(pair, data)
          else into.write(data)
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
  const cut = () => {
    for (const { client } of pairs) client.destroy()
  }
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as { port: number }).port,
    sent,
    blackHole() {
      for (const pair of pairs) pair.silent = true
    },
    cut,
    hold(match) {
      const arrived = deferred<Sent>()
      let release: Held['release'] = () => undefined
      const spring = (pair: Pair, command: Sent) => {
        pair.held = []
        release = () => {
          const { held } = pair
          pair.held = null
          for (const data of held ?? []) if (!pair.server.destroyed) pair.server.write(data)
        }
        arrived.resolve(command)
      }
      traps.push({ match, spring })
      return { arrived: arrived.promise, release: () => release() }
    },
    async loseReply(match, bytes = 0) {
      const done = deferred()
      const spring = (pair: Pair) => {
        pair.loss = { bytes, done }
      }
      traps.push({ match, spring })
      await done.promise
    },
    heal() {
      traps.length = 0
      cut()
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

/** A client, and its connection to the server. */
interface Pair {
  readonly client: Socket
  readonly server: Socket
  silent: boolean
  /** What the client sent since a command is held. */
  held: Buffer[] | null
  /** The next reply gets no further than so many bytes. */
  loss: { readonly bytes: number; readonly done: Deferred<void> } | null
}

/** Springs at the first command that matches. */
interface Trap {
  readonly match: Match
  readonly spring: (pair: Pair, command: Sent) => void
}

function loseNow({ client, server, loss }: Pair, reply: Buffer): void {
  server.destroy()
  client.end(reply.subarray(0, loss?.bytes))
  loss?.done.resolve()
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
