import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis'
import { sleep } from '../base/clock.ts'
import { type HostPort, hostPortText, type RedisLogin } from '../config/redis-url.ts'
import type { TlsTexts } from '../config/tls-files.ts'
import { messageOf } from '../domain/errors.ts'

interface SlotOptions {
  /** The nodes that are asked first. */
  readonly nodes: readonly HostPort[]
  /** The slot of this key is the one that counts. */
  readonly key: string
  readonly login: RedisLogin
  readonly tls: TlsTexts | null
  /** How long one node may take to answer, in milliseconds. */
  readonly askMs: number
  /** How long to wait when no node knows; null gives up. */
  readonly retryStrategy: (times: number) => number | null
}

type Connector = NonNullable<RedisOptions['Connector']>

/**
 * Connects a plain client to the node of a Redis Cluster that holds one slot, and after a failover or a resharding to the node
 * that holds it then. A town has all its keys in one slot, so one connection reaches everything, and what a client for the whole
 * Cluster cannot do works: to block, to subscribe, to scan, to unblock by client id.
 */
export function slotConnector(options: SlotOptions): {
  Connector: Connector
  isMoved: (error: Error) => boolean
} {
  const map = new SlotMap(options)
  class SlotConnector extends AbstractConnector {
    constructor(given: unknown) {
      super((given as { disconnectTimeout: number }).disconnectTimeout)
    }

    override async connect(emit: (type: string, error: Error) => void): Promise<Socket> {
      this.connecting = true
      const owner = await this.#owner(emit)
      const { host, port } = owner
      const stream = options.tls ? connectTls({ host, port, ...options.tls }) : connect({ host, port })
      stream.once('error', (error) => {
        this.firstError = error
      })
      this.stream = stream
      return stream
    }

    /** A client counts a connector that throws as closed for good, so it is asked here until somebody knows. */
    async #owner(emit: (type: string, error: Error) => void): Promise<HostPort> {
      for (let tries = 1; ; tries += 1) {
        try {
          const owner = await map.owner()
          if (this.connecting) return owner
        } catch (error) {
          const waitMs = options.retryStrategy(tries)
          if (waitMs === null) throw error
          emit('error', error as Error)
          await sleep(waitMs)
        }
        if (!this.connecting) throw new Error('Connection is closed.')
      }
    }

    /** A node that lost the slot's primary role is not the one. */
    override check(info: { role?: string }): boolean {
      return info.role === undefined || info.role === 'master'
    }
  }
  return { Connector: SlotConnector as unknown as Connector, isMoved: (error) => map.isMoved(error) }
}

/** Which node holds the slot, as the nodes tell it. */
class SlotMap {
  readonly #options: SlotOptions
  /** Those that answered last come first. */
  #nodes: HostPort[]
  #slot: number | null = null

  constructor(options: SlotOptions) {
    this.#options = options
    this.#nodes = [...options.nodes]
  }

  /** Asks one node after the other. Throws when none can tell. */
  async owner(): Promise<HostPort> {
    let last: unknown
    for (const node of [...this.#nodes]) {
      try {
        return await this.#ask(node)
      } catch (error) {
        last = error
      }
    }
    const asked = this.#nodes.map(hostPortText).join(', ')
    throw new Error(`No node of the Cluster can tell where the town is (${asked}): ${messageOf(last)}`, {
      cause: last,
    })
  }

  async #ask(node: HostPort): Promise<HostPort> {
    const { login, tls, askMs, key } = this.#options
    const asking = new Redis({
      ...node,
      ...login,
      ...(tls ? { tls } : {}),
      lazyConnect: true,
      enableReadyCheck: false,
      connectTimeout: askMs,
      commandTimeout: askMs,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    })
    let cause: unknown
    asking.on('error', (error) => {
      cause = error
    })
    try {
      await asking.connect()
      this.#slot = Number(await asking.cluster('KEYSLOT', key))
      return this.#learn(node, (await asking.cluster('SLOTS')) as SlotRange[])
    } catch (error) {
      throw cause ?? error
    } finally {
      asking.disconnect()
    }
  }

  #learn(asked: HostPort, ranges: readonly SlotRange[]): HostPort {
    const slot = this.#slot ?? 0
    const range = ranges.find(([from, to]) => from <= slot && slot <= to)
    if (!range) throw new Error(`CLUSTERDOWN Hash slot ${slot} is not served`)
    const hostOf = ([host, port]: SlotNode) => ({ host: host || asked.host, port })
    const known = ranges.flatMap(([, , ...nodes]) => nodes.map(hostOf))
    const [owner] = range.slice(2) as SlotNode[]
    if (!owner) throw new Error(`CLUSTERDOWN Hash slot ${slot} has no node`)
    // Every node that was ever named may be the one that is left.
    const texts = new Set([asked, ...known, ...this.#nodes].map(hostPortText))
    const all = [asked, ...known, ...this.#nodes]
    this.#nodes = [...texts].flatMap((text) => all.find((node) => hostPortText(node) === text) ?? [])
    return hostOf(owner)
  }

  /** Whether an error says that the slot is somewhere else now; keys of other slots are never ours. */
  isMoved({ message }: Error): boolean {
    const moved = /^MOVED (\d+) /.exec(message)
    return moved !== null && Number(moved[1]) === this.#slot
  }
}

type SlotNode = readonly [host: string | null, port: number, ...rest: unknown[]]
type SlotRange = readonly [from: number, to: number, ...nodes: SlotNode[]]
