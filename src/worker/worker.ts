import { anyOf, unlessAborted } from '../base/abort.ts'
import type { Bell } from '../base/bell.ts'
import { aborted, monotonicMs, sleep } from '../base/clock.ts'
import { messageOf } from '../domain/errors.ts'
import type { Id } from '../domain/ids.ts'
import type { Emit } from '../domain/worker-event.ts'
import type { Circuit } from '../reliability/circuit.ts'
import { lookAfterPeers } from '../reliability/peers.ts'
import { untilWritten } from '../reliability/until-written.ts'
import { leaveTown, setAgentState } from '../store/agents.ts'
import { abandonRedis, isPassing, type Redis } from '../store/connection.ts'
import { claimMessage, waitForMessage } from '../store/inbox.ts'
import { Forgotten, type Lease, LeaseLost, pulse } from '../store/lease.ts'
import { lookAtPeers, recoverPeer } from '../store/peers.ts'
import { getTask } from '../store/tasks.ts'
import { BacklogLook } from './backlog.ts'
import type { Control } from './control.ts'
import { answerAtOnce, handleMessage } from './handle.ts'
import { keepHeartbeat } from './heartbeat.ts'
import { Lifecycle } from './lifecycle.ts'
import { type LoopEnd, type LoopTools, runLoop } from './loop.ts'
import { endOfLostRun } from './lost-run.ts'
import type { MissionTools } from './mission.ts'
import { buryPoison } from './poison.ts'
import { whileRefused } from './refused.ts'
import type { Trouble } from './run.ts'
import { settleSpooled } from './settle-spooled.ts'
import type { AttemptTools } from './work.ts'

/** How long one wait for a message lasts; between two waits the urgent list, a pause and a stop are looked at. */
const WAIT_SECONDS = 1
/** How long an end may wait for a Redis that is away. */
const PARTING_MS = 3000
const POLL_MS = 250
const PING_MS = 1000

export interface WorkerOptions {
  readonly lease: Lease
  /** A connection of its own for the blocking wait. */
  readonly blocking: Redis
  /** Rings when somebody wants to be heard at once. */
  readonly bell: Bell
  /** Rings when somebody wants a broken agent to look again at once. */
  readonly lookBell: Bell
  /** Called beside every sign of life that Redis gets. */
  readonly onAlive: () => void
  /** Called at each turn of the claim loop. */
  readonly onTurn: () => void
  /** Tells the run in hand whether the agent is paused. */
  readonly onPaused: (paused: boolean) => void
  readonly control: Control
  /** Says whether the CLI is worth another task; it outlives a registration. */
  readonly circuit: Circuit
  readonly emit: Emit
  /** Takes the secrets out of what is written of the surroundings and of messages. */
  readonly redact: (text: string) => string
  readonly once: boolean
  readonly maxRounds: number
  /** Take tasks from the backlog when the inbox is empty. */
  readonly claimBacklog: boolean
  readonly inspect: () => Promise<Trouble | null>
  readonly attempt: Pick<
    AttemptTools,
    'cli' | 'cliVersion' | 'delivery' | 'retries' | 'role' | 'roleInstructions' | 'run' | 'logPath' | 'spool'
  > & {
    /** Reports the task of a mission; the signal ends that. */
    readonly report: (taskId: Id, result: string, signal: AbortSignal) => Promise<string | null>
  }
}

/** How a worker ended. */
export type WorkerEnd = LoopEnd | 'lease-lost' | 'forgotten' | 'redis-away'

/** Works until it is told to end, the inbox is empty (`once`) or its agent is taken or deleted. Leaves `stopped` behind. */
export async function work(options: WorkerOptions): Promise<WorkerEnd> {
  const { lease, emit, control } = options
  const lifecycle = new Lifecycle(emit)
  const [ending, over, parted] = [new AbortController(), new AbortController(), new AbortController()]
  const redis = patientWith(options, parted.signal)
  tellEnds(options, lifecycle, redis)
  const says = sayTools(options, redis)
  const attempt = attemptTools(options, { ...says, lifecycle, redis, over: over.signal })
  const heart = keepHeartbeat({
    pulse: (beat) => redis.once(() => pulse(lease, beat)),
    answerOne: (look) => redis.once(() => answerAtOnce(look, attempt)),
    onPaused: options.onPaused,
    onAlive: options.onAlive,
    leaseMs: lease.leaseMs,
    lifecycle,
    control,
    bell: options.bell,
    signal: ending.signal,
  })
  const watch = lookAfterPeers({
    look: () => redis.once(() => lookAtPeers(lease.redis, lease.town)),
    recover: (agentId) => redis.once(() => recoverPeer(lease.redis, lease.town, agentId, endOfLostRun)),
    self: lease.agentId,
    onRecovered: (recovered) => emit({ type: 'peer-recovered', ...recovered }),
    onFailed: tellOnce(emit),
    signal: ending.signal,
  })
  const parting = partFromAbsentRedis(options, lifecycle, {
    ending: anyOf(control.draining, ending.signal),
    over: over.signal,
    parted,
  })
  const loop = settleSpooled(attempt).then(async (settled): Promise<LoopEnd> => {
    if (settled) return await runLoop(loopTools(options, attempt, { ...says, redis }))
    return control.draining.aborted ? 'drained' : 'broken'
  })
  try {
    const end = await Promise.race([loop, heart.then(() => 'drained' as const)])
    // A beat after the lease was given up would look like a lost lease.
    ending.abort()
    await heart
    const leave = () => leaveTown(lease, 'the worker ended', { keepRecord: end === 'restarted' })
    const givenBack = await redis.until(AbortSignal.timeout(PARTING_MS))(leave)
    lifecycle.enter({ name: 'stopped' })
    emit({ type: 'stopped', givenBack })
    return end
  } catch (error) {
    return await endBadly(error, { control, loop, emit })
  } finally {
    ending.abort()
    over.abort()
    await Promise.allSettled([heart, parting, watch])
  }
}

/** Tells of peers that cannot be looked after; what passes by itself is told by those who work. */
function tellOnce(emit: Emit): (error: unknown) => void {
  let told = ''
  return (error) => {
    const detail = messageOf(error)
    if (error instanceof RedisAway || isPassing(error) || detail === told) return
    told = detail
    emit({ type: 'peers-unwatched', detail })
  }
}

/** Whatever went wrong, no child outlives the worker. Throws what nobody expected. */
async function endBadly(
  error: unknown,
  { control, loop, emit }: { control: Control; loop: Promise<unknown>; emit: Emit },
): Promise<WorkerEnd> {
  const lost = error instanceof LeaseLost
  const forgotten = error instanceof Forgotten
  if (lost) emit({ type: 'lease-lost' })
  if (forgotten) emit({ type: 'forgotten', why: error.why })
  control.halt(lost || forgotten ? 'lease-lost' : 'shutdown')
  await loop.catch(() => undefined)
  if (lost) return 'lease-lost'
  if (forgotten) return 'forgotten'
  if (error instanceof RedisAway || isPassing(error)) {
    emit({ type: 'left-without-redis', detail: messageOf(error) })
    return 'redis-away'
  }
  throw error
}

/** The worker ends and Redis does not answer. */
class RedisAway extends Error {
  constructor() {
    super('Redis did not answer in time')
    this.name = 'RedisAway'
  }
}

/** How the worker speaks with a Redis that may be slow, away or unwilling. */
interface Patience {
  /** Once; given up when the worker parts from Redis. */
  once<T>(what: () => Promise<T>): Promise<T>
  /** Again and again while Redis refuses for a reason that passes by itself, until the signal aborts. */
  until(signal: AbortSignal): <T>(what: () => Promise<T>) => Promise<T>
}

function patientWith({ emit }: WorkerOptions, parted: AbortSignal): Patience {
  // A client may never settle the commands of a connection that froze: whoever waits for one is let go here.
  const once = <T>(what: () => Promise<T>): Promise<T> => unlessAborted(what(), parted)
  const onRefused = (error: unknown, retryMs: number) =>
    emit({ type: 'redis-refused', detail: messageOf(error), retryMs })
  return {
    once,
    until: (signal) => (what) => untilWritten(() => once(what), { passes: isPassing, onRefused, signal }),
  }
}

function tellEnds(
  { control, emit, lease, onPaused }: WorkerOptions,
  lifecycle: Lifecycle,
  redis: Patience,
): void {
  const once = { once: true }
  const { draining, halting } = control
  draining.addEventListener(
    'abort',
    () => {
      emit({ type: 'draining', why: String(draining.reason) })
      // A run that a pause has stopped could never end.
      onPaused(false)
      if (lifecycle.phase.name !== 'working') return
      const state = {
        state: 'draining',
        message: 'the run in hand is the last one',
        keep: ['paused'],
      } as const
      // For those who look; the end itself does not depend on it.
      redis.once(() => setAgentState(lease, state)).catch(() => undefined)
    },
    once,
  )
  halting.addEventListener('abort', () => emit({ type: 'halting', why: String(halting.reason) }), once)
}

/** How the worker says in its record how things stand. */
function sayTools(
  { lease, control, circuit, redact }: WorkerOptions,
  redis: Patience,
): Pick<LoopTools, 'sayBroken' | 'sayIdle'> {
  const keep = ['paused', 'draining'] as const
  const between = redis.until(control.draining)
  const say = (change: Parameters<typeof setAgentState>[1]) =>
    between(() => setAgentState(lease, { ...change, keep, circuit: circuit.state }))
  return {
    sayBroken: (detail) => {
      const told = redact(detail)
      return say({ state: 'error', message: told, lastError: told })
    },
    sayIdle: (why = 'ready') => say({ state: 'idle', message: why }),
  }
}

function attemptTools(
  options: WorkerOptions,
  {
    lifecycle,
    redis,
    over,
    sayBroken,
  }: { lifecycle: Lifecycle; redis: Patience; over: AbortSignal } & Pick<LoopTools, 'sayBroken'>,
): AttemptTools {
  const { lease, control, emit, redact, lookBell, once } = options
  // A result is worth more patience than a claim: it is given up only when the worker is to end at once.
  const write = redis.until(control.halting)
  const writeEnd: AttemptTools['writeEnd'] = (what) =>
    whileRefused(() => write(what), { lifecycle, control, emit, lookBell, once, sayBroken })
  const { report, ...attempt } = options.attempt
  const mission: MissionTools = {
    report: (id, result) => report(id, result, control.halting),
    read: (id: Id) => write(() => getTask(lease.redis, lease.town, id)),
  }
  // No task waits for an answer that does not come; nor is it left behind.
  const cliVersion = (signal: AbortSignal) => attempt.cliVersion(anyOf(signal, over))
  return { ...attempt, cliVersion, mission, lease, lifecycle, control, emit, redact, write, writeEnd }
}

function loopTools(
  options: WorkerOptions,
  attempt: AttemptTools,
  { redis, ...says }: { redis: Patience } & Pick<LoopTools, 'sayBroken' | 'sayIdle'>,
): LoopTools {
  const { lease, blocking, control, circuit, emit, bell, lookBell } = options
  const { lifecycle } = attempt
  const between = redis.until(control.draining)
  const backlog = new BacklogLook(lease, options.attempt.role)
  let rounds = 0
  return {
    inspect: options.inspect,
    claim: async () => {
      // The probe should be a task that has not failed yet: those that have may be bad themselves, or run out of attempts.
      const due = circuit.state === 'half-open' ? 'tail' : 'head'
      const claim = await between(() => claimMessage(lease, rounds, due))
      if ('rounds' in claim) rounds = claim.rounds
      return claim
    },
    handle: async (claimed) => {
      const handled = await handleMessage(claimed, attempt)
      if (handled.kind === 'ran' && handled.rounds !== undefined) rounds = handled.rounds
      return handled
    },
    putPoisonAside: (poison) => buryPoison(poison, attempt),
    fetchWork: async () => options.claimBacklog && (await between(() => backlog.take())),
    wait: async (rung) => {
      await between(() => waitForMessage(blocking, lease, WAIT_SECONDS, control.draining, rung))
    },
    ...says,
    circuit,
    lifecycle,
    control,
    bell,
    lookBell,
    emit,
    onTurn: options.onTurn,
    once: options.once,
    maxRounds: options.maxRounds,
  }
}

/**
 * A worker that is to end does not wait for a Redis that is away: after a moment its connections are closed, and what waits
 * on them ends. The lease runs out by itself and what is in flight is taken up by the next start. A run in hand may finish
 * first, unless it is to end at once; so may its result be written, unless it lies in the spool.
 */
async function partFromAbsentRedis(
  { lease, blocking, control, attempt: { spool } }: WorkerOptions,
  lifecycle: Lifecycle,
  { ending, over, parted }: { ending: AbortSignal; over: AbortSignal; parted: AbortController },
): Promise<void> {
  await Promise.race([aborted(ending), aborted(over)])
  let presentAt = monotonicMs()
  while (!over.aborted) {
    const { phase } = lifecycle
    const busy = phase.name === 'working' && !phase.isOver && !spool.holds && !control.halting.aborted
    if (busy || (await answers(lease.redis, over))) presentAt = monotonicMs()
    if (monotonicMs() - presentAt >= PARTING_MS) {
      parted.abort(new RedisAway())
      abandonRedis(lease.redis)
      abandonRedis(blocking)
      return
    }
    await sleep(POLL_MS, over)
  }
}

/** Whether Redis answers now. One that froze still has its connections. */
async function answers(redis: Redis, signal: AbortSignal): Promise<boolean> {
  if (redis.status !== 'ready') return false
  const patience = new AbortController()
  const pong = redis.ping().then(
    () => true,
    () => false,
  )
  const late = sleep(PING_MS, patience.signal, signal).then(() => false)
  const answered = await Promise.race([pong, late])
  patience.abort()
  return answered
}
