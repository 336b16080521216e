import { oneLine } from '../base/text.ts'
import { AGENT_STATES, type Agent, type AgentState, TERMINAL_AGENT_STATES } from '../domain/agent.ts'
import type { Id } from '../domain/ids.ts'
import { TASK_STATES, type TaskState } from '../domain/task.ts'
import { listAgents } from '../store/agents.ts'
import type { Redis } from '../store/connection.ts'
import type { TownKeys } from '../store/keys.ts'
import { countDeadLetters, type Queues, readQueues } from '../store/queues.ts'
import { replyErrorCode } from '../store/script.ts'
import { readServerInfo, type ServerInfo, serverNow } from '../store/server-info.ts'
import { getTask, listTasks } from '../store/tasks.ts'

/** An agent and what stands around its record. */
export interface AgentView {
  readonly agent: Agent
  readonly queues: Queues
  /** Messages that nobody works on: in flight of a worker that is gone counts as well. */
  readonly waiting: number
  /** Whether somebody is there to take them. */
  readonly running: boolean
  /** By the server's clock; null when the record tells no time. */
  readonly heartbeatAgeMs: number | null
  /** What it works on, in one line. */
  readonly task: { readonly id: Id; readonly summary: string } | null
}

/** An agent that `tt` runs itself has no lease: its heartbeat counts, by the limit of `tt recover` (Tinytown, recovery.rs). */
const UPSTREAM_ALIVE_MS = 120_000

/** All agents of the town, by name. */
export async function viewAgents(redis: Redis, town: TownKeys): Promise<AgentView[]> {
  return await viewsOf(redis, town, await listAgents(redis, town))
}

/** What stands around the record of one agent. */
export async function viewAgent(redis: Redis, town: TownKeys, agent: Agent): Promise<AgentView> {
  const [view] = await viewsOf(redis, town, [agent])
  if (!view) throw new TypeError('One agent has one view')
  return view
}

async function viewsOf(redis: Redis, town: TownKeys, agents: readonly Agent[]): Promise<AgentView[]> {
  const ids = agents.map(({ id }) => id)
  const [now, queues, tasks] = await Promise.all([
    serverNow(redis),
    readQueues(redis, town, ids),
    Promise.all(agents.map(({ currentTask }) => (currentTask ? getTask(redis, town, currentTask) : null))),
  ])
  return agents.flatMap((agent, index) => {
    const queue = queues[index]
    if (!queue) return []
    const task = tasks[index]
    const heartbeatAgeMs = ageOf(agent.lastHeartbeat, now)
    const running = isRunning(agent, queue, heartbeatAgeMs)
    return [
      {
        agent,
        queues: queue,
        waiting: queue.inbox + queue.urgent + (running ? 0 : queue.inFlight),
        running,
        heartbeatAgeMs,
        task: task ? { id: task.id, summary: oneLine(task.description) } : null,
      },
    ]
  })
}

function isRunning(agent: Agent, queues: Queues, heartbeatAgeMs: number | null): boolean {
  if (queues.leased) return true
  if (agent.workerVersion !== undefined || TERMINAL_AGENT_STATES.includes(agent.state)) return false
  return heartbeatAgeMs !== null && heartbeatAgeMs < UPSTREAM_ALIVE_MS
}

/** How long ago an RFC 3339 time was, never negative; null when it is none. */
export function ageOf(time: string, now: number): number | null {
  const at = Date.parse(time)
  return Number.isNaN(at) ? null : Math.max(0, now - at)
}

/** A town at a glance. */
export interface TownSummary {
  readonly server: Pick<ServerInfo, 'version' | 'mode' | 'persistence'>
  readonly agents: readonly AgentView[]
  readonly agentsByState: Readonly<Record<AgentState, number>>
  readonly tasksByState: Readonly<Record<TaskState, number>>
  readonly waiting: number
  /** How many wait for their next attempt. */
  readonly delayed: number
  readonly deadLetters: number
}

/** Counts what is in a town. */
export async function summarizeTown(redis: Redis, town: TownKeys): Promise<TownSummary> {
  const [{ version, mode, persistence }, agents, tasks, deadLetters] = await Promise.all([
    serverOf(redis),
    viewAgents(redis, town),
    listTasks(redis, town),
    countDeadLetters(redis, town),
  ])
  return {
    // What changes with every look is left out: a watch shows what happens in the town.
    server: { version, mode, persistence },
    agents,
    agentsByState: countBy(
      AGENT_STATES,
      agents.map(({ agent }) => agent.state),
    ),
    tasksByState: countBy(
      TASK_STATES,
      tasks.map(({ state }) => state),
    ),
    waiting: agents.reduce((sum, { waiting }) => sum + waiting, 0),
    delayed: agents.reduce((sum, { queues }) => sum + queues.delayed, 0),
    deadLetters,
  }
}

/** What the server is; a user who may not ask for it sees the town all the same. */
async function serverOf(redis: Redis): Promise<TownSummary['server']> {
  try {
    return await readServerInfo(redis)
  } catch (error) {
    if (replyErrorCode(error) !== 'NOPERM') throw error
    return { version: 'unknown version', mode: 'standalone', persistence: 'unknown' }
  }
}

function countBy<W extends string>(words: readonly W[], found: readonly W[]): Record<W, number> {
  const counts = words.map((word) => [word, found.filter((one) => one === word).length])
  return Object.fromEntries(counts) as Record<W, number>
}
