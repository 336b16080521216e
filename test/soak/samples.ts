import type { Redis } from 'ioredis'
import { type Sample, sampleOf } from './ageing.ts'
import type { Member } from './fleet.ts'

/** What the daemons hold, looked at again and again. */
export class Samples {
  readonly #members: readonly Member[]
  readonly #since = Date.now()
  readonly spared: Sample[] = []
  rssMaxMb = 0

  constructor(members: readonly Member[]) {
    this.#members = members
  }

  get seconds(): number {
    return Math.round((Date.now() - this.#since) / 1000)
  }

  take(): void {
    for (const { pid, isSpared } of this.#members) {
      const sample = pid === null ? null : sampleOf(pid, this.seconds)
      if (sample === null) continue
      this.rssMaxMb = Math.max(this.rssMaxMb, sample.rssMb)
      if (isSpared) this.spared.push(sample)
    }
  }
}

/** What Redis holds. */
export async function redisMemory(redis: Redis, pid: number): Promise<{ rssMb: number; keys: number }> {
  return { rssMb: sampleOf(pid, 0)?.rssMb ?? 0, keys: await redis.dbsize() }
}
