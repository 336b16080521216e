import { hostname } from 'node:os'
import { brokenTownNameRule } from '../config/town-name.ts'
import type { Agent } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import type { EventType, TownEvent } from '../domain/event.ts'
import { type Id, parseId, SUPERVISOR_ID } from '../domain/ids.ts'
import { decodeMessage, encodeMessage, type Message, type NewMessage, newMessage } from '../domain/message.ts'
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
import { Connections } from './connections.ts'
import { type EventStreamOptions, streamEvents } from './event-stream.ts'
import { Subscription } from './subscription.ts'
import { waitForTask } from './wait-task.ts'

export interface ChannelOptions {
  /** The form of new records: `hash`, as Tinytown 0.10 reads them, or `json`. Those that are there keep theirs. Default `hash`. */
  readonly recordFormat?: RecordFormat
  /** Makes one more connection, for a command that blocks. Default: like the one that the channel was given. */
  readonly connect?: (purpose: string) => Promise<Redis>
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
 * A channel has no lease and asks for none: what it writes, it writes whoever else does. Every method rejects with the error of
 * ioredis when Redis is away for longer than its connection waits.
 */
export class Channel implements AsyncDisposable {
  readonly #redis: Redis
  readonly #keys: TownKeys
  readonly #connections: Connections

  /**
   * A channel over a connection that the caller made and closes.
   *
   * @param redis a connection of ioredis; one with a `keyPrefix` is refused (`usage`), since Tinytown's keys are whole
   * @param town the name of the town, as it stands in the keys; one with spaces, `:` or glob characters is refused (`usage`)
   */
  constructor(redis: Redis, town: string, options: ChannelOptions = {}) {
    const rule = brokenTownNameRule(town)
    if (rule !== null)
      throw new WorkerError(
        'usage',
        `Expected the name of the town to be ${rule}, got ${JSON.stringify(town)}`,
      )
    if (redis.options.keyPrefix)
      throw new WorkerError(
        'usage',
        `Expected a connection without keyPrefix, got ${redis.options.keyPrefix}`,
      )
    const { recordFormat = 'hash' } = options
    if (!RECORD_FORMATS.includes(recordFormat))
      throw new WorkerError(
        'usage',
        `Expected recordFormat to be ${RECORD_FORMATS.join(' or ')}, got ${recordFormat}`,
      )
    const name = (purpose: string) => `tinytown-worker:${purpose}:${hostname()}:${process.pid}`
    this.#redis = redis
    this.#keys = townKeys(town, recordFormat)
    this.#connections = new Connections(
      options.connect ?? ((purpose) => duplicateRedis(redis, name(purpose))),
    )
  }

  /** The name of the town. */
  get town(): string {
    return this.#keys.town
  }

  /** The connection that the channel was made with. */
  get redis(): Redis {
    return this.#redis
  }

  // Messages

  /**
   * Puts a message into its receiver's inbox: `urgent` and `high` at the head, `normal` and `low` at the tail. Returns the message
   * as it was sent. Throws `usage`, naming the field, for one that could not be read.
   */
  async send(message: Outgoing): Promise<Message> {
    const whole = await this.#complete(message)
    await sendMessage(this.#redis, this.#keys, whole)
    return whole
  }

  /** Puts a message into the list that is emptied before the inbox, as `tt send --urgent` does, whatever its priority. */
  async sendUrgent(message: Outgoing): Promise<Message> {
    const whole = await this.#complete(message)
    await sendMessage(this.#redis, this.#keys, whole, { urgentList: true })
    return whole
  }

  /**
   * Takes the next message of an inbox, waiting at most `timeoutMs` milliseconds (0: not at all); null when none came. Waits with
   * BLPOP on a connection of its own. One that cannot be read goes to the dead letters, with its text and the reason.
   *
   * What was taken is the caller's: when the caller dies, it is gone (at most once). A worker claims its messages instead.
   */
  async receive(
    agentId: Id,
    timeoutMs: number,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Message | null> {
    if (!(timeoutMs >= 0))
      throw new WorkerError('usage', `Expected timeoutMs to be 0 or more milliseconds, got ${timeoutMs}`)
    const until = this.#connections.until(signal)
    return await this.#connections.lend('receive', (blocking) =>
      receiveMessage({ redis: this.#redis, blocking, town: this.#keys }, agentId, {
        timeoutMs,
        signal: until,
      }),
    )
  }

  /** Takes the next message of an inbox; null when there is none. Unreadable ones go to the dead letters in the same step. */
  async tryReceive(agentId: Id): Promise<Message | null> {
    return await takeMessage(this.#redis, this.#keys, { agentId, list: 'inbox' })
  }

  /** Takes all urgent messages of an agent, the newest first, as upstream does. Unreadable ones go to the dead letters. */
  async receiveUrgent(agentId: Id): Promise<Message[]> {
    const messages: Message[] = []
    for (;;) {
      const message = await takeMessage(this.#redis, this.#keys, { agentId, list: 'urgent' })
      if (message === null) return messages
      messages.push(message)
    }
  }

  /** How many messages wait in an inbox; the urgent list is not counted. */
  async inboxLen(agentId: Id): Promise<number> {
    return await this.#redis.llen(this.#keys.agent(agentId).inbox)
  }

  /** The messages of an inbox from its head, at most `count`; all without it. Takes nothing. */
  async peekInbox(agentId: Id, count?: number): Promise<Peeked[]> {
    const raws = await peekMail(this.#redis, this.#keys, agentId, count === undefined ? {} : { count })
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
    return await publishMessage(
      this.#redis,
      this.#keys,
      await this.#complete({ to: SUPERVISOR_ID, ...message }),
    )
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
    const redis = await this.#connections.make('subscribe')
    const close = () => subscription.close()
    const subscription = new Subscription(() => {
      this.#connections.closing.removeEventListener('abort', close)
      this.#connections.drop(redis)
    })
    this.#connections.closing.addEventListener('abort', close, { once: true })
    try {
      await listen(redis, this.#keys, (raw) => {
        const decoded = decodeMessage(raw)
        if (decoded.ok) subscription.push(decoded.message)
        else onUnreadable?.(raw, decoded.error)
      })
      return subscription
    } catch (error) {
      subscription.close()
      throw error
    }
  }

  async #complete(message: Outgoing): Promise<Message> {
    const createdAt = message.createdAt ?? (await serverTime(this.#redis))
    const decoded = decodeMessage(encodeMessage(newMessage({ from: SUPERVISOR_ID, ...message, createdAt })))
    if (decoded.ok) return decoded.message
    throw new WorkerError('usage', decoded.error)
  }

  // Records

  /**
   * Writes the whole record of an agent: fields of Tinytown that are undefined are absent then, fields that nobody here knows and
   * those of a running worker (`host`, `pid` …) stay. A record keeps its form. A change of the state is told as an event.
   *
   * Throws `usage` for an id that is none, `config` when the key holds something else.
   */
  async setAgentState(agent: Agent): Promise<void> {
    await writeAgent(this.#redis, this.#keys, agent)
  }

  /** The agent with this id, or null. */
  async getAgentState(agentId: Id): Promise<Agent | null> {
    return await getAgent(this.#redis, this.#keys, agentId)
  }

  /** All agents of the town, by name, found with SCAN. */
  async listAgents(): Promise<Agent[]> {
    return await listAgents(this.#redis, this.#keys)
  }

  /** Writes the whole record of a task, by the rules of `setAgentState`. No transition is checked: any state may be written. */
  async setTask(task: Task): Promise<void> {
    await writeTask(this.#redis, this.#keys, task)
  }

  /** The task with this id, or null. */
  async getTask(taskId: Id): Promise<Task | null> {
    return await getTask(this.#redis, this.#keys, taskId)
  }

  /** All tasks of the town, newest first, found with SCAN. */
  async listTasks(): Promise<Task[]> {
    return await listTasks(this.#redis, this.#keys)
  }

  /**
   * Waits until a task has completed, failed or was cancelled, and returns it. Woken by the town's events; a change that has none is
   * seen within five seconds. Throws `timeout`, `not-found` when the task is gone, and the signal's reason.
   */
  async waitForTask(taskId: Id, { signal, timeoutMs }: WaitOptions = {}): Promise<Task> {
    const until = this.#connections.until(signal)
    const end = await this.#connections.spend('wait', (redis) =>
      waitForTask({
        redis,
        town: this.#keys,
        signal: until,
        taskId,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    )
    if (end.kind === 'ended') return end.task
    if (end.kind === 'timeout')
      throw new WorkerError('timeout', `The task ${taskId} has not ended within ${timeoutMs} ms`)
    throw new WorkerError('not-found', `The task ${taskId} is not in town ${this.town}`)
  }

  // Backlog: ids of tasks that nobody has yet

  /** Puts a task at the tail of the backlog; write its record first. Returns how many tasks are there now. */
  async backlogPush(taskId: Id): Promise<number> {
    const id = parseId(taskId)
    if (id) return await pushBacklog(this.#redis, this.#keys, id)
    throw new WorkerError('usage', `Expected the id of the task to be a UUID, got ${JSON.stringify(taskId)}`)
  }

  /** The backlog from its head: ids, each with its task unless the record is gone. */
  async backlogList(): Promise<BacklogEntry[]> {
    return await listBacklog(this.#redis, this.#keys)
  }

  /** How many tasks the backlog has. */
  async backlogLen(): Promise<number> {
    return await countBacklog(this.#redis, this.#keys)
  }

  /** Takes the id at the head off the backlog; null when it is empty. Only the caller has it then: `backlogClaim` is safer. */
  async backlogPop(): Promise<Id | null> {
    return await popBacklog(this.#redis, this.#keys)
  }

  /** Takes a task off the backlog. Returns whether it was there. */
  async backlogRemove(taskId: Id): Promise<boolean> {
    return await removeFromBacklog(this.#redis, this.#keys, taskId)
  }

  /** Gives a task of the backlog to an agent, in one step: off the list, assigned, its message in the inbox. */
  async backlogClaim(taskId: Id, agentId: Id): Promise<BacklogClaim> {
    return await claimBacklogTask(this.#redis, this.#keys, { taskId, agentId })
  }

  // Signs of life, stops, events

  /** Notes what an agent does. The last ten lines are kept, for an hour; `tt status --deep` shows them. */
  async logActivity(agentId: Id, text: string): Promise<void> {
    await noteActivity(this.#redis, this.#keys, agentId, text)
  }

  /** What an agent did last, newest first. */
  async getActivity(agentId: Id): Promise<string[]> {
    return await readActivity(this.#redis, this.#keys, agentId)
  }

  /** Sets the stop flag of an agent, for an hour: its worker finishes what it has in hand and leaves. */
  async requestStop(agentId: Id): Promise<void> {
    await raiseStop(this.#redis, this.#keys, agentId)
  }

  /** Whether the stop flag of an agent is set. */
  async shouldStop(agentId: Id): Promise<boolean> {
    return await isStopRaised(this.#redis, this.#keys, agentId)
  }

  /** Takes the stop flag of an agent away. */
  async clearStop(agentId: Id): Promise<void> {
    await clearStop(this.#redis, this.#keys, agentId)
  }

  /**
   * Adds an event to the town's stream (about 1000 are kept) and to those of its agent and its parent (about 100). Without
   * `timestamp` it gets the server's time. Returns its place in the town's stream.
   */
  async emitEvent(
    event: Omit<TownEvent, 'event_type' | 'timestamp'> & { event_type: EventType; timestamp?: string },
  ): Promise<string> {
    const timestamp = event.timestamp ?? (await serverTime(this.#redis))
    return await addEvent(this.#redis, this.#keys, { ...event, timestamp })
  }

  /** The newest events of the town, or of one agent, oldest first; 100 unless `count` says otherwise. */
  async readEvents({ agentId, count = 100 }: { agentId?: Id; count?: number } = {}): Promise<PlacedEvent[]> {
    const stream = agentId === undefined ? this.#keys.events : this.#keys.agent(agentId).events
    return await recentEvents(this.#redis, stream, count)
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
