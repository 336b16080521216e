import { hostname } from 'node:os'
import { Closers } from '../../base/closers.ts'
import { formatDuration } from '../../base/duration.ts'
import type { Context } from '../../client/context.ts'
import { requireRedis } from '../../client/own-server.ts'
import { expected } from '../../config/problem.ts'
import { parseRedisUrl } from '../../config/redis-url.ts'
import { locateWorkdir } from '../../config/town.ts'
import { WorkerError } from '../../domain/errors.ts'
import { redactEvent, type WorkerEvent } from '../../domain/worker-event.ts'
import { Health } from '../../observability/health.ts'
import type { HealthAddress, HealthServer } from '../../observability/health-server.ts'
import { logEvent } from '../../observability/log-events.ts'
import { LogFile } from '../../observability/log-file.ts'
import { createLogger, type Logger } from '../../observability/logger.ts'
import type { Metrics } from '../../observability/metrics.ts'
import { versionTeller } from '../../process/probe.ts'
import { uselessNames } from '../../process/secrets.ts'
import { Control } from '../../worker/control.ts'
import type { Runner } from '../../worker/run.ts'
import type { WorkerEnd } from '../../worker/worker.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { hostAgents } from '../host.ts'
import { chosenProfile } from '../profile.ts'
import { Redaction } from '../redaction.ts'
import { seatNames } from '../seat.ts'
import { saveOwnServer, serviceManager } from '../service-manager.ts'
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
  requireRedis(context)
  checkNames(context)
  const profile = chosenProfile(context)
  const workdir = locateWorkdir(context, { cwd: process.cwd(), root: context.place.root })
  const pretty =
    settings.logFormat === 'pretty' || (settings.logFormat === 'auto' && process.stderr.isTTY === true)
  const environment = { ...env, ...profile.env.set }
  const redaction = new Redaction({ environment, named: settings.redact, values: passwordsOf(settings) })
  const logger = createLogger({
    redact: redaction.text,
    level: settings.logLevel,
    format: pretty ? 'pretty' : 'json',
    color: process.stderr.isTTY === true && !env.NO_COLOR,
    ...(settings.logFile ? { file: new LogFile(settings.logFile) } : {}),
  })
  for (const warning of context.warnings) logger.warn(warning)
  for (const sentence of uselessNames({ environment, named: settings.redact }))
    logger.warn({ event: 'redact-nothing' }, `--redact: ${sentence}`)
  const control = new Control()
  const closers = new Closers()
  const runners = new Set<Runner>()
  // A child has a level of its own.
  const loggers: [Logger, ...Logger[]] = [logger]
  const signals = handleSignals(control, {
    drainMs: settings.drainTimeout,
    onHangUp() {
      if (process.stdin.isTTY) return control.drain('SIGHUP')
      const read = () => reloadLogLevel(flags, env, loggers)
      if (manager) manager.reload(read)
      else read()
    },
    onFirst: () => {
      if (pretty && [...runners].some((runner) => runner.inHand() !== null))
        terminal.note(
          `Again (Ctrl-C) ends the run in hand now and gives its task back; it may take up to ${formatDuration(settings.drainTimeout)} else.`,
        )
    },
    exit(code) {
      for (const runner of runners) runner.kill()
      logger.warn(
        { event: 'forced' },
        'the third signal: what runs is killed, the next start takes its task up',
      )
      process.exit(code)
    },
  })
  closers.add(() => signals.close())
  const several = settings.count > 1
  const health = new Health(seatNames(settings))
  const manager = serviceManager(settings, { health, env, logger })
  closers.add(() => manager?.close())
  control.draining.addEventListener('abort', () => manager?.stopping(), { once: true })
  const voiceOf = (agent: string) => {
    const own = logger.child({ agent })
    loggers.push(own)
    const mark = terminal.style('gray', several ? `${agent} │` : '│')
    const emit = (told: WorkerEvent) => {
      const event = redactEvent(told, redaction.text)
      if (health.tell(agent, event)) manager?.changed()
      metrics?.tell(agent, event)
      if (event.type === 'task-output' && pretty) terminal.note(indent(event.text, mark))
      else logEvent(own, event)
    }
    return { logger: own, emit }
  }
  let metrics: Metrics | undefined
  try {
    if (settings.healthAddr) {
      const served = await startHealth(settings.healthAddr, {
        health,
        cli: profile.id,
        town: context.townName,
      })
      closers.add(() => served.close())
      metrics = served.metrics
      logger.info({ event: 'health', url: served.url }, `health and metrics at ${served.url}`)
    }
    const cliVersion = versionTeller(profile, { env, passEnv: settings.passEnv, cwd: context.place.root })
    const ends = await hostAgents({
      context,
      profile,
      workdir,
      control,
      closers,
      env,
      cliVersion,
      runners,
      redaction,
      voiceOf,
      health,
      waitsForName: manager !== undefined,
    })
    if (manager) await saveOwnServer(context, logger)
    return signals.forced() ?? Math.max(...ends.map(exitCodeOf))
  } catch (error) {
    // A signal while the worker was still starting ends the wait for Redis; there is nothing to drain.
    if (error !== control.draining.reason) throw error
    return error === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
  } finally {
    await closers.close()
  }
}

/** Each agent of a process would wait for names of its own. */
function checkNames({ settings: { count, namePool }, sources }: Context): void {
  if (count === 1 || namePool === 0) return
  throw new WorkerError(
    'config',
    expected('namePool', `0 beside a count of ${count}`, String(namePool), sources.namePool.name),
    { remedy: 'Start one process for each agent, or leave the pool out' },
  )
}

/** Answers health checks from before the connection to Redis on. What nobody asks for is not loaded. */
async function startHealth(
  address: HealthAddress,
  { health, cli, town }: { health: Health; cli: string; town: string },
): Promise<HealthServer & { metrics: Metrics }> {
  const [{ Metrics }, { serveHealth }] = await Promise.all([
    import('../../observability/metrics.ts'),
    import('../../observability/health-server.ts'),
  ])
  const metrics = new Metrics({ cli, version: VERSION })
  const about = { town, cli, version: VERSION, pid: process.pid, host: hostname() }
  const { url, close } = await serveHealth({ address, health, metrics, about })
  return { url, close, metrics }
}

/** Those that the settings tell; the town may find more. */
function passwordsOf({
  redisUrl,
  redisPassword,
  redisSentinelPassword,
}: Context['settings']): (string | undefined)[] {
  const given = redisUrl === undefined ? undefined : parseRedisUrl(redisUrl)?.login.password
  return [given, redisPassword, redisSentinelPassword]
}

function reloadLogLevel(
  flags: Invocation['flags'],
  env: NodeJS.ProcessEnv,
  [logger, ...others]: readonly [Logger, ...Logger[]],
): void {
  try {
    const level = loadContext(flags, env).settings.logLevel
    for (const each of [logger, ...others]) each.level = level
    logger.info({ event: 'reloaded', level }, 'settings read again; the log level is in force at once')
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
