import { monotonicMs, sleep } from '../base/clock.ts'
import { isPassing } from '../store/connection.ts'
import type { Beat, Pulse } from '../store/lease.ts'
import type { Control } from './control.ts'
import { agentStateOf, type Lifecycle } from './lifecycle.ts'

/** How often others' wishes (stop, cancel) are read while a task runs. Between tasks the claim reads them. */
const WATCH_MS = 1000
/** `tt recover` takes an agent for dead after 120 s without a sign of life; a beat every 8 or 9 s leaves room for trouble. */
const ALIVE_MS = 8_000

/**
 * Renews the lease and writes the sign of life until `signal` aborts, also while a CLI runs, and does what others asked for
 * meanwhile: a stop drains, a cancel ends the run. Throws what the pulse throws, a lost lease among it.
 */
export async function keepHeartbeat(tools: {
  pulse: (beat: Beat) => Promise<Pulse>
  leaseMs: number
  lifecycle: Lifecycle
  control: Control
  /** Shows a sign of life outside of Redis as well. */
  touch: () => void
  signal: AbortSignal
}): Promise<void> {
  const aliveMs = Math.min(ALIVE_MS, tools.leaseMs / 3)
  let last = Number.NEGATIVE_INFINITY
  while (!tools.signal.aborted) {
    const alive = monotonicMs() - last >= aliveMs
    if (alive || tools.lifecycle.phase.name === 'working') {
      const astray = await beat(tools, alive)
      // `tt kill` and `tt resume` write a state that is not true while a run is in hand: the next beat puts it right.
      if (astray) last = Number.NEGATIVE_INFINITY
      else if (alive) last = monotonicMs()
    }
    await sleep(Math.min(WATCH_MS, aliveMs), tools.signal)
  }
}

/** One beat. True when the record says a state that is neither the worker's nor somebody's wish. */
async function beat(tools: Parameters<typeof keepHeartbeat>[0], alive: boolean): Promise<boolean> {
  const { phase } = tools.lifecycle
  const taskId = phase.name === 'working' ? phase.taskId : null
  // A pause stands in the record; asserting it would undo a resume that came a moment ago.
  const state = phase.name === 'paused' ? 'idle' : agentStateOf(phase)
  if (alive) tools.touch()
  try {
    const answer = await tools.pulse({ state, taskId, alive })
    obey(answer, tools)
    return answer.kind === 'ok' && ![state, 'paused', 'draining'].includes(answer.state)
  } catch (error) {
    if (!tools.signal.aborted && !isPassing(error)) throw error
    return false
  }
}

function obey(answer: Pulse, tools: Parameters<typeof keepHeartbeat>[0]): void {
  const { lifecycle, control } = tools
  if (answer.kind === 'evicted') control.drain('the agent record was deleted')
  else if (answer.stopRequested) control.drain('stop requested')
  const { phase } = lifecycle
  if (answer.kind === 'ok' && answer.task === 'cancelled' && phase.name === 'working')
    phase.cancel.abort('cancelled')
}
