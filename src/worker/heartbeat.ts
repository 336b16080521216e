import type { Bell } from '../base/bell.ts'
import { monotonicMs, sleep } from '../base/clock.ts'
import { isPassing } from '../store/connection.ts'
import { type Beat, Forgotten, type Pulse, type Waiting } from '../store/lease.ts'
import type { Control } from './control.ts'
import { agentStateOf, type Lifecycle } from './lifecycle.ts'

/** How often others' wishes (stop, cancel, a question) are read while nothing is claimed. Between tasks the claim reads them. */
const WATCH_MS = 500
/** `tt recover` takes an agent for dead after 120 s without a sign of life; a beat every 8 or 9 s leaves room for trouble. */
const ALIVE_MS = 8_000
/** How many messages are looked at from either end of the inbox, beyond those that came since the last look. */
const LOOK = 16
const LONGEST_LOOK = 1000

export interface HeartbeatTools {
  readonly pulse: (beat: Beat) => Promise<Pulse>
  /** Answers one message that can be answered now, of the first `head` and the last `tail`; false when there is none. */
  readonly answerOne: (look: { head: number; tail: number }) => Promise<boolean>
  /** Whether the agent is paused is told to the run in hand. */
  readonly onPaused: (paused: boolean) => void
  /** Called beside every sign of life that Redis gets. */
  readonly onAlive: () => void
  readonly leaseMs: number
  readonly lifecycle: Lifecycle
  readonly control: Control
  readonly bell: Bell
  readonly signal: AbortSignal
}

/**
 * Renews the lease and writes the sign of life until `signal` aborts, also while a CLI runs, and does what others asked for
 * meanwhile: a stop drains, a cancel ends the run, a question is answered. Throws what the pulse throws, a lost lease among it.
 */
export async function keepHeartbeat(tools: HeartbeatTools): Promise<void> {
  const aliveMs = Math.min(ALIVE_MS, tools.leaseMs / 3)
  let last = Number.NEGATIVE_INFINITY
  let seen: Waiting = { urgent: 0, inbox: 0 }
  while (!tools.signal.aborted) {
    const rung = tools.bell.next
    const alive = monotonicMs() - last >= aliveMs
    if (alive || watches(tools.lifecycle)) {
      if (alive) last = monotonicMs()
      const waiting = await beat(tools, alive)
      if (waiting && watches(tools.lifecycle)) seen = await answerAll(tools, waiting, alive ? null : seen)
    }
    await sleep(Math.min(WATCH_MS, aliveMs), tools.signal, rung)
  }
}

/** In these phases nothing is claimed, so that nobody else sees what comes. */
function watches({ phase: { name } }: Lifecycle): boolean {
  return name === 'working' || name === 'paused' || name === 'broken'
}

/** Writes the beat and obeys what comes back. Returns what waits; null when Redis did not say. */
async function beat(tools: HeartbeatTools, alive: boolean): Promise<Waiting | null> {
  const { phase } = tools.lifecycle
  const run = phase.name === 'working' ? { taskId: phase.taskId, startId: phase.startId } : { taskId: null }
  try {
    const answer = await tools.pulse({ state: stateOf(tools), ...run, alive })
    if (alive) tools.onAlive()
    obey(answer, tools)
    return answer.kind === 'ok' ? answer.waiting : null
  } catch (error) {
    if (!tools.signal.aborted && !isPassing(error)) throw error
    return null
  }
}

function stateOf({ lifecycle: { phase }, control }: HeartbeatTools) {
  // A pause stands in the record; asserting it would undo a resume that came a moment ago.
  if (phase.name === 'paused') return 'idle'
  // The flag of a stop lives for an hour, a run may take longer.
  return phase.name === 'working' && control.draining.aborted ? 'draining' : agentStateOf(phase)
}

function obey(answer: Pulse, { lifecycle, control, onPaused }: HeartbeatTools): void {
  if (answer.kind === 'evicted') {
    // `tt prune` deletes an agent in `error` with its queue. This one only waits for its CLI: it comes back with what was put by.
    if (lifecycle.phase.name === 'broken') throw new Forgotten('pruned')
    control.drain('the agent record was deleted')
    return
  }
  if (answer.stopRequested) control.drain('stop requested')
  const { phase } = lifecycle
  if (phase.name !== 'working') return
  onPaused(answer.state === 'paused' && !control.draining.aborted)
  if (answer.task === 'cancelled') phase.cancel.abort('cancelled')
}

/** A count that no list has: the next beat looks again, whatever waits then. */
const LOOK_AGAIN = -1

/**
 * Answers what can be answered, unless nothing came since the last look. `seen` is what waited then; null looks at more than what
 * is new. Returns what was seen now.
 */
async function answerAll(tools: HeartbeatTools, waiting: Waiting, seen: Waiting | null): Promise<Waiting> {
  if (waiting.urgent + waiting.inbox === 0) return waiting
  if (seen && seen.urgent === waiting.urgent && seen.inbox === waiting.inbox) return waiting
  const grown = seen ? Math.max(0, waiting.inbox - seen.inbox) : LONGEST_LOOK
  const look = { head: LOOK, tail: Math.min(LONGEST_LOOK, grown + LOOK) }
  let answered = 0
  try {
    // One after another: each is answered before the next is taken.
    while (!tools.signal.aborted && (await tools.answerOne(look))) answered += 1
    // What came while these were taken may make up for them in number.
    return answered === 0 ? waiting : { urgent: LOOK_AGAIN, inbox: Math.max(0, waiting.inbox - answered) }
  } catch (error) {
    if (!tools.signal.aborted && !isPassing(error)) throw error
    return { urgent: LOOK_AGAIN, inbox: waiting.inbox }
  }
}
