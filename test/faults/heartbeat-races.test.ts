import { describe, expect, it } from 'vitest'
import { pulse } from '../../src/store/scripts/pulse.ts'
import { useClosers } from '../rig/daemon.ts'
import { type FaultyTown, runOf, useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign, ended } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const newTown = useFaultyTown(useClosers())

/** A beat comes every third of a second. */
const WORKER = ['--cli', 'fake', '--lease-ms', '1000', '--kill-grace', '500ms']

/** Does something while a beat is on its way that says what was before, and waits until the next but one has come through. */
async function duringBeat({ proxy }: FaultyTown, act: () => Promise<unknown>): Promise<void> {
  const held = proxy.hold(runOf(pulse))
  await held.arrived
  await act()
  const before = proxy.sent.filter(runOf(pulse)).length
  held.release()
  await until(() => proxy.sent.filter(runOf(pulse)).length > before + 1, 'the next beats came through')
}

describe('what is written while a beat is on its way', () => {
  it('37: a pause of an idle worker stands, and nothing is claimed until it is resumed', async () => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const worker = await faulty.behindProxy(...WORKER)
    const redis = await town.redis()
    const { record } = town.keys.agent((await agentOf(town)).id)
    await duringBeat(faulty, () => redis.hset(record, 'state', 'paused'))
    await worker.says(/paused: no task is taken/)
    const id = await assign(town, 'x')
    await duringBeat(faulty, async () => undefined)
    expect(await agentOf(town)).toMatchObject({ state: 'paused' })
    expect(agents.started).toBe(0)
    await duringBeat(faulty, () => redis.hset(record, 'state', 'idle'))
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
  })

  it('37: a pause during a run stands behind its end', async () => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const worker = await faulty.behindProxy(...WORKER)
    const redis = await town.redis()
    const { record } = town.keys.agent((await agentOf(town)).id)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await duringBeat(faulty, () => redis.hset(record, 'state', 'paused'))
    await assign(town, 'later')
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    await worker.says(/paused: no task is taken/)
    expect(await agentOf(town)).toMatchObject({ state: 'paused' })
    expect(agents.started).toBe(1)
  })

  it.each(['an idle worker', 'a run'])(
    '37: a stop of %s stands when its flag is gone: the run ends, nothing more is claimed, the record says stopped',
    async (during) => {
      const faulty = await newTown()
      const { town, agents } = faulty
      const worker = await faulty.behindProxy(...WORKER)
      const redis = await town.redis()
      const keys = town.keys.agent((await agentOf(town)).id)
      const run = during === 'a run' && (await assign(town, 'x')) ? await agents.next() : null
      const held = faulty.proxy.hold(runOf(pulse))
      await held.arrived
      // As `tt kill` does it.
      await redis.multi().setex(keys.stop, 3600, '1').hset(keys.record, 'state', 'stopped').exec()
      held.release()
      await worker.says(/draining \(stop requested\)/)
      await redis.del(keys.stop)
      const later = await assign(town, 'later')
      await run?.stdout('ok')
      await run?.exit(0)
      expect(await worker.exit).toBe(0)
      expect(await agentOf(town)).toMatchObject({ state: 'stopped', tasksCompleted: run ? 1 : 0 })
      expect(await redis.lrange(keys.inbox, 0, -1)).toEqual([expect.stringContaining(later)])
      expect(agents.started).toBe(run ? 1 : 0)
    },
  )
})
