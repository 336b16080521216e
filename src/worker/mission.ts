import { cutChars, oneLine } from '../base/text.ts'
import type { Id } from '../domain/ids.ts'
import { hasVerdict, missionKind, verdictText } from '../domain/mission.ts'
import { isTerminal, type Task } from '../domain/task.ts'
import type { Decision } from './decide.ts'

type Settling = Extract<Decision, { kind: 'settle' }>

/** How the task of a mission ends. `running`: it is left as it is, and the conductor is told why. */
export interface MissionEnd {
  readonly state: Settling['state'] | 'running'
  /** What the conductor is told. */
  readonly letter?: string
}

export interface MissionTools {
  /** Reports a result the way the mission learns of it. Null when it went well, else why not. */
  readonly report: (taskId: Id, result: string) => Promise<string | null>
  /** The task as its record says now; null when it is gone. */
  readonly read: (taskId: Id) => Promise<Task | null>
}

const LONGEST_QUOTE = 4000

/**
 * Ends the task of a mission in the way that Tinytown's scheduler sees: it learns of a result only from `tt task complete`, takes
 * every text of a review but a rejection for an approval, and knows no failure (wire contract, mission/scheduler.rs).
 */
export async function endMissionTask(task: Task, end: Settling, tools: MissionTools): Promise<MissionEnd> {
  const kind = missionKind(task.tags)
  if (kind === null || end.state === 'cancelled') return { state: end.state }
  // The CLI may have reported it itself, and somebody may have cancelled it a moment ago: that end stands, and the settle says so.
  const found = await tools.read(task.id)
  if (found === null || isTerminal(found.state)) return { state: end.state }
  if (end.state === 'failed') return { state: 'failed', letter: failureLetter(task, end) }
  if (kind === 'review' && !hasVerdict(end.result)) {
    const why = 'the review does not begin with approved, rejected: or changes requested:'
    return { state: 'running', letter: openLetter(task, end, why) }
  }
  const obstacle = await tools.report(task.id, kind === 'review' ? verdictText(end.result) : end.result)
  if (obstacle === null) return { state: 'completed' }
  return { state: 'running', letter: openLetter(task, end, obstacle) }
}

function openLetter(task: Task, end: Settling, why: string): string {
  return [
    `[Mission] The run of task ${task.id} (${oneLine(task.description)}) is over, but it could not be reported: ${why}.`,
    `Its result: ${cutChars(end.result, LONGEST_QUOTE)}`,
    `The task is left running. Report it with: tt task complete ${task.id} --result "<result>"`,
  ].join('\n\n')
}

/** What the conductor of a mission is told of a task that failed. */
export function failureLetter(
  task: Pick<Task, 'id' | 'description'>,
  end: { readonly reason?: string; readonly result: string },
): string {
  return [
    `[Mission] Task ${task.id} (${oneLine(task.description)}) failed: ${end.reason ?? 'failed'}.`,
    cutChars(end.result, LONGEST_QUOTE),
    'The mission does not learn of a failure by itself: redirect the work item to another agent, or assign it again.',
  ].join('\n\n')
}
