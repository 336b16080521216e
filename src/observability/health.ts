import { monotonicMs, within } from '../base/clock.ts'
import { messageOf } from '../domain/errors.ts'
import type { WorkerEvent } from '../domain/worker-event.ts'
import { type AgentStatus, newStatus, nextStatus } from './agent-status.ts'

/** How long Redis may take to answer a look. */
const LOOK_MS = 2000
/** A claim loop between two tasks turns once a second; after so long without a turn it is wedged. */
export const WEDGED_MS = 30_000

/** What is asked of a registered agent. */
export interface Vitals {
  /** What stands in Redis: one round trip. */
  readonly look: () => Promise<QueueLook>
  /** What keeps a run from starting; null when nothing does. */
  readonly inspect: () => Promise<string | null>
  readonly circuit: () => 'closed' | 'open' | 'half-open'
  /** How often the agent was registered before. */
  readonly restarts: number
  /** How long Redis may be silent before the agent's lease has run out, in milliseconds. */
  readonly leaseMs: number
}

interface QueueLook {
  readonly inbox: number
  readonly urgent: number
  readonly delayed: number
  readonly inFlight: number
  readonly leased: boolean
}

/** What an agent needs to take a task. `null` = in order, else why not. */
interface Checks {
  readonly redis: string | null
  readonly lease: string | null
  readonly cli: string | null
  readonly circuit: string | null
  readonly draining: string | null
}

export interface AgentHealth {
  readonly status: AgentStatus
  readonly checks: Checks
  readonly queues?: QueueLook
  readonly circuit: 'closed' | 'open' | 'half-open'
  readonly restarts: number
}

interface Patient {
  status: AgentStatus
  vitals: Vitals | null
  turnedAt: number
  beatAt: number
  /** It ended: nothing is expected of it any more. */
  left: boolean
}

/** Whether the agents of this process live and could take a task now. It is told everything and asks Redis only when asked itself. */
export class Health {
  readonly #agents = new Map<string, Patient>()
  readonly #startedAt = new Date()
  readonly #now: () => number

  constructor(names: readonly string[], now: () => number = monotonicMs) {
    this.#now = now
    const at = this.#startedAt.toISOString()
    for (const name of names)
      this.#agents.set(name, {
        status: newStatus(name, at),
        vitals: null,
        turnedAt: now(),
        beatAt: now(),
        left: false,
      })
  }

  /** An agent whose name was still to be found has it now. */
  rename(from: string, to: string): void {
    const patient = this.#of(from)
    this.#agents.delete(from)
    this.#agents.set(to, { ...patient, status: { ...patient.status, name: to } })
  }

  get startedAt(): Date {
    return this.#startedAt
  }

  get statuses(): AgentStatus[] {
    return [...this.#agents.values()].map(({ status }) => status)
  }

  /** Returns whether the status of the agent changed. */
  tell(agent: string, event: WorkerEvent): boolean {
    const patient = this.#of(agent)
    const before = patient.status
    patient.status = nextStatus(before, event, new Date().toISOString())
    return patient.status !== before
  }

  /** The agent has ended, and others of the process go on. */
  dismiss(agent: string): void {
    this.#of(agent).left = true
  }

  /** From now on the agent can be asked. */
  attend(agent: string, vitals: Vitals): void {
    const now = this.#now()
    Object.assign(this.#of(agent), { vitals, turnedAt: now, beatAt: now })
  }

  /** The claim loop of an agent made another turn. */
  turned(agent: string): void {
    this.#of(agent).turnedAt = this.#now()
  }

  /** Redis took a sign of life of an agent. */
  beat(agent: string): void {
    this.#of(agent).beatAt = this.#now()
  }

  /** The agents whose claim loop is wedged. One that waits for Redis, for its CLI or for a run in hand is not. */
  wedged(): string[] {
    const now = this.#now()
    return [...this.#agents.values()]
      .filter(
        ({ vitals, status, turnedAt }) =>
          vitals && status.registered && turns(status) && now - turnedAt > WEDGED_MS,
      )
      .filter((patient) => !this.#isSilent(patient))
      .map(({ status }) => status.name)
  }

  /** The agents of which Redis has taken no sign of life for longer than their lease. */
  silent(): string[] {
    return [...this.#agents.values()]
      .filter((patient) => this.#isSilent(patient))
      .map(({ status }) => status.name)
  }

  /** Asks everything of every agent. */
  async examine(): Promise<{ agents: AgentHealth[]; roundTripMs?: number }> {
    const from = this.#now()
    let roundTripMs: number | undefined
    const agents = await Promise.all(
      [...this.#agents.values()].map(async ({ status, vitals }) => {
        if (!vitals) return { status, checks: UNREGISTERED, circuit: 'closed' as const, restarts: 0 }
        const [look, cli] = await Promise.all([
          within(LOOK_MS, vitals.look()).then((found) => {
            if (found === undefined) return `Redis did not answer within ${LOOK_MS / 1000} s`
            roundTripMs = Math.max(roundTripMs ?? 0, this.#now() - from)
            return found
          }, messageOf),
          vitals.inspect().catch(messageOf),
        ])
        const { circuit: ask, restarts } = vitals
        const queues = typeof look === 'string' ? {} : { queues: look }
        return { status, ...queues, checks: checksOf(status, look, cli, ask()), circuit: ask(), restarts }
      }),
    )
    return { agents, ...(roundTripMs === undefined ? {} : { roundTripMs }) }
  }

  #isSilent({ vitals, beatAt, left }: Patient): boolean {
    return vitals !== null && !left && this.#now() - beatAt > vitals.leaseMs
  }

  #of(agent: string): Patient {
    const patient = this.#agents.get(agent)
    if (!patient) throw new Error(`No agent of this process is named ${agent}`)
    return patient
  }
}

/** True when every check is in order. */
export function isReady({ checks }: AgentHealth): boolean {
  return Object.values(checks).every((why) => why === null)
}

const UNREGISTERED: Checks = {
  redis: 'not connected yet',
  lease: 'not registered yet',
  cli: null,
  circuit: null,
  draining: null,
}

/** In these states the loop looks for a message again and again. */
function turns({ state }: AgentStatus): boolean {
  return state === 'starting' || state === 'idle' || state === 'paused'
}

function checksOf(
  status: AgentStatus,
  look: QueueLook | string,
  cli: string | null,
  circuit: 'closed' | 'open' | 'half-open',
): Checks {
  const away = typeof look === 'string'
  const held = status.registered && !away && look.leased
  return {
    redis: away ? look : null,
    lease: held ? null : away ? 'Redis does not say' : 'this worker does not hold the lease of its agent',
    cli: cli ?? (status.state === 'error' ? (status.trouble ?? 'the agent is in error') : null),
    circuit: circuit === 'closed' ? null : `the circuit is ${circuit}`,
    draining: status.draining ? 'the worker ends' : null,
  }
}
