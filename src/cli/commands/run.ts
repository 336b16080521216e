import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { sleep } from '../../base/clock.ts'
import { Closers } from '../../base/closers.ts'
import { formatDuration } from '../../base/duration.ts'
import type { Context } from '../../client/context.ts'
import { type OpenTown, openTown } from '../../client/open-town.ts'
import { locateWorkdir } from '../../config/town.ts'
import { WorkerError } from '../../domain/errors.ts'
import type { WorkerEvent } from '../../domain/worker-event.ts'
import { logEvent } from '../../observability/log-events.ts'
import { createLogger, type Logger } from '../../observability/logger.ts'
import { probeVersion } from '../../process/probe.ts'
import type { Profile } from '../../process/profile.ts'
import { holderIsGone, processInfo } from '../../server/process-info.ts'
import { registerAgent } from '../../store/agents.ts'
import type { Redis } from '../../store/connection.ts'
import { Control } from '../../worker/control.ts'
import { createRunner, type Runner } from '../../worker/run.ts'
import { type WorkerEnd, work } from '../../worker/worker.ts'
import type { Command, Invocation } from '../command.ts'
import { describeTown, loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { chosenProfile } from '../profile.ts'
import { handleSignals } from '../shutdown.ts'
import { VERSION } from '../version.ts'

/** The main job: a worker that runs a coding CLI on the tasks of its inbox. */
export const run: Command = {
  name: ['run', '$0'],
  describe: 'Run a worker: take tasks from its inbox and do them with a coding CLI',
  settings: ['worker', 'town', 'redis', 'output'],
  ownSignals: true,
  run: runWorker,
}

async function runWorker({ flags, terminal, env }: Invocation): Promise<number> {
  const context = loadContext(flags, env)
  const { settings } = context
  const profile = chosenProfile(context)
  const workdir = locateWorkdir(context, { cwd: process.cwd(), root: context.place.root })
  const pretty =
    settings.logFormat === 'pretty' || (settings.logFormat === 'auto' && process.stderr.isTTY === true)
  const logger = createLogger({
    level: settings.logLevel,
    format: pretty ? 'pretty' : 'json',
    color: process.stderr.isTTY === true && !env.NO_COLOR,
  }).child({ agent: settings.name })
  for (const warning of context.warnings) logger.warn(warning)
  const control = new Control()
  const closers = new Closers()
  let runner: Runner | null = null
  const signals = handleSignals(control, {
    drainMs: settings.drainTimeout,
    onHangUp: () => (process.stdin.isTTY ? control.drain('SIGHUP') : reloadLogLevel(flags, env, logger)),
    onFirst: () => {
      if (pretty)
        terminal.note(
          `Again (Ctrl-C) ends the run in hand now and gives its task back; it may take up to ${formatDuration(settings.drainTimeout)} else.`,
        )
    },
    exit(code) {
      runner?.kill()
      process.exit(code)
    },
  })
  closers.add(() => signals.close())
  const emit = (event: WorkerEvent) => {
    if (event.type === 'task-output' && pretty) terminal.note(indent(event.text, terminal.style('gray', '│')))
    else logEvent(logger, event)
  }
  const onRunner = (made: Runner) => {
    runner = made
  }
  try {
    const end = await serve({ context, profile, workdir, logger, control, emit, closers, env, onRunner })
    return signals.forced() ?? exitCodeOf(end)
  } catch (error) {
    // A signal while the worker was still starting ends the wait for Redis; there is nothing to drain.
    if (error !== control.draining.reason) throw error
    return error === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
  } finally {
    await closers.close()
  }
}

const REGISTER_AGAIN_MS = 1000

interface Service {
  readonly context: Context
  readonly profile: Profile
  readonly workdir: string
  readonly logger: Logger
  readonly control: Control
  readonly emit: (event: WorkerEvent) => void
  readonly closers: Closers
  readonly env: NodeJS.ProcessEnv
  /** Gets the runner as soon as there is one, for an exit that waits for nothing. */
  readonly onRunner: (runner: Runner) => void
}

/** Works until the worker ends. A Redis that lost its data gets the registration again. */
async function serve(service: Service): Promise<WorkerEnd> {
  const { context, profile, logger, control, emit, closers, env } = service
  const { settings } = context
  const town = await openTown(context, {
    purpose: `worker:${settings.name}`,
    lasting: true,
    signal: control.draining,
    onServer: ({ type, ...fields }) => logger.info({ event: type, ...fields }, type.replaceAll('-', ' ')),
    onConnection: emit,
  })
  closers.add(() => town.close())
  const blocking = await town.connect(`wait:${settings.name}`)
  const cliVersion = (await probeVersion(profile, { env, signal: control.draining })) ?? undefined
  control.draining.throwIfAborted()
  for (;;) {
    const end = await workOnce(service, { town, blocking, cliVersion })
    if (end !== 'forgotten') return end
    if (!(await sleep(REGISTER_AGAIN_MS, control.draining))) return 'drained'
  }
}

interface Link {
  readonly town: OpenTown
  readonly blocking: Redis
  readonly cliVersion: string | undefined
}

/** From one registration to its end. */
async function workOnce(service: Service, { town, blocking, cliVersion }: Link): Promise<WorkerEnd> {
  const { context, profile, workdir, logger, emit, env } = service
  const { settings, place } = context
  const { lease, isNew } = await register(context, profile, town)
  emit({ type: 'registered', agentId: lease.agentId, name: lease.agentName, isNew })
  logger.info({ agentId: lease.agentId, cli: profile.id, workdir }, `in town ${describeTown(context)}`)
  const runner = createRunner({
    profile,
    workdir,
    townRoot: place.root,
    lease,
    env,
    passEnv: settings.passEnv,
    limits: { wallMs: settings.taskTimeout, stallMs: settings.stallTimeout, killGraceMs: settings.killGrace },
    emit,
  })
  service.onRunner(runner)
  const { role } = settings
  const roleInstructions = role ? readRole(place.root, role) : undefined
  return await work({
    lease,
    blocking,
    control: service.control.follow(),
    emit,
    once: settings.once,
    maxRounds: settings.maxRounds,
    inspect: runner.inspect,
    attempt: {
      cli: profile.id,
      cliVersion,
      role,
      roleInstructions,
      run: runner.run,
      logPath: runner.logPath,
    },
  })
}

async function register(context: Context, profile: Profile, town: OpenTown) {
  const { name, role, leaseMs } = context.settings
  const host = hostname()
  const startedAt = (await processInfo(process.pid))?.startedAt
  const registered = await registerAgent(town.redis, town.keys, {
    name,
    cli: profile.id,
    role,
    leaseMs,
    extra: {
      host,
      pid: process.pid,
      ...(startedAt && { pid_started: startedAt }),
      worker_version: VERSION,
    },
    isGone: (holder) => holderIsGone(holder, { hostname: host }),
  })
  if (registered.kind === 'registered') return registered
  throw new WorkerError(
    'name-in-use',
    `The agent name ${name} is in use by a live worker: pid ${registered.pid} on ${registered.host} in town ${context.townName}`,
    {
      remedy:
        `Give this one another name (--name worker-2), or stop that one: tinytown-worker kill ${name}. ` +
        `If it died, its name is free in ${Math.ceil(registered.expiresInMs / 1000)} s`,
    },
  )
}

/** The instructions of a role stand in a file of the town: `.tt/roles/<role>.md`. */
function readRole(root: string, role: string): string | undefined {
  try {
    return readFileSync(join(root, '.tt', 'roles', `${role}.md`), 'utf8')
  } catch {
    return undefined
  }
}

function reloadLogLevel(flags: Invocation['flags'], env: NodeJS.ProcessEnv, logger: Logger): void {
  try {
    logger.level = loadContext(flags, env).settings.logLevel
    logger.info(
      { event: 'reloaded', level: logger.level },
      'settings read again; the log level is in force at once',
    )
  } catch (error) {
    logger.error({ err: error }, 'the settings could not be read again; nothing changed')
  }
}

function indent(text: string, mark: string): string {
  return text
    .split('\n')
    .map((line) => `${mark} ${line}`)
    .join('\n')
}

function exitCodeOf(end: WorkerEnd): number {
  switch (end) {
    case 'lease-lost':
      return EXIT.nameInUse
    case 'redis-away':
      return EXIT.redisUnreachable
    case 'broken':
      return EXIT.config
    default:
      return EXIT.done
  }
}
