import { expect, it } from 'vitest'
import { findAgent } from '../../src/store/agents.ts'
import { assignTask } from '../../src/store/tasks.ts'
import { makeTown, useClosers } from '../rig/daemon.ts'
import { listenForFakeAgents } from '../rig/fake-agent.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()

it('shows a sign of life at least every 10 s while the CLI runs', async () => {
  const agents = await listenForFakeAgents()
  onClose(() => agents.close())
  const town = await makeTown(agents.toml(), agents.env)
  onClose(() => town.close())
  await town.worker('--cli', 'fake')
  const redis = await town.redis()
  const agent = await findAgent(redis, town.keys, 'worker-1')
  await assignTask(redis, town.keys, agent.id, { description: 'x', tags: [], priority: 'normal' })
  const run = await agents.next()
  const beats: number[] = []
  await until(
    async () => {
      const { state, lastHeartbeat } = await findAgent(redis, town.keys, 'worker-1')
      expect(state).toBe('working')
      const at = Date.parse(lastHeartbeat)
      if (at !== beats.at(-1)) beats.push(at)
      return beats.length > 2
    },
    'there were two more heartbeats',
    30_000,
  )
  const gaps = beats.slice(1).map((at, index) => at - (beats[index] ?? 0))
  // The times are the server's own, so this is what everybody else sees.
  expect(Math.max(...gaps)).toBeLessThanOrEqual(10_000)
  await run.exit(1)
})
