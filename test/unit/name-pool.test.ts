import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { takeName } from '../../src/reliability/name-pool.ts'
import type { Registered } from '../../src/store/agents.ts'
import type { Lease } from '../../src/store/lease.ts'

const NAMES = ['worker-1', 'worker-2', 'worker-3']

/** What a name is: free, or held by a worker that is heard, or by one that is silent for so many looks. */
type Name = 'free' | 'live' | { silent: number; expiresInMs?: number; thenLive?: true }

function pool(names: Readonly<Record<string, Name>>) {
  const state = new Map(Object.entries(names))
  const ids = new Map(NAMES.map((name) => [newId(), name]))
  const idOf = (name: string) => [...ids].find(([, one]) => one === name)?.[0] ?? ''
  const waits: string[] = []
  const asked: string[] = []
  const tools = {
    register: async (name: string): Promise<Registered> => {
      asked.push(name)
      const now = state.get(name) ?? 'free'
      if (now === 'free') return { kind: 'registered', lease: { agentName: name } as Lease, isNew: true }
      if (typeof now === 'object') {
        now.silent -= 1
        if (now.silent === 0) state.set(name, now.thenLive ? 'live' : 'free')
      }
      const expiresInMs = typeof now === 'object' ? (now.expiresInMs ?? 1) : 30_000
      return { kind: 'held', agentId: idOf(name), host: 'box', pid: '1', expiresInMs }
    },
    isHeard: async (id: string) => state.get(ids.get(id) ?? '') === 'live',
    onWait: (name: string) => void waits.push(name),
    signal: new AbortController().signal,
  }
  return { tools, waits, asked }
}

describe('takeName', () => {
  it.each<[string, Record<string, Name>, string | null, string[]]>([
    ['the first one when all are free', {}, 'worker-1', []],
    ['the first that no live worker has', { 'worker-1': 'live', 'worker-2': 'live' }, 'worker-3', []],
    [
      'the name of a dead worker, once its lease ran out',
      { 'worker-1': { silent: 3 } },
      'worker-1',
      ['worker-1'],
    ],
    [
      'the next one when a silent worker is heard again',
      { 'worker-1': { silent: 2, thenLive: true } },
      'worker-2',
      ['worker-1'],
    ],
    [
      'the name of a dead worker behind a live one, before one that is free',
      { 'worker-1': 'live', 'worker-2': { silent: 2 } },
      'worker-2',
      ['worker-2'],
    ],
    [
      'none when each has a live worker',
      { 'worker-1': 'live', 'worker-2': 'live', 'worker-3': 'live' },
      null,
      [],
    ],
  ])('takes %s', async (_, names, expected, waited) => {
    const { tools, waits } = pool(names)
    const end = await takeName(NAMES, tools)
    expect(end).toMatchObject(
      expected === null
        ? { kind: 'all-held' }
        : { kind: 'registered', name: expected, lease: { agentName: expected } },
    )
    expect(waits).toEqual(waited)
  })

  it('goes on to the next name when a silent worker renews its lease all the same', async () => {
    const { tools, asked } = pool({ 'worker-1': { silent: Number.POSITIVE_INFINITY } })
    let now = 0
    const end = await takeName(NAMES, {
      ...tools,
      now: () => {
        now += 400
        return now
      },
    })
    expect(end).toMatchObject({ name: 'worker-2' })
    expect(asked.filter((name) => name === 'worker-1').length).toBeGreaterThan(1)
  })

  it('ends at a signal while it waits', async () => {
    const { tools } = pool({ 'worker-1': { silent: Number.POSITIVE_INFINITY, expiresInMs: 1e6 } })
    const abort = new AbortController()
    const taking = takeName(NAMES, { ...tools, onWait: () => abort.abort('SIGTERM'), signal: abort.signal })
    await expect(taking).rejects.toBe('SIGTERM')
  })
})
