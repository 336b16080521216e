import { formatDuration } from '../base/duration.ts'
import { oneLine } from '../base/text.ts'
import { type AgentView, ageOf } from '../client/summary.ts'
import type { Agent } from '../domain/agent.ts'
import type { Id } from '../domain/ids.ts'
import { isTerminal, type Task } from '../domain/task.ts'
import { headedTable, printable, styledState, type Terminal } from './terminal.ts'

/** How much of an id is shown: long enough to mean one task, short enough to type. */
const SHOWN_ID = 8
const SUMMARY_CHARS = 60

/** The beginning of a task's id, by which it is found again. Events of others may hold any text in its place. */
export function idOf(id: Id): string {
  return summary(id.slice(0, SHOWN_ID))
}

/** A text of somebody else in one line of a table. */
export function summary(text: string, maxChars = SUMMARY_CHARS): string {
  return printable(oneLine(text, maxChars))
}

/** How long ago something was: `12s`, `4m`, `3h`, `2d`; `-` when nobody knows. */
export function age(ms: number | null): string {
  if (ms === null) return '-'
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}

/** A moment on the clock of whoever looks, with the date on another day than today. */
export function clockTime(at: number, now: number = Date.now()): string {
  const [day, today] = [new Date(at), new Date(now)]
  const two = (value: number) => String(value).padStart(2, '0')
  const time = `${two(day.getHours())}:${two(day.getMinutes())}`
  const date = `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`
  return day.toDateString() === today.toDateString() ? time : `${date} ${time}`
}

/** Until when an agent is parked, as it follows a word; '' when it is not, or not any more. */
export function untilText({ parkedUntil }: Agent, now: number = Date.now()): string {
  const at = Date.parse(parkedUntil ?? '')
  return at > now ? ` until ${clockTime(at, now)}` : ''
}

/** A result of somebody else as it is printed: as it is for a program, without what steers a terminal for a person. */
export function shownResult(terminal: Terminal, text: string): string {
  return terminal.isTerminal ? printable(text) : text
}

/** The table of agents, one line each, and a line for what keeps one from its tasks. */
export function agentTable(terminal: Terminal, views: readonly AgentView[]): string[] {
  const headings = ['NAME', 'STATE', 'CLI', 'ROLE', 'WAITING', 'DONE', 'HEARTBEAT', 'WORKER', 'TASK']
  const rows = views.map((view) => {
    const { agent, waiting, queues, heartbeatAgeMs } = view
    return [
      summary(agent.name),
      styledState(terminal, agent.state),
      summary(agent.cli, 24),
      agent.roleId ? summary(agent.roleId) : '-',
      waitingText(waiting, queues.delayed),
      String(agent.tasksCompleted),
      age(heartbeatAgeMs),
      placeOf(terminal, view),
      view.task ? `${idOf(view.task.id)} ${summary(view.task.summary)}` : '-',
    ]
  })
  const [head = '', ...lines] = headedTable(terminal, headings, rows)
  return [head, ...lines.flatMap((line, index) => [line, ...troubleLine(terminal, views[index]?.agent)])]
}

/** How many messages wait, and how many more do for their next attempt: `0 (+1 later)`. */
export function waitingText(waiting: number, delayed: number): string {
  return delayed === 0 ? String(waiting) : `${waiting} (+${delayed} later)`
}

function placeOf(terminal: Terminal, { agent, running }: AgentView): string {
  const place = agent.host ? `${agent.host}:${agent.pid ?? '?'}` : '-'
  if (running || agent.state === 'stopped' || agent.state === 'cold') return summary(place)
  return `${summary(place)} ${terminal.style('red', '(not running)')}`
}

function troubleLine(terminal: Terminal, agent: Agent | undefined): string[] {
  if (agent?.lastError && (agent.state === 'error' || agent.circuit === 'open')) {
    const until = untilText(agent).trim()
    return [`  ${terminal.style('red', `${until && `${until}: `}${summary(agent.lastError, 200)}`)}`]
  }
  if (agent?.circuit !== 'half-open') return []
  return [
    `  ${terminal.style('yellow', 'The circuit is half-open: the next task shows whether the CLI works')}`,
  ]
}

/** The table of tasks, one line each. */
export function taskTable(
  terminal: Terminal,
  tasks: readonly Task[],
  about: { now: number; agentName: (id: Id) => string },
): string[] {
  const rows = tasks.map((task) => [
    idOf(task.id),
    styledState(terminal, task.state),
    task.assignedTo ? about.agentName(task.assignedTo) : '-',
    age(ageOf(task.createdAt, about.now)),
    task.durationMs === undefined ? '-' : formatDuration(task.durationMs),
    summary(task.description),
  ])
  return headedTable(terminal, ['ID', 'STATE', 'AGENT', 'AGE', 'TOOK', 'TASK'], rows)
}

/** How a task stands, in one sentence without its full stop: `Task 5ba22b1d failed (timeout) after 1h00m, attempt 2`. */
export function taskSentence(task: Task): string {
  const why = task.reason && task.state !== 'completed' ? ` (${task.reason})` : ''
  const took =
    task.durationMs !== undefined && isTerminal(task.state) ? ` after ${formatDuration(task.durationMs)}` : ''
  const attempt = (task.attempts ?? 1) > 1 ? `, attempt ${task.attempts}` : ''
  return `Task ${idOf(task.id)} ${task.state}${why}${took}${attempt}`
}

/** An agent view for programs. */
export function agentJson({ agent, queues, waiting, running, heartbeatAgeMs, task }: AgentView): object {
  return { ...agent, ...queues, waiting, running, heartbeatAgeMs, task }
}
