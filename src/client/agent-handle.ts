import type { Agent, AgentState } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import { type Id, SUPERVISOR_ID } from '../domain/ids.ts'
import type { Message, MessageBody, Priority } from '../domain/message.ts'
import type { Task } from '../domain/task.ts'
import { resumeAgent } from '../store/steer.ts'
import { assignTask } from '../store/tasks.ts'
import { checkedAssignment, checkedTimeout } from './arguments.ts'
import type { Channel, WaitOptions } from './channel.ts'
import type { Connections } from './connections.ts'
import type { OpenTown } from './open-town.ts'
import { waitForAgent } from './wait-agent.ts'

/** What an agent is to do. */
export interface Assignment {
  /** The whole text; it becomes the prompt and is never cut. */
  readonly description: string
  readonly tags?: readonly string[]
  /** `high` and `urgent` go before what waits. Default `normal`. */
  readonly priority?: Priority
  /** Default: a new one. */
  readonly id?: Id
  /** The task that this one is a part of. */
  readonly parentId?: Id
}

/** How a message to an agent is sent. */
export interface SendOptions {
  readonly priority?: Priority
  /** Into the list that is emptied before the inbox. */
  readonly urgent?: boolean
  /** The id of the message that this one answers. */
  readonly correlationId?: Id
  /** Whose message it is. Default: the supervisor's. */
  readonly from?: Id
}

/** What a handle works with. */
export interface HandleLink {
  readonly open: Pick<OpenTown, 'redis' | 'keys'>
  readonly channel: Channel
  readonly connections: Connections
}

/** One agent of a town. `Town.agent` and `Town.spawnAgent` give it. */
export class AgentHandle {
  readonly #link: HandleLink
  readonly id: Id

  /** @internal */
  constructor(link: HandleLink, id: Id) {
    this.#link = link
    this.id = id
  }

  /**
   * Gives the agent a task: record, message and event in one step. Returns the id of the task. Of a whole task its id, parent, text,
   * tags and time of making are kept; one that is there already, pending, leaves the backlog.
   *
   * Throws `not-found` when the agent was deleted, `usage` for a task without text or for the supervisor, who does none, `wrong-state`
   * for a task that another agent has or that has ended.
   */
  async assign(task: string | Assignment | Task): Promise<Id> {
    const { id, parentId, createdAt, ...what } = checkedAssignment(task)
    if (this.id === SUPERVISOR_ID)
      throw new WorkerError('usage', 'The supervisor does no tasks: send a message instead')
    const whole = {
      ...what,
      ...(id && { id }),
      ...(parentId && { parentId }),
      ...(createdAt && { createdAt }),
    }
    const { connections, open } = this.#link
    return (await connections.run(() => assignTask(open.redis, open.keys, this.id, whole))).taskId
  }

  /** Sends the agent a message, from the supervisor unless told otherwise. Returns it as it was sent. */
  async send(body: MessageBody, { urgent = false, ...options }: SendOptions = {}): Promise<Message> {
    const { channel } = this.#link
    const message = { to: this.id, body, ...options }
    return urgent ? await channel.sendUrgent(message) : await channel.send(message)
  }

  /** How many messages wait in its inbox; the urgent list is not counted. */
  async inboxLen(): Promise<number> {
    return await this.#link.channel.inboxLen(this.id)
  }

  /** What its record says; null when there is none: it was deleted, or is the supervisor, who has none. */
  async state(): Promise<Agent | null> {
    return await this.#link.channel.getAgentState(this.id)
  }

  /**
   * Waits until the agent has nothing in hand and nothing waits for it, or has stopped, and returns its record. Woken by the town's
   * events; a change that has none is seen within five seconds. While a worker starts or drains, what it has in hand and what waits
   * for it counts alike. A worker that died is waited for, as another of its name takes up what it left: give a `timeoutMs`.
   *
   * Throws `agent-error` when the agent is in error, with its last error; `timeout`; `not-found` when it was deleted; and the
   * signal's reason.
   */
  async wait({ signal, timeoutMs }: WaitOptions = {}): Promise<Agent> {
    const limit = checkedTimeout(timeoutMs)
    const { connections, open } = this.#link
    const until = connections.until(signal)
    const end = await connections.run(() =>
      connections.spend('wait', until, (redis) =>
        waitForAgent({ redis, town: open.keys, signal: until, agentId: this.id, ...limit }),
      ),
    )
    switch (end.kind) {
      case 'idle':
      case 'stopped':
        return end.view.agent
      case 'error': {
        const { name, lastError } = end.view.agent
        throw new WorkerError('agent-error', `${name} is in error: ${lastError ?? 'no reason is recorded'}`)
      }
      case 'gone':
        throw new WorkerError('not-found', `The agent ${this.id} is not in town ${open.keys.town}`)
      case 'timeout':
        throw new WorkerError('timeout', `The agent ${this.id} is not done within ${timeoutMs} ms`)
    }
  }

  /**
   * Lets the agent go on when it is paused, and look again at once when it is in error: a limit that it waits for, a login, an open
   * circuit. Returns the state that its record has now. Throws `wrong-state` in any other state, and in error where no worker runs.
   */
  async resume(): Promise<AgentState> {
    const { connections, open } = this.#link
    const answer = await connections.run(() => resumeAgent(open.redis, open.keys, this.id))
    if (answer.kind === 'done') return answer.state
    throw new WorkerError('wrong-state', `The agent ${this.id} is ${answer.state} and cannot be resumed`)
  }

  /** Waits for the end of a task, as `Channel.waitForTask` does. */
  async waitForTask(taskId: Id, options: WaitOptions = {}): Promise<Task> {
    return await this.#link.channel.waitForTask(taskId, options)
  }
}
