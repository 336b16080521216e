import { Closers } from '../../src/base/closers.ts'
import { Town } from '../../src/index.ts'
import { type RedisProxy, startProxy } from '../rig/proxy.ts'
import { type Member, startFleet } from './fleet.ts'
import { type Grounds, openGrounds } from './grounds.ts'
import { processesOf } from './leftovers.ts'
import type { SoakOptions } from './options.ts'
import { Dice } from './random.ts'

/** All that a soak starts. */
export interface Stage {
  readonly grounds: Grounds
  readonly members: readonly Member[]
  /** The library, from which the tasks come. */
  readonly town: Town
  /** What stands between the library and Redis. */
  readonly clientProxy: RedisProxy
  /** Ends everything, also what should not be there any more; leaves the folders where they are kept. */
  close(keep: boolean): Promise<void>
}

/** Starts Redis, the daemons and the library. */
export async function openStage({ agents, seed }: SoakOptions): Promise<Stage> {
  const closers = new Closers()
  let isKept = true
  try {
    const grounds = await openGrounds()
    closers.add(() => grounds.close(isKept))
    closers.add(() => endAll(grounds.root))
    const clientProxy = await startProxy({ host: '127.0.0.1', port: grounds.redisPort })
    closers.add(() => clientProxy.close())
    const env = { REDIS_URL: `redis://127.0.0.1:${clientProxy.port}` }
    const town = await Town.connect(grounds.root, { env })
    closers.add(() => town.close())
    const fates = new Dice(seed + 1)
    // Every third one stays away for so long that its peers recover what it had.
    const restartAfterMs = () => (fates.chance(0.33) ? fates.between(7000, 9000) : fates.spread(50, 1500))
    const members = await startFleet(grounds, agents, restartAfterMs)
    closers.add(async () => {
      await Promise.all(members.map((member) => member.stop('SIGKILL')))
      for (const { proxy } of members) await proxy.close()
    })
    const close = (keep: boolean) => {
      isKept = keep
      return closers.close()
    }
    return { grounds, members, town, clientProxy, close }
  } catch (error) {
    await closers.close()
    throw error
  }
}

function endAll(root: string): void {
  for (const { pid } of processesOf(root)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It is gone.
    }
  }
}
