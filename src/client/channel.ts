import { hostname } from 'node:os'
import { brokenTownNameRule } from '../config/town-name.ts'
import type { Agent } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import type { EventType, TownEvent } from '../domain/event.ts'
import { shown } from '../domain/explain.ts'
import { type Id, SUPERVISOR_ID } from '../domain/ids.ts'
import { decodeMessage, type Message, type NewMessage, newMessage, proofread } from '../domain/message.ts'
import { RECORD_FORMATS, type RecordFormat } from '../domain/record-format.ts'
import type { Task } from '../domain/task.ts'
import { getAgent, listAgents } from '../store/agents.ts'
import {
  type BacklogClaim,
  type BacklogEntry,
  claimBacklogTask,
  countBacklog,
  listBacklog,
  popBacklog,
  pushBacklog,
  removeFromBacklog,
} from '../store/backlog.ts'
import { listen, publishMessage } from '../store/broadcast.ts'
import { duplicateRedis, type Redis } from '../store/connection.ts'
import { addEvent, type PlacedEvent, recentEvents } from '../store/events.ts'
import { type TownKeys, townKeys } from '../store/keys.ts'
import { peekMail, sendMessage } from '../store/mail.ts'
import { receiveMessage, takeMessage } from '../store/receive.ts'
import { serverTime } from '../store/server-info.ts'
import { clearStop, isStopRaised, noteActivity, raiseStop, readActivity } from '../store/signs.ts'
import { getTask, listTasks } from '../store/tasks.ts'
import { writeAgent, writeTask } from '../store/write.ts'
import {
  checkedAgent,
  checkedCount,
  checkedEvent,
  checkedId,
  checkedObject,
  checkedTask,
  checkedText,
  checkedTimeout,
} from './arguments.ts'
import { Connections } from './connections.ts'
import { type EventStreamOptions, streamEvents } from './event-stream.ts'
import { patienceFor } from './patience.ts'
import { Subscription } from './subscription.ts'
import { waitForTask } from './wait-task.ts'

/**
 * A connection of ioredis 5 or 6, of whatever copy: its commands are the same where Tinytown needs them. A cluster is
 * refused: the keys of a town may lie in several slots.
 */
export interface RedisConnection {
  readonly isCluster: boolean
  readonly status: string
  readonly options: { readonly keyPrefix?: string | undefined; readonly stringNumbers?: boolean | undefined }
  duplicate(options?: object): unknown
  disconnect(): void
  call(command: string, ...args: string[]): Promise<unknown>
}

export interface ChannelOptions {
  /** The form of new records: `hash`, as Tinytown 0.10 reads them, or `json`. Those that are there keep theirs. Default `hash`. */
  readonly recordFormat?: RecordFormat
  /** Makes one more connection, for a command that blocks. Default: like the one that the channel was given. */
  readonly connect?: (purpose: string) => Promise<RedisConnection>
}

/** How long a wait may take. Without `timeoutMs` there is no limit. */
export interface WaitOptions {
  /** Ends the wait, which then throws the signal's reason. */
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly timeoutMs?: number
}

/**
 * A message to send: a whole one, or what it says and whom it is for. The supervisor is its sender unless `from` says
 * otherwise, its time is that of the server, its priority `normal`.
 */
export type Outgoing = Message | (Omit<NewMessage, 'from' | 'createdAt'> & Partial<NewMessage>)

/** A message in an inbox, or the text of one that cannot be read and why. */
export type Peeked =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly error: string; readonly raw: string }

/**
 * The message transport and state store of a town: queues, broadcasts and records in Redis, in the wire format of Tinytown 0.10.
 *
 * A channel has no lease and asks for none: what it writes, it writes whoever else does. Every method rejects with `usage` for an
 * argument that breaks its rule, before anything is done, with `redis-unreachable` when Redis is away for longer than its connection
 * waits, and with `closed` after `close`. What Redis itself refuses is an error of ioredis.
 */
export class Channel<Connection extends RedisConnection = Redis> implements AsyncDisposable {
  /** The connection that the channel was made with. */
  readonly redis: Connection
  readonly #redis: Redis
  readonly #keys: TownKeys
  readonly #connections: Connections

  /**
   * A channel over a connection that the caller made and closes.
   *
   * @param redis a connection of ioredis; one with `keyPrefix` or `stringNumbers`, or of a cluster, is refused (`usage`)
   * @param town the name of the town, as it stands in the keys; one with spaces, `:` or glob characters is refused (`usage`)
   */
  constructor(redis: Connection, town: string, options: ChannelOptions = {}) {
    checkTownName(town)
    checkConnection(redis)
    const { recordFormat = 'hash' } = options
    if (!RECORD_FORMATS.includes(recordFormat))
      throw new WorkerError(
        'usage',
        `Expected recordFormat to be ${RECORD_FORMATS.join(' or ')}, got ${recordFormat}`,
      )
    const name = (purpose: string) => `tinytown-worker:${purpose}:${hostname()}:${process.pid}`
    this.redis = redis
    this.#redis = redis as unknown as Redis
    this.#keys = townKeys(town, recordFormat)
    const connect = options.connect ?? ((purpose: string) => duplicateRedis(this.#redis, name(purpose)))
    this.#connections = new Connections(async (purpose) => (await connect(purpose)) as unknown as Redis)
  }

  /** The name of the town. */
  get town(): string {
    return this.#keys.town
  }

  /** Does `work` over the connection of the channel. */
  async #do<T>(work: (redis: Redis, town: TownKeys) => Promise<T>): Promise<T> {
    return await this.#connections.run(() => work(this.#redis, this.#keys))
  }

  // Messages

  /**
   * Puts a message into its receiver's inbox: `urgent` and `high` at the head, `normal` and `low` at the tail. Returns the message
   * as it was sent. Throws `usage`, naming the field, for one that could not be read.
   */
  async send(message: Outgoing): Promise<Message> {
    const whole = await this.#complete(message)
    await this.#do((redis, town) => sendMessage(redis, town, whole))
    return whole
  }

  /** Puts a message into the list that is emptied before the inbox, as `tt send --urgent` does, whatever its priority. */
  async sendUrgent(message: Outgoing): Promise<Message> {
    const whole = await this.#complete(message)
    await this.#do((redis, town) => sendMessage(redis, town, whole, { urgentList: true }))
    return whole
  }

  /**
   * Takes the next message of an inbox, waiting at most `timeoutMs` milliseconds (0: not at all); null when none came. Waits with
   * BLPOP on a connection of its own. One that cannot be read goes to the dead letters, with its text and the reason. A Redis that
   * says nothing is given up a second after the time is over, or the signal aborted.
   *
   * What was taken is the caller's: when the caller dies, it is gone (at most once). A worker claims its messages instead.
   */
  async receive(
    agentId: Id,
    timeoutMs: number,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Message | null> {
    const id = checkedId('agent', agentId)
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0))
      throw new WorkerError('usage', `Expected timeoutMs to be 0 or more milliseconds, got ${timeoutMs}`)
    const until = this.#connections.until(signal)
    const patience = patienceFor(timeoutMs, until)
    try {
      return await this.#do((redis, town) =>
        this.#connections.lend('receive', patience.late, (blocking) =>
          receiveMessage({ redis, blocking, town }, id, patience),
        ),
      )
    } catch (error) {
      if (error !== patience.late.reason) throw error
      until.throwIfAborted()
      return null
    } finally {
      patience.release()
    }
  }

  /** Takes the next message of an inbox; null when there is none. Unreadable ones go to the dead letters in the same step. */
  async tryReceive(agentId: Id): Promise<Message | null> {
    const box = { agentId: checkedId('agent', agentId), list: 'inbox' } as const
    return await this.#do((redis, town) => takeMessage(redis, town, box))
  }

  /** Takes all urgent messages of an agent, the newest first, as upstream does. Unreadable ones go to the dead letters. */
  async receiveUrgent(agentId: Id): Promise<Message[]> {
    const box = { agentId: checkedId('agent', agentId), list: 'urgent' } as const
    const messages: Message[] = []
    for (;;) {
      const message = await this.#do((redis, town) => takeMessage(redis, town, box))
      if (message === null) return messages
      messages.push(message)
    }
  }

  /** How many messages wait in an inbox; the urgent list is not counted. */
  async inboxLen(agentId: Id): Promise<number> {
    const id = checkedId('agent', agentId)
    return await this.#do((redis, town) => redis.llen(town.agent(id).inbox))
  }

  /** The messages of an inbox from its head, at most `count`; all without it. Takes nothing. */
  async peekInbox(agentId: Id, count?: number): Promise<Peeked[]> {
    const id = checkedId('agent', agentId)
    const limit = count === undefined ? {} : { count: checkedCount('count', count) }
    const raws = await this.#do((redis, town) => peekMail(redis, town, id, limit))
    return raws.map((raw) => {
      const decoded = decodeMessage(raw)
      return decoded.ok ? decoded : { ...decoded, raw }
    })
  }

  /**
   * Tells a message to everybody who listens now: subscriptions, and workers, which take it into their inboxes. Returns how many
   * connections heard it.
   */
  async broadcast(
    message: Omit<NewMessage, 'from' | 'to' | 'createdAt'> & Partial<NewMessage>,
  ): Promise<number> {
    const whole = await this.#complete({ to: SUPERVISOR_ID, ...checkedObject('the message', message) })
    return await this.#do((redis, town) => publishMessage(redis, town, whole))
  }

  /**
   * Hears the broadcasts of the town, and those of `tt:broadcast`, which Tinytown's guide documents, from the moment on in which the
   * promise resolves. `onUnreadable` gets the text of a message that cannot be read; without it such a one is passed over.
   */
  async subscribe({
    onUnreadable,
  }: {
    onUnreadable?: (raw: string, reason: string) => void
  } = {}): Promise<Subscription> {
    const redis = await this.#do(() => this.#connections.make('subscribe'))
    const close = () => subscription.close()
    const subscription = new Subscription(() => {
      this.#connections.closing.removeEventListener('abort', close)
      this.#connections.drop(redis)
    })
    this.#connections.closing.addEventListener('abort', close, { once: true })
    try {
      const onRaw = (raw: string) => {
        const decoded = decodeMessage(raw)
        if (decoded.ok) subscription.push(decoded.message)
        else onUnreadable?.(raw, decoded.error)
      }
      await this.#do((_, town) => listen(redis, town, onRaw))
      return subscription
    } catch (error) {
      subscription.close()
      throw error
    }
  }

  async #complete(message: Outgoing): Promise<Message> {
    const given = checkedObject('the message', message)
    const createdAt = given.createdAt ?? NOT_YET
    const read = proofread(newMessage({ from: SUPERVISOR_ID, ...given, createdAt }))
    if (!read.ok) throw new WorkerError('usage', read.error)
    return createdAt === NOT_YET ? { ...read.message, createdAt: await this.#do(serverTime) } : read.message
  }

  // Records

  /**
   * Writes the whole record of an agent: fields of Tinytown that are undefined are absent then, fields that nobody here knows and
   * those of a running worker (`host`, `pid` …) stay. A record keeps its form. A change of the state is told as an event.
   *
   * Throws `usage` for an id that is none, `config` when the key holds something else.
   */
  async setAgentState(agent: Agent): Promise<void> {
    const whole = checkedAgent(agent)
    await this.#do((redis, town) => writeAgent(redis, town, whole))
  }

  /** The agent with this id, or null. */
  async getAgentState(agentId: Id): Promise<Agent | null> {
    const id = checkedId('agent', agentId)
    return await this.#do((redis, town) => getAgent(redis, town, id))
  }

  /** All agents of the town, by name, found with SCAN. */
  async listAgents(): Promise<Agent[]> {
    return await this.#do(listAgents)
  }

  /** Writes the whole record of a task, by the rules of `setAgentState`. No transition is checked: any state may be written. */
  async setTask(task: Task): Promise<void> {
    const whole = checkedTask(task)
    await this.#do((redis, town) => writeTask(redis, town, whole))
  }

  /** The task with this id, or null. */
  async getTask(taskId: Id): Promise<Task | null> {
    const id = checkedId('task', taskId)
    return await this.#do((redis, town) => getTask(redis, town, id))
  }

  /** All tasks of the town, newest first, found with SCAN. */
  async listTasks(): Promise<Task[]> {
    return await this.#do(listTasks)
  }

  /**
   * Waits until a task has completed, failed or was cancelled, and returns it. Woken by the town's events; a change that has none is
   * seen within five seconds. Throws `timeout`, `not-found` when the task is gone, and the signal's reason.
   */
  async waitForTask(taskId: Id, { signal, timeoutMs }: WaitOptions = {}): Promise<Task> {
    const id = checkedId('task', taskId)
    const limit = checkedTimeout(timeoutMs)
    const until = this.#connections.until(signal)
    const end = await this.#do((_, town) =>
      this.#connections.spend('wait', until, (redis) =>
        waitForTask({ redis, town, signal: until, taskId: id, ...limit }),
      ),
    )
    if (end.kind === 'ended') return end.task
    if (end.kind === 'timeout')
      throw new WorkerError('timeout', `The task ${id} has not ended within ${timeoutMs} ms`)
    throw new WorkerError('not-found', `The task ${id} is not in town ${this.town}`)
  }

  // Backlog: ids of tasks that nobody has yet

  /** Puts a task at the tail of the backlog; write its record first. Returns how many tasks are there now. */
  async backlogPush(taskId: Id): Promise<number> {
    const id = checkedId('task', taskId)
    return await this.#do((redis, town) => pushBacklog(redis, town, id))
  }

  /** The backlog from its head: ids, each with its task unless the record is gone. */
  async backlogList(): Promise<BacklogEntry[]> {
    return await this.#do(listBacklog)
  }

  /** How many tasks the backlog has. */
  async backlogLen(): Promise<number> {
    return await this.#do(countBacklog)
  }

  /** Takes the id at the head off the backlog; null when it is empty. Only the caller has it then: `backlogClaim` is safer. */
  async backlogPop(): Promise<Id | null> {
    return await this.#do(popBacklog)
  }

  /** Takes a task off the backlog. Returns whether it was there. */
  async backlogRemove(taskId: Id): Promise<boolean> {
    const id = checkedId('task', taskId)
    return await this.#do((redis, town) => removeFromBacklog(redis, town, id))
  }

  /** Gives a task of the backlog to an agent, in one step: off the list, assigned, its message in the inbox. */
  async backlogClaim(taskId: Id, agentId: Id): Promise<BacklogClaim> {
    const claim = { taskId: checkedId('task', taskId), agentId: checkedId('agent', agentId) }
    return await this.#do((redis, town) => claimBacklogTask(redis, town, claim))
  }

  // Signs of life, stops, events

  /** Notes what an agent does. The last ten lines are kept, for an hour; `tt status --deep` shows them. */
  async logActivity(agentId: Id, text: string): Promise<void> {
    const id = checkedId('agent', agentId)
    const line = checkedText('the activity', text)
    await this.#do((redis, town) => noteActivity(redis, town, id, line))
  }

  /** What an agent did last, newest first. */
  async getActivity(agentId: Id): Promise<string[]> {
    const id = checkedId('agent', agentId)
    return await this.#do((redis, town) => readActivity(redis, town, id))
  }

  /** Sets the stop flag of an agent, for an hour: its worker finishes what it has in hand and leaves. */
  async requestStop(agentId: Id): Promise<void> {
    const id = checkedId('agent', agentId)
    await this.#do((redis, town) => raiseStop(redis, town, id))
  }

  /** Whether the stop flag of an agent is set. */
  async shouldStop(agentId: Id): Promise<boolean> {
    const id = checkedId('agent', agentId)
    return await this.#do((redis, town) => isStopRaised(redis, town, id))
  }

  /** Takes the stop flag of an agent away. */
  async clearStop(agentId: Id): Promise<void> {
    const id = checkedId('agent', agentId)
    await this.#do((redis, town) => clearStop(redis, town, id))
  }

  /**
   * Adds an event to the town's stream (about 1000 are kept) and to those of its agent and its parent (about 100). Without
   * `timestamp` it gets the server's time. Returns its place in the town's stream.
   */
  async emitEvent(
    event: Omit<TownEvent, 'event_type' | 'timestamp'> & { event_type: EventType; timestamp?: string },
  ): Promise<string> {
    const { timestamp: given, ...told } = checkedEvent(event)
    const timestamp = given ?? (await this.#do(serverTime))
    return await this.#do((redis, town) => addEvent(redis, town, { ...told, timestamp } as TownEvent))
  }

  /** The newest events of the town, or of one agent, oldest first; 100 unless `count` says otherwise. */
  async readEvents({ agentId, count = 100 }: { agentId?: Id; count?: number } = {}): Promise<PlacedEvent[]> {
    const newest = checkedCount('count', count)
    const id = agentId === undefined ? undefined : checkedId('agent', agentId)
    return await this.#do((redis, town) =>
      recentEvents(redis, id === undefined ? town.events : town.agent(id).events, newest),
    )
  }

  /**
   * The events of the town, or of one agent, as they come, from this call on or from after the place `from`. Endless: it throws the
   * signal's reason, and `closed` when the channel is closed.
   */
  eventStream(options: EventStreamOptions = {}): AsyncGenerator<PlacedEvent, never, undefined> {
    return streamEvents({ redis: this.#redis, town: this.#keys, connections: this.#connections }, options)
  }

  /** Ends what waits (`closed`) and closes the connections that the channel made; not the one that it was given. */
  async close(): Promise<void> {
    await this.#connections.close(`The channel of town ${this.town}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Stands for the server's time, which is asked for once everything else is right. */
const NOT_YET = '0000-01-01T00:00:00Z'

function checkTownName(town: unknown): void {
  const rule = typeof town === 'string' ? brokenTownNameRule(town) : 'a text'
  if (rule !== null)
    throw new WorkerError('usage', `Expected the name of the town to be ${rule}, got ${shown(town)}`)
}

/** A connection that would make other keys, or other replies, of what is sent is none for a channel. */
function checkConnection(redis: RedisConnection): void {
  const { isCluster, options } = checkedObject('the connection', redis)
  const refuse = (rule: string, got: unknown) => {
    throw new WorkerError('usage', `Expected a connection ${rule}, got ${got}`)
  }
  if (isCluster) refuse('to one server', 'a cluster')
  if (options?.keyPrefix) refuse('without keyPrefix', options.keyPrefix)
  if (options?.stringNumbers) refuse('without stringNumbers', true)
}
