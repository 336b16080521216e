import type { Context } from '../client/context.ts'
import { serverOptions } from '../client/own-server.ts'
import type { Settings } from '../config/settings.ts'
import { longestStopMs } from '../config/stop-time.ts'
import type { Health } from '../observability/health.ts'
import type { Logger } from '../observability/logger.ts'
import { ServiceManager, watchdogMsOf } from '../observability/service-manager.ts'
import { systemdNotify } from '../process/systemd-notify.ts'
import { serverPid } from '../server/ping.ts'
import { serverPlace } from '../server/place.ts'
import { sharesOurGroup } from '../server/process-info.ts'
import { saveLocalRedis } from '../server/save.ts'

/** For what a start does beside waiting for Redis and for its name. */
const START_MARGIN_MS = 30_000

/** The service manager that started this process; undefined when none did. */
export function serviceManager(
  settings: Settings,
  { health, env, logger }: { health: Health; env: NodeJS.ProcessEnv; logger: Logger },
): ServiceManager | undefined {
  const notify = systemdNotify(env)
  if (notify === null) return undefined
  return new ServiceManager({
    health,
    notify,
    watchdogMs: watchdogMsOf(env, process.pid),
    startMs: settings.connectTimeout + settings.leaseMs + START_MARGIN_MS,
    stopMs: longestStopMs(settings),
    onDeaf: (why) =>
      logger.warn({ event: 'service-manager-deaf' }, `the service manager is not told: ${why}`),
    onStarved(why) {
      if (why === null) logger.info({ event: 'watchdog-fed' }, 'the watchdog is fed again')
      else logger.error({ event: 'watchdog-starved' }, `the watchdog is fed no more: ${why}`)
    },
  })
}

/** The town's own redis-server, where it was started by this service, is killed with what is left of the service. */
export async function saveOwnServer(context: Context, logger: Logger): Promise<void> {
  const options = serverOptions(context)
  if (options === null) return
  const place = serverPlace(options)
  try {
    const pid = await serverPid(place.endpoint)
    if (pid !== null && (await sharesOurGroup(pid))) await saveLocalRedis(place)
  } catch (error) {
    logger.warn({ err: error }, 'what the redis-server of the town holds could not be saved')
  }
}
