import { Bell } from '../base/bell.ts'
import type { Closers } from '../base/closers.ts'
import type { Context } from '../client/context.ts'
import { serverOptions } from '../client/own-server.ts'
import type { Emit } from '../domain/worker-event.ts'
import { placeOf } from '../server/place.ts'
import { rotateServerLog } from '../server/server-log.ts'
import { keepHouse } from '../worker/housekeeping.ts'
import { removeOldFiles } from '../worker/old-files.ts'
import type { Runner } from '../worker/run.ts'

interface Tidied {
  readonly context: Context
  readonly closers: Closers
  readonly runners: ReadonlySet<Runner>
}

/** Keeps what runs and the town's own redis-server leave on the disk within its bounds. The bell is for the ends of runs. */
export function tidyUp({ context, closers, runners }: Tidied, emit: Emit): Bell {
  const { settings, place } = context
  const server = serverOptions(context)
  const bell = new Bell()
  const stop = new AbortController()
  const house = keepHouse({
    async tidy() {
      if (server) await rotateServerLog(placeOf(server).logFile)
      await removeOldFiles(place.root, {
        keepMs: settings.logKeep,
        keepBytes: settings.logKeepSize,
        inHand: new Set([...runners].flatMap((runner) => runner.inHand() ?? [])),
        emit,
      })
    },
    bell,
    signal: stop.signal,
  })
  closers.add(async () => {
    stop.abort()
    await house
  })
  return bell
}
