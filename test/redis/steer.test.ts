import { describe, expect, it } from 'vitest'
import { AGENT_STATES, type AgentState, TERMINAL_AGENT_STATES } from '../../src/domain/agent.ts'
import { newId } from '../../src/domain/ids.ts'
import type { RecordFormat } from '../../src/domain/record-format.ts'
import { getAgent } from '../../src/store/agents.ts'
import { recentEvents } from '../../src/store/events.ts'
import { closeAgent, interruptAgent, requestStop, resumeAgent, type Steered } from '../../src/store/steer.ts'
import { useTown } from '../rig/redis.ts'
import { until } from '../rig/until.ts'

const here = useTown()

describe.each<RecordFormat>(['hash', 'json'])('an agent whose record is %s', (format) => {
  async function agent(state: string, { live = true } = {}) {
    const id = newId()
    const keys = here.town.agent(id)
    const record = { id, name: 'worker-1', state, cli: 'demo', tasks_completed: '3' }
    if (format === 'hash') await here.redis.hset(keys.record, record)
    else await here.redis.set(keys.record, JSON.stringify({ ...record, tasks_completed: 3 }))
    if (live) await here.redis.set(keys.lease, 'token')
    return { id, keys }
  }

  async function stateOf(id: string): Promise<AgentState | undefined> {
    return (await getAgent(here.redis, here.town, id))?.state
  }

  async function lastEvent(id: string) {
    const [last] = await recentEvents(here.redis, here.town.agent(id).events, 1)
    return last?.event
  }

  it.each<[string, typeof closeAgent, AgentState, boolean, AgentState, string, string, string | null]>([
    [
      'interrupt',
      interruptAgent,
      'working',
      true,
      'paused',
      'agent_interrupted',
      '⏸️ Interrupted (paused)',
      null,
    ],
    [
      'interrupt',
      interruptAgent,
      'idle',
      false,
      'paused',
      'agent_interrupted',
      '⏸️ Interrupted (paused)',
      null,
    ],
    ['resume', resumeAgent, 'paused', true, 'idle', 'agent_resumed', '▶️ Resumed', null],
    [
      'close',
      closeAgent,
      'paused',
      true,
      'draining',
      'agent_stopped',
      '🔻 Closing (draining then stop)',
      '1',
    ],
    [
      'close',
      closeAgent,
      'working',
      false,
      'stopped',
      'agent_stopped',
      '🔻 Closing (draining then stop)',
      '1',
    ],
  ])('takes %s as Tinytown writes it', async (_, ask, before, live, after, type, activity, flag) => {
    const { id, keys } = await agent(before, { live })
    expect(await ask(here.redis, here.town, id)).toEqual({ kind: 'done', before, state: after })
    expect(await getAgent(here.redis, here.town, id)).toMatchObject({ state: after, tasksCompleted: 3 })
    expect(await here.redis.type(keys.record)).toBe(format === 'hash' ? 'hash' : 'string')
    expect(await here.redis.lrange(keys.activity, 0, -1)).toEqual([activity])
    expect(await here.redis.get(keys.stop)).toBe(flag)
    const title = (word: string) => word.replace(/^./, (first) => first.toUpperCase())
    expect(await lastEvent(id)).toMatchObject({
      event_type: type,
      agent_id: id,
      old_state: title(before),
      new_state: title(after),
    })
  })

  it('refuses what its state does not allow, and changes nothing', async () => {
    const refused = async (ask: typeof closeAgent) => {
      const found: AgentState[] = []
      for (const state of AGENT_STATES) {
        const { id, keys } = await agent(state)
        const answer: Steered = await ask(here.redis, here.town, id)
        if (answer.kind !== 'refused') continue
        expect(answer.state).toBe(state)
        expect(await stateOf(id)).toBe(state)
        expect(await here.redis.exists(keys.activity, keys.stop, keys.events)).toBe(0)
        found.push(state)
      }
      return found.sort()
    }
    const terminal = [...TERMINAL_AGENT_STATES].sort()
    expect(await refused(interruptAgent)).toEqual(terminal)
    expect(await refused(closeAgent)).toEqual(terminal)
    expect(await refused(resumeAgent)).toEqual(
      AGENT_STATES.filter((state) => state !== 'paused' && state !== 'error').sort(),
    )
  })

  it('has a broken worker look again when it is resumed, and changes nothing of its state', async () => {
    const { id, keys } = await agent('error')
    const heard: string[] = []
    const subscriber = here.redis.duplicate()
    try {
      subscriber.on('message', (_, word) => heard.push(word))
      await subscriber.subscribe(keys.wake)
      await here.redis.set(keys.stop, '1')
      const error = { before: 'error', state: 'error' }
      expect(await resumeAgent(here.redis, here.town, id)).toEqual({ kind: 'done', ...error })
      await until(() => heard.length === 1, 'it is woken')
      expect(heard).toEqual(['error'])
    } finally {
      subscriber.disconnect()
    }
    expect(await stateOf(id)).toBe('error')
    expect(await here.redis.exists(keys.events, keys.stop)).toBe(0)
  })

  it('refuses to resume a broken agent whose worker is gone: nobody would look', async () => {
    const { id } = await agent('error', { live: false })
    expect(await resumeAgent(here.redis, here.town, id)).toEqual({ kind: 'refused', state: 'error' })
  })

  it('takes an unknown state for starting, as Tinytown does', async () => {
    const { id } = await agent('dreaming')
    expect(await resumeAgent(here.redis, here.town, id)).toEqual({ kind: 'refused', state: 'starting' })
    expect(await interruptAgent(here.redis, here.town, id)).toMatchObject({ before: 'starting' })
  })

  it('tells no event where nothing changed', async () => {
    const { id, keys } = await agent('paused')
    expect(await interruptAgent(here.redis, here.town, id)).toMatchObject({
      before: 'paused',
      state: 'paused',
    })
    expect(await here.redis.exists(keys.events)).toBe(0)
  })

  it('takes back a stop when it is resumed', async () => {
    const { id, keys } = await agent('idle')
    await requestStop(here.redis, here.town, id)
    await interruptAgent(here.redis, here.town, id)
    expect(await here.redis.get(keys.stop)).toBe('1')
    await resumeAgent(here.redis, here.town, id)
    expect(await here.redis.get(keys.stop)).toBe(null)
  })

  it('wakes its worker, whatever it is asked for', async () => {
    const { id, keys } = await agent('idle')
    const heard: string[] = []
    const subscriber = here.redis.duplicate()
    try {
      subscriber.on('message', (_, word) => heard.push(word))
      await subscriber.subscribe(keys.wake)
      for (const ask of [interruptAgent, resumeAgent, closeAgent, requestStop]) {
        await ask(here.redis, here.town, id)
      }
      await until(() => heard.length === 4, 'every order wakes')
      expect(heard).toEqual(['paused', 'idle', 'draining', 'draining'])
    } finally {
      subscriber.disconnect()
    }
  })
})

it('makes no record of an agent that is gone', async () => {
  const id = newId()
  for (const ask of [interruptAgent, resumeAgent, closeAgent]) {
    await expect(ask(here.redis, here.town, id)).rejects.toMatchObject({ code: 'not-found' })
  }
  expect(await here.redis.keys(`*${id}*`)).toEqual([])
})
