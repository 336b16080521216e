import { unlessAborted } from '../base/abort.ts'
import type { Id } from '../domain/ids.ts'
import { isTerminal, type Task } from '../domain/task.ts'
import { getAgent } from '../store/agents.ts'
import { type OutputPiece, pieces } from '../store/output.ts'
import { getTask } from '../store/tasks.ts'
import { type AgentView, viewAgent } from './summary.ts'
import { limitOf, lookAgain, Stream, type Wake, type Watch, withinLimit } from './watch.ts'

/** A task as it is at one moment, and the agent that has it. */
export interface TaskLook {
  readonly task: Task
  readonly agent: AgentView | null
}

/** How a wait for a task ended. `gone`: somebody deleted it. */
export type TaskWait =
  | { readonly kind: 'ended'; readonly task: Task }
  | { readonly kind: 'gone' }
  | { readonly kind: 'timeout' }

export interface TaskWatch extends Watch {
  readonly taskId: Id
  /** Gets the task whenever it was read. */
  readonly onLook?: (look: TaskLook) => void
  /** Gets the task's output, from its first piece that is kept. */
  readonly onOutput?: (piece: OutputPiece) => void
}

/** Waits until a task has ended. Throws the signal's reason when it aborts. */
export async function waitForTask(watch: TaskWatch): Promise<TaskWait> {
  const limit = limitOf(watch)
  const end = await withinLimit(limit, async () => {
    const stream = await Stream.open(watch, limit)
    const due = lookAgain((event) => event.task_id === watch.taskId)
    for (let wake: Wake = { events: [], entries: {} }; ; wake = await stream.next()) {
      tellOutput(watch, wake)
      if (!due(wake)) continue
      const look = await unlessAborted(lookAt(watch), limit.signal)
      if (!look) return { kind: 'gone' } as const
      watch.onLook?.(look)
      if (watch.onOutput && look.task.assignedTo)
        stream.add(watch.town.agent(look.task.assignedTo).output, '0-0')
      if (!isTerminal(look.task.state)) continue
      await tellRest(watch, stream)
      return { kind: 'ended', task: look.task } as const
    }
  })
  return end === 'timeout' ? { kind: 'timeout' } : end
}

async function lookAt({ redis, town, taskId }: TaskWatch): Promise<TaskLook | null> {
  const task = await getTask(redis, town, taskId)
  if (!task) return null
  const agent = task.assignedTo ? await getAgent(redis, town, task.assignedTo) : null
  return { task, agent: agent ? await viewAgent(redis, town, agent) : null }
}

/** Returns whether any output came, of whatever task. */
function tellOutput({ town, taskId, onOutput }: TaskWatch, { entries }: Wake): boolean {
  const output = Object.entries(entries).flatMap(([stream, list]) => (stream === town.events ? [] : list))
  if (onOutput) for (const piece of pieces(output, taskId)) onOutput(piece)
  return output.length > 0
}

/** A worker sends the last output before it writes the end of the task. */
async function tellRest(watch: TaskWatch, stream: Stream): Promise<void> {
  if (!watch.onOutput) return
  while (tellOutput(watch, await stream.rest()));
}
