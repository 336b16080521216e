import { SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { encodeMessage, type MessageBody, newMessage } from '../../src/domain/message.ts'
import type { Task } from '../../src/domain/task.ts'
import { findAgent } from '../../src/store/agents.ts'
import { assignTask, getTask } from '../../src/store/tasks.ts'
import { makeTown, type TestTown } from './daemon.ts'
import { type FakeAgents, listenForFakeAgents } from './fake-agent.ts'
import { until } from './until.ts'

export interface Scene {
  readonly town: TestTown
  readonly agents: FakeAgents
}

/** Makes towns whose CLI is the fake agent; what they open is closed by `onClose`. */
export function useScene(
  onClose: (close: () => Promise<unknown>) => void,
): (options?: { table?: string; env?: object }) => Promise<Scene> {
  return async (options = {}) => {
    const agents = await listenForFakeAgents()
    onClose(() => agents.close())
    const town = await makeTown(agents.toml(options.table), { ...agents.env, ...options.env })
    onClose(() => town.close())
    return { town, agents }
  }
}

/** The agent of this name. */
export async function agentOf(town: TestTown, name = 'worker-1') {
  return await findAgent(await town.redis(), town.keys, name)
}

/** Puts a task into the inbox of an agent and returns its id. */
export async function assign(town: TestTown, description: string, name = 'worker-1'): Promise<string> {
  const redis = await town.redis()
  const agent = await findAgent(redis, town.keys, name)
  const task = { description, tags: [], priority: 'normal' } as const
  return (await assignTask(redis, town.keys, agent.id, task)).taskId
}

/** Waits until the task is what it is expected to become. */
export async function taskThat(
  town: TestTown,
  id: string,
  is: (task: Task) => boolean,
  what: string,
): Promise<Task> {
  const redis = await town.redis()
  return await until(async () => {
    const task = await getTask(redis, town.keys, id)
    return task && is(task) ? task : null
  }, `the task ${what}`)
}

/** The task, once it has ended. */
export const ended = (town: TestTown, id: string) =>
  taskThat(town, id, ({ state }) => ['completed', 'failed', 'cancelled'].includes(state), 'has ended')

/** Pushes a message into the inbox of worker-1 as `tt` does: the record, and nothing that wakes. Returns the message's id. */
export async function push(town: TestTown, body: MessageBody, from = SUPERVISOR_ID): Promise<string> {
  const { id } = await agentOf(town)
  const message = newMessage({ from, to: id, body, createdAt: new Date().toISOString() })
  await (await town.redis()).rpush(town.keys.agent(id).inbox, encodeMessage(message))
  return message.id
}
