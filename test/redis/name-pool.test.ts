import { describe, expect, it } from 'vitest'
import { agentNames } from '../../src/domain/agent-names.ts'
import { takeName } from '../../src/reliability/name-pool.ts'
import { leaveTown, registerAgent } from '../../src/store/agents.ts'
import type { Lease } from '../../src/store/lease.ts'
import { assignTask, getTask } from '../../src/store/tasks.ts'
import { hearTown, isHeard } from '../../src/store/wake.ts'
import { useClosers } from '../rig/daemon.ts'
import { connectAs, useTown } from '../rig/redis.ts'

const here = useTown()
const onClose = useClosers()
const NAMES = agentNames('worker-1', 3)

/** Takes a name as a worker does; it can be heard from then on, until it dies. */
async function start({ names = NAMES, leaseMs = 30_000 } = {}) {
  const waits: string[] = []
  const end = await takeName(names, {
    register: (name) =>
      registerAgent(here.redis, here.town, {
        name,
        cli: 'demo',
        role: undefined,
        leaseMs,
        extra: { host: 'box', pid: 1 },
      }),
    isHeard: (id) => isHeard(here.redis, here.town.agent(id)),
    onWait: (name) => void waits.push(name),
    signal: new AbortController().signal,
  })
  if (end.kind === 'all-held') return { name: null, waits }
  const ear = await listen(end.lease)
  return { name: end.name, lease: end.lease, waits, die: () => ear.quit() }
}

async function listen(lease: Lease) {
  const ear = here.redis.duplicate()
  onClose(async () => ear.disconnect())
  await hearTown(ear, lease, { onWake: () => undefined, onLook: () => undefined, onError: () => undefined })
  return ear
}

describe('a pool of names', () => {
  it('gives three workers that start at once three names, and a fourth none', async () => {
    const taken = await Promise.all([start(), start(), start()])
    expect(taken.map(({ name }) => name).sort()).toEqual(NAMES)
    expect(await start()).toMatchObject({ name: null, waits: [] })
  })

  it('gives the name of a worker that left to the next one, with its inbox', async () => {
    const [first] = [await start(), await start()]
    const lease = first.lease as Lease
    const task = { description: 'Do X', tags: [], priority: 'normal' } as const
    const { taskId } = await assignTask(here.redis, here.town, lease.agentId, task)
    await leaveTown(lease, 'drained')
    const next = await start()
    expect(next.name).toBe('worker-1')
    expect(next.lease?.agentId).toBe(lease.agentId)
    expect(await getTask(here.redis, here.town, taskId)).toMatchObject({ assignedTo: next.lease?.agentId })
    expect(await here.redis.llen(here.town.agent(lease.agentId).inbox)).toBe(1)
  })

  it('waits for the lease of a killed worker and takes its name, though others are free', async () => {
    const first = await start({ leaseMs: 1000 })
    await first.die?.()
    const next = await start()
    expect(next).toMatchObject({ name: 'worker-1', waits: ['worker-1'] })
    expect(next.lease?.agentId).toBe(first.lease?.agentId)
  })

  it('of two that wait for one dead worker gives its name to one', async () => {
    const first = await start({ leaseMs: 1000 })
    await first.die?.()
    const both = await Promise.all([start(), start()])
    expect(both.map(({ name }) => name).sort()).toEqual(['worker-1', 'worker-2'])
  })

  it('of one name waits for the lease of the worker that had it', async () => {
    const names = agentNames('pod-0', 1)
    const first = await start({ names, leaseMs: 1000 })
    await first.die?.()
    expect(await start({ names })).toMatchObject({ name: 'pod-0', waits: ['pod-0'] })
  })

  it('takes every holder for a live one where Redis does not tell who listens', async () => {
    const first = await start()
    await first.die?.()
    const agent = here.town.agent(first.lease?.agentId ?? '')
    expect(await isHeard(here.redis, agent)).toBe(false)
    const limited = await connectAs(here, '-pubsub|numsub')
    onClose(async () => limited.disconnect())
    expect(await isHeard(limited, agent)).toBe(true)
  })
})
