import { z } from 'zod'
import { unlessAborted } from '../base/abort.ts'
import { isFolder } from '../config/folders.ts'
import { expected, shown } from '../config/problem.ts'
import { hasPassword, redactUrl } from '../config/redis-url.ts'
import * as schema from '../config/schemas.ts'
import type { Agent } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import { RECORD_FORMATS, type RecordFormat } from '../domain/record-format.ts'
import type { PlacedEvent } from '../store/events.ts'
import { findOldKeys, OLD_KEYS_REMEDY, oldKeysSentence } from '../store/old-keys.ts'
import { spawnAgent } from '../store/write.ts'
import { AgentHandle } from './agent-handle.ts'
import { checkedObject } from './arguments.ts'
import { Channel } from './channel.ts'
import { Connections } from './connections.ts'
import { type Context, contextOf, requireTown } from './context.ts'
import type { EventStreamOptions } from './event-stream.ts'
import { findMailbox } from './find.ts'
import { makeTown } from './make-town.ts'
import { type OpenTown, openTown } from './open-town.ts'

export interface OpenTownOptions {
  /** The variables that are looked at: `REDIS_URL`, `TINYTOWN_…`. Default: those of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Ends the opening, which then throws the signal's reason. */
  readonly signal?: AbortSignal
}

/** What a new town should be. All of it is written into its tinytown.toml. */
export interface NewTownConfig {
  /** The folder of the town; it is made where it is not there. */
  readonly root: string
  /** The name of the town, which is part of every key: no spaces, `:`, or glob characters. */
  readonly name: string
  /** The CLI of workers that are told no other. */
  readonly defaultCli?: string
  /** A Redis that runs elsewhere, without a password: one with a password is given as `REDIS_URL`. */
  readonly redisUrl?: string
  /** Whether the town's own redis-server keeps an append-only file. Default: snapshots only. */
  readonly redisPersist?: boolean
  /** The form of new records. Default `hash`. */
  readonly recordFormat?: RecordFormat
}

/** What holds in a town. */
export interface TownConfig {
  readonly name: string
  /** Absolute, without symbolic links. */
  readonly root: string
  /** The path of its tinytown.toml, or null. */
  readonly file: string | null
  /** Where Redis is, without the password. */
  readonly redis: string
  readonly recordFormat: RecordFormat
  readonly defaultCli: string | undefined
}

/**
 * A town: its folder, its Redis and its agents. Its own redis-server is started, or adopted, as a worker does it; it goes on when
 * the town is closed.
 */
export class Town implements AsyncDisposable {
  readonly #open: OpenTown
  readonly #connections: Connections
  readonly #channel: Channel
  /** The settings that hold: tinytown.toml, overridden by the environment. */
  readonly config: TownConfig
  /** What is worth telling of the settings, and of keys in Redis that are no town's, a sentence each. */
  readonly warnings: readonly string[]

  private constructor(open: OpenTown, context: Context, warnings: readonly string[]) {
    const { settings, place, target } = context
    const connect = (purpose: string) => open.connect(purpose, { lasting: true })
    this.#open = open
    this.#connections = new Connections(connect)
    this.#channel = new Channel(open.redis, open.keys.town, { recordFormat: settings.recordFormat, connect })
    this.warnings = warnings
    this.config = {
      name: context.townName,
      root: place.root,
      file: place.file,
      redis: target.address.shown,
      recordFormat: settings.recordFormat,
      defaultCli: settings.cli,
    }
  }

  /**
   * Makes a town in the folder `root`, with a tinytown.toml and `.tt/agents`, `.tt/logs` and `.tt/tasks`, and opens it. What is
   * there already stays as it is; a folder whose town has another name is refused (`config`).
   */
  static async init(root: string, options: Omit<NewTownConfig, 'root'> & OpenTownOptions): Promise<Town> {
    const { env, signal, ...config } = checkedObject('the options', options)
    return await Town.initWithConfig({ root, ...config }, { ...(env && { env }), ...(signal && { signal }) })
  }

  /** Makes a town as `init` does, from all that there is to say of it, and opens it. Throws `usage` for a value that breaks its rule. */
  static async initWithConfig(config: NewTownConfig, options: OpenTownOptions = {}): Promise<Town> {
    const {
      root,
      name,
      defaultCli: cli,
      redisUrl,
      redisPersist,
      recordFormat,
    } = checkedObject('the options', config)
    checkValue('root', root, schema.text)
    checkValue('name', name, schema.townName)
    if (cli !== undefined) checkValue('defaultCli', cli, schema.text)
    if (redisUrl !== undefined) checkRedisUrl(redisUrl)
    if (redisPersist !== undefined) checkValue('redisPersist', redisPersist, z.boolean('true or false'))
    if (recordFormat !== undefined) checkValue('recordFormat', recordFormat, schema.oneOf(RECORD_FORMATS))
    const made = await makeTown(root, { name, cli, redisUrl, redisPersist, recordFormat }, null)
    if (made.name !== name) throw otherName(made.folder, name, `${made.name} (tinytown.toml)`)
    const context = contextAt(made.folder, options)
    if (context.townName !== name)
      throw otherName(made.folder, name, `${context.townName} (${context.sources.townName.name})`)
    return await Town.#openAt(context, options)
  }

  /**
   * Opens the town in the folder `root`, as a worker would: with its tinytown.toml, overridden by the environment. Throws
   * `not-found` where there is no town, and the `redis-…` codes when its Redis cannot be started or reached.
   */
  static async connect(root: string, options: OpenTownOptions = {}): Promise<Town> {
    checkValue('root', root, schema.text)
    if (!isFolder(root)) throw new WorkerError('not-found', `There is no folder ${root}`)
    const context = contextAt(root, options)
    requireTown(context, 'Make one with Town.init')
    return await Town.#openAt(context, options)
  }

  /** The signal is for the opening alone; connections are made later as well. */
  static async #openAt(context: Context, { signal }: OpenTownOptions): Promise<Town> {
    const opening = new AbortController()
    const onAbort = () => opening.abort(signal?.reason)
    signal?.throwIfAborted()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      const open = await openTown(context, { purpose: 'library', lasting: false, signal: opening.signal })
      const old = await unlessAborted(oldKeysOf(open), opening.signal).catch(async (error) => {
        await open.close()
        throw error
      })
      const warnings = [...context.warnings, ...open.server.warnings, ...old]
      return new Town(open, context, warnings)
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  get name(): string {
    return this.config.name
  }

  /** The folder of the town: absolute, without symbolic links. */
  get root(): string {
    return this.config.root
  }

  /** The messages and records of the town. Closed with it. */
  channel(): Channel {
    return this.#channel
  }

  /**
   * Makes the record of an agent, in the state `starting`; a worker that is started with its name takes it over. No process is
   * started. The id of a name whose record was deleted is used again, and with it its inbox.
   *
   * Throws `usage` for a name that breaks the rule or is reserved (supervisor, conductor), `name-in-use` for one that is there.
   */
  async spawnAgent(name: string, cli: string): Promise<AgentHandle> {
    checkValue('name', name, schema.agentName)
    checkValue('cli', cli, schema.text)
    const { redis, keys } = this.#open
    return this.#handle(await this.#connections.run(() => spawnAgent(redis, keys, { name, cli })))
  }

  /**
   * The agent that `reference` means, in any case: its whole id, name, nickname, or the first four digits of its id. `supervisor` and
   * `conductor` mean the well-known mailbox. Throws `not-found`, naming the agents that are there, or the candidates when it
   * means more than one.
   */
  async agent(reference: string): Promise<AgentHandle> {
    checkValue('reference', reference, schema.text)
    const { redis, keys } = this.#open
    return this.#handle((await this.#connections.run(() => findMailbox(redis, keys, reference))).id)
  }

  /** All agents of the town, by name. */
  async listAgents(): Promise<Agent[]> {
    return await this.#channel.listAgents()
  }

  /** The events of the town as they come, as `Channel.eventStream` gives them. */
  eventStream(options: EventStreamOptions = {}): AsyncGenerator<PlacedEvent, never, undefined> {
    return this.#channel.eventStream(options)
  }

  /** Ends what waits (`closed`) and closes every connection. The town's redis-server goes on. */
  async close(): Promise<void> {
    await Promise.all([this.#channel.close(), this.#connections.close(`The town ${this.name}`)])
    await this.#open.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #handle(id: string): AgentHandle {
    return new AgentHandle({ open: this.#open, channel: this.#channel, connections: this.#connections }, id)
  }
}

/** What there is to say of keys that are no town's; nothing where this user may not look for them. */
async function oldKeysOf({ redis }: OpenTown): Promise<string[]> {
  const found = await findOldKeys(redis).catch(() => null)
  return found ? [`${oldKeysSentence(found)}. ${OLD_KEYS_REMEDY}`] : []
}

function contextAt(root: string, { env = process.env }: OpenTownOptions): Context {
  return contextOf({ flags: { town: root }, env, builtInClis: null })
}

function checkValue(key: string, value: unknown, rule: z.ZodType): void {
  const parsed = rule.safeParse(value)
  if (parsed.success) return
  throw new WorkerError('usage', expected(key, parsed.error.issues[0]?.message ?? 'valid', shown(value)))
}

function checkRedisUrl(url: string): void {
  checkValue('redisUrl', url, schema.redisUrl)
  if (!hasPassword(url)) return
  throw new WorkerError('usage', expected('redisUrl', 'without a password', redactUrl(url)), {
    remedy: 'tinytown.toml is a file that others read: give it as REDIS_URL',
  })
}

function otherName(folder: string, wanted: string, found: string): WorkerError {
  return new WorkerError('config', expected(`the town in ${folder}`, `named ${wanted}`, found), {
    remedy: 'Open it with Town.connect, or make the town in another folder',
  })
}
