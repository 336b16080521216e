import { unlessAborted } from '../base/abort.ts'
import type { Id } from '../domain/ids.ts'
import { getAgent } from '../store/agents.ts'
import { nextOutput, type OutputPiece } from '../store/output.ts'
import { requestStop } from '../store/steer.ts'
import { type AgentView, viewAgent } from './summary.ts'
import { limitOf, lookAgain, Stream, type Wake, type Watch, withinLimit } from './watch.ts'

/** A wait for an agent that ended without what it waited for. `gone`: its record was deleted. */
type NotSeen = { readonly kind: 'gone' } | { readonly kind: 'timeout' }

/** How a wait for an agent ended. `idle`: it has nothing in hand and nothing waits for it. */
export type AgentWait = { readonly kind: 'idle' | 'stopped' | 'error'; readonly view: AgentView } | NotSeen

export interface AgentWatch extends Watch {
  readonly agentId: Id
  /** Gets the agent whenever it was read. */
  readonly onLook?: (view: AgentView) => void
}

/** Waits until an agent has nothing to do, or cannot do it. Throws the signal's reason when it aborts. */
export async function waitForAgent(watch: AgentWatch): Promise<AgentWait> {
  return await untilSeen<AgentWait>(watch, async (view) => {
    const { state } = view.agent
    if (state === 'error') return { kind: 'error', view }
    if (hasStopped(view)) return { kind: 'stopped', view }
    return isBusy(view) ? null : { kind: 'idle', view }
  })
}

function isBusy({ agent, waiting, queues }: AgentView): boolean {
  return waiting + queues.inFlight + queues.delayed > 0 || agent.state === 'working'
}

/** `tt kill` writes stopped at once, while the worker still finishes its run. */
function hasStopped({ agent, queues }: AgentView): boolean {
  return (agent.state === 'stopped' || agent.state === 'cold') && !queues.leased
}

/** Waits until an agent that was asked to stop has stopped; one whose worker died meanwhile is written off. */
export async function waitForStop(watch: AgentWatch): Promise<AgentWait> {
  return await untilSeen<AgentWait>(watch, async (view) => {
    if (hasStopped(view)) return { kind: 'stopped', view }
    if (!view.queues.leased) await requestStop(watch.redis, watch.town, view.agent.id)
    return null
  })
}

/** Waits until an agent has a task no longer in hand; one whose worker died has let go of it. */
export async function waitUntilLetGo(
  watch: AgentWatch,
  taskId: Id,
): Promise<{ readonly kind: 'let-go' } | NotSeen> {
  return await untilSeen(watch, async ({ agent, queues }) =>
    agent.currentTask === taskId && queues.leased ? null : ({ kind: 'let-go' } as const),
  )
}

async function untilSeen<T>(
  watch: AgentWatch,
  judge: (view: AgentView) => Promise<T | null>,
): Promise<T | NotSeen> {
  const limit = limitOf(watch)
  const end = await withinLimit(limit, async () => {
    const stream = await Stream.open(watch, limit)
    const due = lookAgain((event) => event.agent_id === watch.agentId)
    for (let wake: Wake = { events: [], entries: {} }; ; wake = await stream.next()) {
      if (!due(wake)) continue
      const view = await unlessAborted(lookAt(watch), limit.signal)
      if (!view) return { kind: 'gone' } as const
      watch.onLook?.(view)
      const verdict = await unlessAborted(judge(view), limit.signal)
      if (verdict) return verdict
    }
  })
  return end === 'timeout' ? { kind: 'timeout' } : end
}

async function lookAt({ redis, town, agentId }: AgentWatch): Promise<AgentView | null> {
  const agent = await getAgent(redis, town, agentId)
  return agent ? await viewAgent(redis, town, agent) : null
}

const BLOCK_MS = 5000

/** Hands over an agent's output as it comes, all that is kept first. Ends only by the signal, whose reason it throws. */
export async function followAgent(
  { redis, town, signal }: Watch,
  agentId: Id,
  onOutput: (piece: OutputPiece) => void,
): Promise<never> {
  const stream = town.agent(agentId).output
  for (let from = '0-0'; ; ) {
    const { next, pieces } = await unlessAborted(nextOutput(redis, stream, from, BLOCK_MS), signal)
    from = next
    for (const piece of pieces) onOutput(piece)
  }
}
