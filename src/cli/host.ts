import { accessSync, constants, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { anyOf, unlessAborted } from '../base/abort.ts'
import { Bell } from '../base/bell.ts'
import { aborted, sleep } from '../base/clock.ts'
import type { Closers } from '../base/closers.ts'
import type { Context } from '../client/context.ts'
import { type OpenTown, openTown } from '../client/open-town.ts'
import { ensureServer, serverOptions } from '../client/own-server.ts'
import { plainUrl } from '../config/redis-target.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import type { Id } from '../domain/ids.ts'
import type { Vitals } from '../observability/health.ts'
import type { Logger } from '../observability/logger.ts'
import { longestPrompt } from '../process/command.ts'
import { completeWithTt } from '../process/tt.ts'
import { Circuit } from '../reliability/circuit.ts'
import { keepOrphanedResults, Spool } from '../reliability/spool.ts'
import { untilWritten } from '../reliability/until-written.ts'
import { type ServerEvent, serverPlace } from '../server/place.ts'
import { reviveLocalRedis } from '../server/revive.ts'
import { getAgent, leaveTown } from '../store/agents.ts'
import { type ConnectionEvent, isPassing, keepTalking } from '../store/connection.ts'
import type { Lease } from '../store/lease.ts'
import { findOldKeys, OLD_KEYS_REMEDY, oldKeysSentence } from '../store/old-keys.ts'
import { readQueues } from '../store/queues.ts'
import { hearTown } from '../store/wake.ts'
import { makeFolders } from '../worker/folder.ts'
import { createRunner, type Runner } from '../worker/run.ts'
import { type WorkerEnd, work } from '../worker/worker.ts'
import { type Registration, register, registerFree } from './register.ts'
import { type Host, type Seat, seatNames, type Voice } from './seat.ts'
import { tidyUp } from './tidy-up.ts'

const REGISTER_AGAIN_MS = 1000
/** How long an end may wait for a Redis that is away. */
const PARTING_MS = 3000

/**
 * Registers the agents of this process, all or none, and works until the last of them ends. Returns how each ended. An agent
 * that ends by itself leaves the others working; an error that nobody expected ends them all.
 */
export async function hostAgents(host: Host): Promise<WorkerEnd[]> {
  const seats = await takeSeats(host)
  const registered = await registerAll(host, seats)
  warnOfOldKeys(seats)
  keepOrphans(host, seats)
  const ended = tidyUp(host, (event) => seats[0]?.voice.emit(event))
  const served = await Promise.allSettled(
    registered.map(async ({ seat, lease }) => {
      try {
        return await serve(host, { ...seat, voice: tellingEnds(seat.voice, ended) }, lease)
      } catch (error) {
        host.control.halt('shutdown')
        throw error
      } finally {
        host.health.dismiss(seat.name)
      }
    }),
  )
  return served.map((end) => {
    if (end.status === 'rejected') throw end.reason
    return end.value
  })
}

async function takeSeats({ context, control, closers, redaction, voiceOf }: Host): Promise<Seat[]> {
  const names = seatNames(context.settings)
  const [first = ''] = names
  const { logger, emit } = voiceOf(first)
  makeStateFolder(context.place.root, logger)
  const town = await openTown(context, {
    purpose: `worker:${first}`,
    lasting: true,
    signal: control.draining,
    onServer: (event) => logServer(logger, event),
    onConnection: withRevival(context, closers, { logger, emit }),
  })
  closers.add(() => town.close())
  redaction.learn(passwordsOf(town))
  const listening = await town.connect(`hear:${first}`)
  keepTalking(listening)
  for (const warning of town.server.warnings) logger.warn({ event: 'redis-warning' }, warning)
  for (const note of town.server.notes) logger.info({ event: 'redis-note' }, note)
  control.draining.throwIfAborted()
  const { circuitFailures: failures, circuitDelay: firstMs } = context.settings
  const seats: Seat[] = []
  for (const name of names) {
    const redis = name === first ? town.redis : await town.connect(`worker:${name}`)
    // Nothing is asked on it while a wait hangs.
    keepTalking(redis)
    const blocking = await town.connect(`wait:${name}`)
    const circuit = new Circuit({ failures, firstMs })
    seats.push({ name, town, redis, blocking, listening, voice: voiceOf(name), circuit })
  }
  return seats
}

/** The same voice; `ended` rings when a run has ended. */
function tellingEnds({ logger, emit }: Voice, ended: Bell): Voice {
  return {
    logger,
    emit(event) {
      emit(event)
      if (event.type === 'task-settled' || event.type === 'task-retried') ended.ring()
    },
  }
}

/** Tells of keys that an old Tinytown left, without anybody waiting for it. */
function warnOfOldKeys([seat]: readonly Seat[]): void {
  if (!seat) return
  findOldKeys(seat.redis)
    .then((found) => {
      if (found)
        seat.voice.logger.warn(
          { event: 'old-keys', ...found },
          `${oldKeysSentence(found)}. ${OLD_KEYS_REMEDY}`,
        )
    })
    // Where SCAN is not allowed nobody can tell.
    .catch(() => undefined)
}

/** Sets results aside whose agent Redis does not know any more: nobody would ever settle them. */
function keepOrphans({ context }: Host, [seat]: readonly Seat[]): void {
  if (!seat) return
  const isGone = async (agentId: Id) => (await getAgent(seat.redis, seat.town.keys, agentId)) === null
  void keepOrphanedResults({ root: spoolOf(context), isGone, emit: seat.voice.emit })
}

function spoolOf({ place }: Context): string {
  return join(place.root, '.tt', 'spool')
}

/** What the worker keeps of the town on this machine. A town with its Redis elsewhere may do without. */
function makeStateFolder(root: string, logger: Logger): void {
  const folder = join(root, '.tt')
  try {
    makeFolders(folder)
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    logger.warn(
      { event: 'state-folder-failed', path: folder },
      `${folder} cannot be written: ${messageOf(error)}. There will be no log files of runs, and a result that Redis does not take is lost with this process. Make it writable for this user; in a container mount a volume at ${root}`,
    )
  }
}

function logServer(logger: Logger, { type, ...fields }: ServerEvent): void {
  logger.info({ event: type, ...fields }, type.replaceAll('-', ' '))
}

/** Tells what happens to the connection, and starts the town's own server again when it died under the worker. */
function withRevival(
  context: Context,
  closers: Closers,
  { logger, emit }: Voice,
): (event: ConnectionEvent) => void {
  const options = serverOptions(context)
  if (options === null) return emit
  const { pidFile } = serverPlace(options)
  const onEvent = (event: ServerEvent) => logServer(logger, event)
  const server = { pidFile, start: (signal: AbortSignal) => ensureServer(context, { onEvent, signal }) }
  let back = new AbortController()
  closers.add(async () => back.abort())
  return (event) => {
    emit(event)
    if (event.type === 'redis-waiting') return
    back.abort()
    if (event.type !== 'redis-lost') return
    back = new AbortController()
    void reviveLocalRedis(server, {
      signal: back.signal,
      onStopped: () => emit({ type: 'redis-stopped' }),
      onFailed: (detail) => emit({ type: 'redis-not-started', detail }),
    })
  }
}

/** A name that is in use takes back the registrations before it. */
async function registerAll(host: Host, seats: readonly Seat[]): Promise<Registration[]> {
  const done: Registration[] = []
  const fromPool = host.context.settings.namePool > 0
  try {
    for (const seat of seats)
      done.push(fromPool ? await registerFree(host, seat) : { seat, lease: await register(host, seat) })
    return done
  } catch (error) {
    for (const { lease } of done)
      await leaveTown(lease, 'another agent of this process could not be registered')
    throw error
  }
}

/** Works until the agent ends. A Redis that lost its data gets the registration again. */
async function serve(host: Host, seat: Seat, first: Lease): Promise<WorkerEnd> {
  let lease = first
  for (;;) {
    const end = await workOnce(host, seat, lease)
    if (end !== 'forgotten') return end
    if (!(await sleep(REGISTER_AGAIN_MS, host.control.draining))) return 'drained'
    const again = await registerAgain(host, seat, lease)
    if (typeof again === 'string') return again
    lease = again
  }
}

/** An agent that cannot be registered again ends, and the others of the process go on. */
async function registerAgain(host: Host, seat: Seat, before: Lease): Promise<Lease | WorkerEnd> {
  const { emit } = seat.voice
  const { draining } = host.control
  const [over, parted] = [new AbortController(), new AbortController()]
  void aborted(anyOf(draining, over.signal))
    .then(() => sleep(PARTING_MS, over.signal))
    .then((late) => late && parted.abort())
  try {
    return await untilWritten(() => unlessAborted(register(host, seat, before), parted.signal), {
      passes: isPassing,
      onRefused: (error, retryMs) => emit({ type: 'redis-refused', detail: messageOf(error), retryMs }),
      signal: draining,
    })
  } catch (error) {
    if (error instanceof WorkerError && error.code === 'name-in-use') {
      emit({ type: 'lease-lost' })
      return 'lease-lost'
    }
    if (!parted.signal.aborted && !isPassing(error)) throw error
    emit({ type: 'left-without-redis', detail: messageOf(error) })
    return 'redis-away'
  } finally {
    over.abort()
  }
}

/** From one registration to its end. */
async function workOnce(host: Host, seat: Seat, lease: Lease): Promise<WorkerEnd> {
  const { context, profile, workdir, env, runners } = host
  const { emit } = seat.voice
  const { settings, place } = context
  const { role } = settings
  const { redactor } = host.redaction
  const runner = createRunner({
    profile,
    workdir,
    townRoot: place.root,
    lease,
    env,
    passEnv: settings.passEnv,
    pauseSignal: settings.pauseSignal ?? null,
    limits: {
      wallMs: settings.taskTimeout,
      stallMs: settings.stallTimeout,
      killGraceMs: settings.killGrace,
      outputBytes: settings.outputLimit,
    },
    redactor,
    emit,
  })
  runners.add(runner)
  host.health.attend(seat.name, vitalsOf(lease, runner, seat.circuit))
  const bell = new Bell()
  const lookBell = new Bell()
  const deafen = await hearTown(seat.listening, lease, {
    onWake: () => bell.ring(),
    onLook: () => lookBell.ring(),
    onError: (error) =>
      seat.voice.logger.error({ err: error }, 'a broadcast could not be put into the inbox'),
  })
  try {
    return await work({
      lease,
      blocking: seat.blocking,
      bell,
      lookBell,
      onAlive: () => {
        host.health.beat(seat.name)
        runner.signOfLife()
      },
      onTurn: () => host.health.turned(seat.name),
      onPaused: runner.setPaused,
      control: host.control.follow(),
      circuit: seat.circuit,
      emit,
      once: settings.once,
      maxRounds: settings.maxRounds,
      claimBacklog: settings.claimBacklog,
      inspect: runner.inspect,
      redact: host.redaction.text,
      attempt: {
        cli: { id: profile.id, longestPrompt: longestPrompt(profile) },
        cliVersion: host.cliVersion,
        delivery: settings.delivery,
        retries: { maxAttempts: settings.maxAttempts, firstMs: settings.retryDelay },
        role,
        roleInstructions: role ? readRole(place.root, role) : undefined,
        run: runner.run,
        logPath: runner.logPath,
        spool: new Spool({
          root: spoolOf(context),
          agentId: lease.agentId,
          emit,
          isAway: () => lease.redis.status !== 'ready',
        }),
        report: async (taskId, result, signal) => {
          const redisUrl = plainUrl(seat.town.server.address)
          const failure = await completeWithTt({
            townRoot: place.root,
            redisUrl,
            env,
            taskId,
            result,
            signal,
          })
          // `tt` may say with which URL it tried.
          return failure === null ? null : redactor.text(failure)
        },
      },
    })
  } finally {
    deafen()
    runners.delete(runner)
  }
}

/** What somebody who asks for the health of an agent is told. */
function vitalsOf(lease: Lease, runner: Runner, circuit: Circuit): Vitals {
  return {
    look: async () => {
      const [queues] = await readQueues(lease.redis, lease.town, [lease.agentId])
      if (!queues) throw new Error('Redis tells nothing of this agent')
      return queues
    },
    inspect: async () => (await runner.inspect())?.detail ?? null,
    circuit: () => circuit.state,
    restarts: lease.registration - 1,
    leaseMs: lease.leaseMs,
  }
}

/** What the town was opened with, wherever it came from. */
function passwordsOf({ server: { address } }: OpenTown): (string | undefined)[] {
  const { login, place } = address
  return [login.password, place.kind === 'sentinel' ? place.sentinelLogin.password : undefined]
}

/** The instructions of a role stand in a file of the town: `.tt/roles/<role>.md`. */
function readRole(root: string, role: string): string | undefined {
  try {
    return readFileSync(join(root, '.tt', 'roles', `${role}.md`), 'utf8')
  } catch {
    return undefined
  }
}
