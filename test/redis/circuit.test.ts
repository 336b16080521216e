import { describe, expect, it } from 'vitest'
import { getAgent, leaveTown, registerAgent, setAgentState } from '../../src/store/agents.ts'
import { recentEvents } from '../../src/store/events.ts'
import { claimMessage } from '../../src/store/inbox.ts'
import { townKeys } from '../../src/store/keys.ts'
import type { Lease } from '../../src/store/lease.ts'
import { recoverPeer } from '../../src/store/peers.ts'
import { endOfLostRun } from '../../src/worker/lost-run.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()

async function register(form: 'hash' | 'json' = 'hash'): Promise<Lease> {
  const town = townKeys(here.town.town, form)
  const who = {
    name: 'worker-1',
    cli: 'demo',
    role: undefined,
    leaseMs: 30_000,
    extra: { circuit: 'closed' },
  }
  const registered = await registerAgent(here.redis, town, who)
  if (registered.kind !== 'registered') throw new Error(`the name is held by ${registered.host}`)
  await setAgentState(registered.lease, { state: 'idle', message: 'ready' })
  return registered.lease
}

const agentOf = ({ agentId, town }: Lease) => getAgent(here.redis, town, agentId)

async function lastEvents(count: number) {
  const events = await recentEvents(here.redis, here.town.events, 100)
  return events.slice(-count).map(({ event }) => [event.old_state, event.new_state, event.message])
}

const OPEN = {
  state: 'error',
  message: 'open',
  lastError: 'it fails',
  keep: ['paused'],
  circuit: 'open',
} as const
const CLOSED = { state: 'idle', message: 'closed', keep: ['paused', 'draining'], circuit: 'closed' } as const

describe.each(['hash', 'json'] as const)('the circuit in a record of the form %s', (form) => {
  it('is written with the state, and told', async () => {
    const lease = await register(form)
    expect(await here.redis.type(lease.agent.record)).toBe(form === 'hash' ? 'hash' : 'string')
    expect(await agentOf(lease)).toMatchObject({ state: 'idle', circuit: 'closed' })
    await setAgentState(lease, OPEN)
    expect(await agentOf(lease)).toMatchObject({ state: 'error', circuit: 'open', lastError: 'it fails' })
    await setAgentState(lease, { state: 'idle', message: 'half-open', circuit: 'half-open' })
    await setAgentState(lease, CLOSED)
    expect(await agentOf(lease)).toMatchObject({ state: 'idle', circuit: 'closed' })
    expect(await agentOf(lease)).not.toHaveProperty('lastError')
    // It turns also where the state stays.
    expect(await lastEvents(3)).toEqual([
      ['Idle', 'Error', 'open'],
      ['Error', 'Idle', 'half-open'],
      ['Idle', 'Idle', 'closed'],
    ])
  })

  it('is written also where a pause stands, and stays where nothing is said of it', async () => {
    const lease = await register(form)
    await setAgentState(lease, { state: 'paused', message: 'paused' })
    await setAgentState(lease, OPEN)
    expect(await agentOf(lease)).toMatchObject({ state: 'paused', circuit: 'open', lastError: 'it fails' })
    expect(await lastEvents(1)).toEqual([['Paused', 'Paused', 'open']])
    await setAgentState(lease, { state: 'draining', message: 'draining', keep: ['paused'] })
    expect(await agentOf(lease)).toMatchObject({ state: 'paused', circuit: 'open' })
  })

  it('is gone with the worker, whether it left or was recovered', async () => {
    const lease = await register(form)
    await setAgentState(lease, OPEN)
    await leaveTown(lease, 'bye')
    expect(await agentOf(lease)).not.toHaveProperty('circuit')
    const again = await register(form)
    await setAgentState(again, OPEN)
    await here.redis.rpush(again.agent.inFlight, 'x')
    await here.redis.del(again.agent.lease)
    expect(await recoverPeer(here.redis, again.town, again.agentId, endOfLostRun)).toMatchObject({
      messages: 1,
    })
    expect(await agentOf(again)).not.toHaveProperty('circuit')
  })
})

describe('what is due for its next attempt', () => {
  it.each([
    ['head', ['first', 'second', 'third', 'fresh', 'late']],
    ['tail', ['fresh', 'late', 'first', 'second', 'third']],
  ] as const)('goes to the %s of the inbox, in its order', async (due, order) => {
    const lease = await register()
    await here.redis.zadd(lease.agent.delayed, 2, 'second', 1, 'first', 3, 'third')
    await here.redis.zadd(lease.agent.delayed, Date.now() + 600_000, 'not due')
    await here.redis.rpush(lease.agent.inbox, 'fresh', 'late')
    const [first, ...rest]: readonly string[] = order
    expect(await claimMessage(lease, 0, due)).toMatchObject({ raw: first })
    expect(await here.redis.lrange(lease.agent.inbox, 0, -1)).toEqual(rest)
    expect(await here.redis.zrange(lease.agent.delayed, '0', '-1')).toEqual(['not due'])
  })
})
