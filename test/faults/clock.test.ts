import { describe, expect, it } from 'vitest'
import { useClosers } from '../rig/daemon.ts'
import { useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign } from '../rig/scene.ts'
import { until } from '../rig/until.ts'
import { isWrittenOnce } from '../rig/written-once.ts'

const newTown = useFaultyTown(useClosers())

const HOUR_MS = 3_600_000
const WORKER = ['--cli', 'fake', '--lease-ms', '2000', '--kill-grace', '500ms', '--retry-delay', '200ms']

describe('a clock that is an hour off', () => {
  it.each([
    ['ahead', HOUR_MS],
    ['behind', -HOUR_MS],
  ])('30: %s: leases, retries and times are those of Redis', async (_, shiftMs) => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const shifted = await faulty.withClock(shiftMs, ...WORKER, '--max-attempts', '2')
    const right = await town.worker(...WORKER, '--name', 'peer')
    const redis = await town.redis()
    const { id: agentId } = await agentOf(town)
    const { lease } = town.keys.agent(agentId)
    const { id: peerId } = await agentOf(town, 'peer')
    const id = await assign(town, 'x')
    await (await agents.next()).exit(1)
    // Made again by the clock of Redis: by that of the worker in an hour, or at once.
    const run = await agents.next()
    expect(await redis.pttl(lease)).toBeLessThanOrEqual(2000)
    // Both renew their leases and look after each other meanwhile.
    const beats = new Set<string | null>()
    await until(async () => {
      beats.add(await redis.hget(town.keys.agent(agentId).record, 'last_heartbeat'))
      return beats.size >= 5
    }, 'the leases are renewed')
    const [nowS] = await redis.time()
    for (const beat of beats)
      expect(Math.abs(Date.parse(String(beat)) - Number(nowS) * 1000)).toBeLessThan(HOUR_MS / 2)
    await run.stdout('ok')
    await run.exit(0)
    await isWrittenOnce(faulty, id, 'ok', { runs: 2, attempts: 2 })
    expect(await redis.exists(lease, town.keys.agent(peerId).lease)).toBe(2)
    expect(shifted.stderr() + right.stderr()).not.toMatch(/is dead|took it for dead|lease/)
  })
})
