import { describe, expect, it } from 'vitest'
import { census, guards, isAlive } from '../rig/census.ts'
import { useClosers } from '../rig/daemon.ts'
import { useFaultyTown } from '../rig/faulty-town.ts'
import { KILL_POINTS } from '../rig/kill-points.ts'
import { agentOf, assign, ended } from '../rig/scene.ts'
import { until } from '../rig/until.ts'
import { isWrittenOnce } from '../rig/written-once.ts'

const newTown = useFaultyTown(useClosers())

const WORKER = ['--cli', 'fake', '--kill-grace', '200ms', '--retry-delay', '10ms']

describe('kill -9 of a daemon', () => {
  it.each(Object.entries(KILL_POINTS))(
    '2, 3, 20: %s: the next start completes its task once and before the next one, and nothing of it is left',
    async (_, { kill, runs, attempts }) => {
      const faulty = await newTown()
      const { town, agents } = faulty
      const { id, tree } = await kill(faulty, WORKER)
      const later = await assign(town, 'later')
      await town.worker(...WORKER)
      const left = [...(agents.started < runs ? [id] : []), later]
      for (const expected of left) {
        const run = await agents.next()
        expect(run.hello.env.TINYTOWN_TASK_ID).toBe(expected)
        if (tree) expect([tree.pids.filter(isAlive), census(tree)]).toEqual([[], []])
        await run.stdout('ok')
        await run.exit(0)
      }
      expect(await ended(town, later)).toMatchObject({ state: 'completed', attempts: 1 })
      await isWrittenOnce(faulty, id, 'ok', { runs: runs + 1, attempts, tasks: 2 })
      const { id: agentId } = await agentOf(town)
      await until(() => census({ agentId }).length === 0, 'no process of the agent is left')
      if (tree) await until(() => guards(tree.runId).length === 0, 'the guard is gone')
    },
  )
})
