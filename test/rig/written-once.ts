import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { recentEvents } from '../../src/store/events.ts'
import type { TestTown } from './daemon.ts'
import { agentOf, ended, type Scene } from './scene.ts'
import { until } from './until.ts'

/** The files below the spool, with the folder of the agent left out. */
export async function spooled(town: TestTown): Promise<string[]> {
  const names = await readdir(join(town.root, '.tt', 'spool'), { recursive: true }).catch(() => [])
  return names.filter((name) => name.endsWith('.json'))
}

/** The ends that the events of the town tell of a task. */
export async function endsOf(town: TestTown, id: string): Promise<string[]> {
  const events = await recentEvents(await town.redis(), town.keys.events, 200)
  return events
    .filter(({ event }) => event.task_id === id && /^task_(completed|failed)$/.test(event.event_type))
    .map(({ event }) => event.event_type)
}

/**
 * Asserts that a task of worker-1 was completed once with this result, that nothing waits any more, and that nothing is left on disk.
 * `runs` of all its tasks, `attempts` of this one and `tasks`, how many it completed, are 1 unless told.
 */
export async function isWrittenOnce(
  { town, agents }: Pick<Scene, 'town' | 'agents'>,
  id: string,
  result: string,
  { runs = 1, attempts = 1, tasks = 1 }: { runs?: number; attempts?: number; tasks?: number } = {},
): Promise<void> {
  expect(await ended(town, id)).toMatchObject({ state: 'completed', result, attempts })
  await until(async () => (await spooled(town)).length === 0, 'the spool is empty')
  const agent = await agentOf(town)
  expect(agent).toMatchObject({ tasksCompleted: tasks })
  const { inbox, inFlight, delayed } = town.keys.agent(agent.id)
  expect(await (await town.redis()).exists(inbox, inFlight, delayed)).toBe(0)
  expect(await endsOf(town, id)).toEqual(['task_completed'])
  expect(agents.started).toBe(runs)
}
