import { aborted, sleep } from '../base/clock.ts'
import { messageOf } from '../domain/errors.ts'
import type { Emit } from '../domain/worker-event.ts'
import { untilWritten } from '../reliability/until-written.ts'
import { leaveTown, setAgentState } from '../store/agents.ts'
import { abandonRedis, isPassing, type Redis } from '../store/connection.ts'
import { claimMessage, waitForMessage } from '../store/inbox.ts'
import { type Lease, LeaseLost } from '../store/lease.ts'
import { type AttemptTools, handleMessage } from './attempt.ts'
import type { Control } from './control.ts'
import { keepHeartbeat } from './heartbeat.ts'
import { Lifecycle } from './lifecycle.ts'
import { type LoopEnd, runLoop } from './loop.ts'
import type { Trouble } from './run.ts'

/** How long one wait for a message lasts; between two waits the urgent list, a pause and a stop are looked at. */
const WAIT_SECONDS = 1
/** How long an end may wait for a Redis that is away. */
const PARTING_MS = 3000

export interface WorkerOptions {
  readonly lease: Lease
  /** A connection of its own for the blocking wait. */
  readonly blocking: Redis
  readonly control: Control
  readonly emit: Emit
  readonly once: boolean
  readonly maxRounds: number
  readonly inspect: () => Promise<Trouble | null>
  readonly attempt: Pick<AttemptTools, 'cli' | 'cliVersion' | 'role' | 'roleInstructions' | 'run' | 'logPath'>
}

/** How a worker ended. */
export type WorkerEnd = LoopEnd | 'lease-lost' | 'redis-away'

/** Works until it is told to end, the inbox is empty (`once`) or its agent is taken or deleted. Leaves `stopped` behind. */
export async function work(options: WorkerOptions): Promise<WorkerEnd> {
  const { lease, emit, control } = options
  const lifecycle = new Lifecycle(emit)
  const [ending, over, parted] = [new AbortController(), new AbortController(), new AbortController()]
  tellEnds(control, emit)
  const heart = keepHeartbeat({ lease, lifecycle, control, emit, signal: ending.signal })
  const parting = partFromAbsentRedis(options, lifecycle, {
    ending: AbortSignal.any([control.draining, ending.signal]),
    over: over.signal,
    parted,
  })
  const loop = runLoop(loopTools(options, lifecycle))
  try {
    const end = await Promise.race([loop, heart.then(() => 'drained' as const)])
    // A beat after the lease was given up would look like a lost lease.
    ending.abort()
    await heart
    const givenBack = await leaveTown(lease, 'the worker ended')
    lifecycle.enter({ name: 'stopped' })
    emit({ type: 'stopped', givenBack })
    return end
  } catch (error) {
    // Whatever went wrong, no child outlives the worker.
    control.halt('shutdown')
    await loop.catch(() => undefined)
    if (error instanceof LeaseLost || control.halting.reason === 'lease-lost') return 'lease-lost'
    if (parted.signal.aborted) return 'redis-away'
    throw error
  } finally {
    ending.abort()
    over.abort()
    await Promise.allSettled([heart, parting])
  }
}

function tellEnds(control: Control, emit: Emit): void {
  const tell = (type: 'draining' | 'halting', signal: AbortSignal) => {
    signal.addEventListener('abort', () => emit({ type, why: String(signal.reason) }), { once: true })
  }
  tell('draining', control.draining)
  tell('halting', control.halting)
}

function loopTools(options: WorkerOptions, lifecycle: Lifecycle): Parameters<typeof runLoop>[0] {
  const { lease, blocking, control, emit } = options
  const write = <T>(what: () => Promise<T>): Promise<T> =>
    untilWritten(what, {
      passes: isPassing,
      onRefused: (error, retryMs) => emit({ type: 'redis-refused', detail: messageOf(error), retryMs }),
      signal: control.halting,
    })
  const attempt: AttemptTools = { ...options.attempt, lease, lifecycle, control, emit, write }
  return {
    inspect: options.inspect,
    claim: () => write(() => claimMessage(lease)),
    handle: (raw) => handleMessage(raw, attempt),
    wait: async () => {
      await write(() => waitForMessage(blocking, lease, WAIT_SECONDS, control.draining))
    },
    sayBroken: ({ detail }) =>
      write(() =>
        setAgentState(lease, { state: 'error', message: detail, lastError: detail, keep: ['paused'] }),
      ),
    sayIdle: () =>
      write(() => setAgentState(lease, { state: 'idle', message: 'ready', keep: ['paused', 'draining'] })),
    lifecycle,
    control,
    emit,
    once: options.once,
    maxRounds: options.maxRounds,
  }
}

/**
 * A worker that is to end does not wait for a Redis that is away: after a moment its connections are closed, and what waits
 * on them ends. The lease runs out by itself and what is in flight is taken up by the next start.
 */
async function partFromAbsentRedis(
  { lease, blocking }: WorkerOptions,
  lifecycle: Lifecycle,
  { ending, over, parted }: { ending: AbortSignal; over: AbortSignal; parted: AbortController },
): Promise<void> {
  await Promise.race([aborted(ending), aborted(over)])
  let absentMs = 0
  while (!over.aborted) {
    const present = lease.redis.status === 'ready'
    absentMs = present || lifecycle.phase.name === 'working' ? 0 : absentMs + 250
    if (absentMs >= PARTING_MS) {
      parted.abort()
      abandonRedis(lease.redis)
      abandonRedis(blocking)
      return
    }
    await sleep(250, over)
  }
}
