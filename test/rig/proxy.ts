import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { type Deferred, deferred } from '../../src/base/deferred.ts'
import { CommandReader, type Sent } from './command-reader.ts'

export type { Sent }

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
  /** 0 where it listens on a unix socket. */
  readonly port: number
  /** What clients sent, in the order in which it came through. */
  readonly sent: Sent[]
  /**
   * From now on nothing passes on the connections that are open, or on those whose last command is `only`: they stay open and silent, and
   * no end learns that the other one closed. New ones work, unless `andNewOnes`.
   */
  blackHole(which?: { only?: Match; andNewOnes?: boolean }): void
  /** What was kept back by the black hole arrives, as a network delivers it that is whole again; what was to be held or lost passes. */
  heal(): void
  /** Closes the connections that are open. */
  cut(): void
  /** Holds the next command that matches: the server does not get it before it is released. */
  hold(match: Match): Held
  /**
   * Lets the next command that matches through and loses its reply: all of it, or what is behind the first `bytes` of it. Then the
   * connection is closed. Settles when it is done. With `about`, the next reply that contains this text is meant, also to a command that
   * waits already.
   */
  loseReply(match: Match, bytes?: number, about?: string): Promise<void>
  /** The same, but the connection stays open, and silent: nobody learns that the reply is lost. */
  swallowReply(match: Match, about?: string): Promise<void>
  /** How many connections were made. */
  readonly connections: number
  close(): Promise<void>
}

/** Starts a proxy on a port, or on the unix socket `path`. `delayMs` is added to every piece of data, each way. */
export async function startProxy(
  to: { path: string } | { host: string; port: number },
  { delayMs = 0, path }: { delayMs?: number; path?: string } = {},
): Promise<RedisProxy> {
  const sent: Sent[] = []
  const pairs = new Set<Pair>()
  const traps: Trap[] = []
  let connections = 0
  let isDark = false
  const listener = createServer((client) => {
    connections += 1
    const pair = new Pair(client, connect(to), delayMs)
    if (isDark) pair.darken()
    pairs.add(pair)
    pair.onGone = () => pairs.delete(pair)
    pair.onCommand = (command) => {
      sent.push(command)
      const at = traps.findIndex(({ match }) => match(command))
      if (at >= 0) traps.splice(at, 1)[0]?.spring(pair, command)
    }
  })
  const cut = () => {
    for (const { client } of pairs) client.destroy()
  }
  if (path === undefined) listener.listen(0, '127.0.0.1')
  else listener.listen(path)
  await once(listener, 'listening')
  const lose = async (match: Match, how: Omit<Loss, 'done'>) => {
    const done = deferred()
    const spring = (pair: Pair) => {
      pair.loss = { ...how, done }
    }
    const waits = how.about === '' ? null : [...pairs].find(({ last }) => match(last))
    if (waits) spring(waits)
    else traps.push({ match, spring })
    await done.promise
  }
  const address = listener.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    sent,
    blackHole({ only = () => true, andNewOnes = false } = {}) {
      isDark = andNewOnes
      for (const pair of pairs) if (only(pair.last)) pair.darken()
    },
    heal() {
      isDark = false
      traps.length = 0
      for (const pair of pairs) pair.lighten()
    },
    cut,
    hold(match) {
      const arrived = deferred<Sent>()
      let release: Held['release'] = () => undefined
      const spring = (pair: Pair, command: Sent) => {
        pair.hold()
        release = () => pair.release()
        arrived.resolve(command)
      }
      traps.push({ match, spring })
      return { arrived: arrived.promise, release: () => release() }
    },
    loseReply: (match, bytes = 0, about = '') => lose(match, { bytes, about, andClose: true }),
    swallowReply: (match, about = '') => lose(match, { bytes: 0, about, andClose: false }),
    get connections() {
      return connections
    },
    async close() {
      for (const pair of pairs) pair.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

/** Springs at the first command that matches. */
interface Trap {
  readonly match: Match
  readonly spring: (pair: Pair, command: Sent) => void
}

/** The next reply with `about` in it gets no further than so many bytes. */
interface Loss {
  readonly bytes: number
  readonly about: string
  readonly andClose: boolean
  readonly done: Deferred<void>
}

/** A client, and its connection to the server. */
class Pair {
  readonly client: Socket
  readonly server: Socket
  loss: Loss | null = null
  last: Sent = []
  onCommand: (command: Sent) => void = () => undefined
  onGone: () => void = () => undefined
  /** What the client sent since a command is held. */
  #held: Buffer[] | null = null
  /** What would have passed since it is dark, and who closed. */
  #dark: (() => void)[] | null = null

  constructor(client: Socket, server: Socket, delayMs: number) {
    this.client = client
    this.server = server
    const reader = new CommandReader((command) => {
      this.last = command
      this.onCommand(command)
    })
    const pass = (from: Socket, take: (data: Buffer) => void) => {
      from.on('data', (data: Buffer) => {
        if (from === client) reader.push(data)
        const forward = () => this.#unlessDark(() => take(data))
        if (delayMs === 0) forward()
        else setTimeout(forward, delayMs)
      })
      from.on('error', () => undefined)
      from.on('close', () => this.#unlessDark(() => this.destroy()))
    }
    pass(client, (data) => this.#toServer(data))
    pass(server, (data) => this.#toClient(data))
  }

  darken(): void {
    this.#dark ??= []
  }

  lighten(): void {
    const kept = this.#dark ?? []
    this.#dark = null
    for (const go of kept) go()
  }

  hold(): void {
    this.#held = []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const data of held) this.#toServer(data)
  }

  destroy(): void {
    this.client.destroy()
    this.server.destroy()
    this.onGone()
  }

  #unlessDark(go: () => void): void {
    if (this.#dark) this.#dark.push(go)
    else go()
  }

  #toServer(data: Buffer): void {
    if (this.#held) this.#held.push(data)
    else if (!this.server.destroyed) this.server.write(data)
  }

  #toClient(data: Buffer): void {
    const { loss } = this
    // Of a script that the server does not know yet the text follows, and its reply is the one that is meant.
    if (!loss || !data.includes(loss.about) || data.includes('-NOSCRIPT')) {
      if (!this.client.destroyed) this.client.write(data)
      return
    }
    this.loss = null
    if (loss.andClose) {
      this.server.destroy()
      this.client.end(data.subarray(0, loss.bytes))
    } else this.darken()
    loss.done.resolve()
  }
}
