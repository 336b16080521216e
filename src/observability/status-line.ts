import { oneLine } from '../base/text.ts'
import type { AgentStatus } from './agent-status.ts'

/** The beginning of a task's id, as listings show it. */
const SHOWN_ID = 8

/** What the agents of a process do now, in one line: of one agent what it works on, of several how many do what. */
export function statusLine(statuses: readonly AgentStatus[]): string {
  const [only] = statuses
  if (only && statuses.length === 1) return `${only.name}: ${sentenceOf(only)}`
  const counts = new Map<string, number>()
  for (const status of statuses) {
    const word = wordOf(status)
    counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  const parts = [...counts].map(([word, count]) => `${count} ${word}`)
  return `${statuses.length} agents: ${parts.join(', ')}`
}

function sentenceOf(status: AgentStatus): string {
  const { task, trouble, draining } = status
  const work = task && `working on ${task.taskId.slice(0, SHOWN_ID)}: ${oneLine(task.summary)}`
  if (draining) return work ? `draining, ${work}` : 'draining'
  if (work) return work
  const word = wordOf(status)
  return word === 'error' && trouble ? `error: ${oneLine(trouble)}` : word
}

function wordOf({ registered, draining, state }: AgentStatus): string {
  if (draining) return 'draining'
  return registered || state === 'stopped' ? state : 'starting'
}
