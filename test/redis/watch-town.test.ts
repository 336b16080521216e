import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import type { TownSummary } from '../../src/client/summary.ts'
import { watchTown } from '../../src/client/watch-town.ts'
import { newId } from '../../src/domain/ids.ts'
import { assignTask } from '../../src/store/tasks.ts'
import { useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()

/** Watches the town while `act` goes on, and returns what was told and when. */
async function watched(act: (seen: readonly { summary: TownSummary; at: number }[]) => Promise<void>) {
  const redis = new Redis({ path: here.socketPath })
  const stop = new AbortController()
  const seen: { summary: TownSummary; at: number }[] = []
  try {
    const watching = watchTown({ redis, town: here.town, signal: stop.signal }, (summary) =>
      seen.push({ summary, at: performance.now() }),
    )
    const ended = expect(watching).rejects.toBe('enough')
    await act(seen)
    stop.abort('enough')
    await ended
    return seen
  } finally {
    redis.disconnect()
  }
}

async function agent(fields: object = {}): Promise<string> {
  const id = newId()
  await here.redis.hset(here.town.agent(id).record, { id, name: 'worker-1', state: 'idle', ...fields })
  return id
}

it('tells what happens, however much, not more often than a person can read', async () => {
  const id = await agent()
  const task = { description: 'x', tags: [], priority: 'normal' } as const
  const seen = await watched(async (told) => {
    await until(() => told.length > 0, 'the town is shown at once')
    for (let count = 0; count < 100; count += 1) await assignTask(here.redis, here.town, id, task)
    await until(() => told.at(-1)?.summary.waiting === 100, 'all of it is shown')
  })
  const gaps = seen.slice(1).map(({ at }, index) => at - (seen[index]?.at ?? 0))
  expect(Math.min(...gaps)).toBeGreaterThan(200)
})

it('lets ages go on while nothing happens', async () => {
  await agent({ last_heartbeat: new Date().toISOString() })
  const seen = await watched(async (told) => {
    await until(() => told.length >= 3, 'ages are told again')
  })
  const ages = seen.map(({ summary }) => summary.agents[0]?.heartbeatAgeMs ?? 0)
  expect(ages[2]).toBeGreaterThan((ages[0] ?? 0) + 1800)
})
