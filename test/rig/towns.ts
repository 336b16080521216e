import { hostname } from 'node:os'
import type { Redis } from 'ioredis'
import { type Id, newId } from '../../src/domain/ids.ts'
import { type Daemon, makeTown, type TestTown, useClosers } from './daemon.ts'
import { type FakeAgents, listenForFakeAgents } from './fake-agent.ts'

/** A town with a connection of the test's own. */
type WatchedTown = Omit<TestTown, 'redis'> & { readonly redis: Redis }

interface Towns {
  town(toml?: string, env?: object): Promise<TestTown>
  /** A town whose agent worker-1 is a record only: nobody works. */
  townWithAgent(fields?: object): Promise<WatchedTown & { readonly id: Id }>
  /** A town whose worker-1 runs what the test says. */
  townWithWorker(): Promise<WatchedTown & { readonly agents: FakeAgents; readonly daemon: Daemon }>
}

/** Towns of every kind, closed after each test. */
export function useTowns(): Towns {
  const onClose = useClosers()
  async function town(toml = '', env: object = {}): Promise<TestTown> {
    const made = await makeTown(toml, env)
    onClose(() => made.close())
    return made
  }
  return {
    town,
    async townWithAgent(fields = {}) {
      const made = await town()
      await made.cli('redis', 'start')
      const redis = await made.redis()
      const id = newId()
      const record = {
        id,
        name: 'worker-1',
        state: 'idle',
        cli: 'demo',
        worker_version: '1',
        host: hostname(),
      }
      await redis.hset(made.keys.agent(id).record, { ...record, ...fields })
      return { ...made, redis, id }
    },
    async townWithWorker() {
      const agents = await listenForFakeAgents()
      onClose(() => agents.close())
      const made = await town(agents.toml(), agents.env)
      const daemon = await made.worker('--cli', 'fake')
      return { ...made, redis: await made.redis(), agents, daemon }
    },
  }
}
