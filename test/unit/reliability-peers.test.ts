import { beforeEach, describe, expect, it, vi } from 'vitest'
import { lookAfterPeers } from '../../src/reliability/peers.ts'
import type { PeerLook, Recovered } from '../../src/store/peers.ts'

const slept = vi.hoisted(() => [] as number[])

// The waits are written down and are over at once.
vi.mock('../../src/base/clock.ts', async (original) => ({
  ...(await original<typeof import('../../src/base/clock.ts')>()),
  sleep: async (ms: number, signal?: AbortSignal) => {
    slept.push(ms)
    await new Promise(setImmediate)
    return !signal?.aborted
  },
}))

beforeEach(() => void slept.splice(0))

const NOBODY: PeerLook = { dead: [], againMs: null }

/** Looks as often as there are answers; an error is thrown. */
async function lookOn(answers: readonly (PeerLook | Error)[], recover = async (id: string) => of(id)) {
  const end = new AbortController()
  const failures: unknown[] = []
  const told: Recovered[] = []
  const left = [...answers]
  await lookAfterPeers({
    look: async () => {
      const answer = left.shift()
      if (left.length === 0) end.abort()
      if (answer instanceof Error) throw answer
      return answer ?? NOBODY
    },
    recover,
    self: 'me',
    onRecovered: (recovered) => told.push(recovered),
    onFailed: (error) => void failures.push(error),
    signal: end.signal,
  })
  return Object.assign(told, { failures })
}

const of = (agentId: string): Recovered | null => ({ agentId, name: agentId, messages: 1, lost: [] })

describe('lookAfterPeers', () => {
  it('looks every two seconds or a little sooner, never together with all others', async () => {
    await lookOn(Array.from({ length: 20 }, () => NOBODY))
    expect(Math.min(...slept)).toBeGreaterThanOrEqual(1500)
    expect(Math.max(...slept)).toBeLessThanOrEqual(2000)
    expect(new Set(slept).size).toBeGreaterThan(1)
  })

  it('looks again as soon as a grace is over, and not later than usual', async () => {
    await lookOn([{ dead: [], againMs: 100 }, { dead: [], againMs: 60_000 }, NOBODY])
    expect(slept[1]).toBeLessThan(200)
    expect(slept[1]).toBeGreaterThan(100)
    expect(slept[2]).toBeLessThanOrEqual(2000)
  })

  it('recovers each dead one, and tells of those that it was in time for', async () => {
    const recover = async (id: string) => (id === 'b' ? null : of(id))
    const told = await lookOn([{ dead: ['a', 'b', 'c'], againMs: null }, NOBODY], recover)
    expect(told.map(({ agentId }) => agentId)).toEqual(['a', 'c'])
  })

  it('goes on after a look that failed', async () => {
    const away = new Error('away')
    const told = await lookOn([away, { dead: ['a'], againMs: null }, NOBODY])
    expect([told.length, told.failures]).toEqual([1, [away]])
  })

  it('recovers the others where one cannot be recovered, and never itself', async () => {
    const recover = async (id: string) => {
      if (id !== 'b') return of(id)
      throw new Error('of another type')
    }
    const told = await lookOn([{ dead: ['a', 'b', 'me', 'c'], againMs: null }, NOBODY], recover)
    expect(told.map(({ agentId }) => agentId)).toEqual(['a', 'c'])
    expect(told.failures).toEqual([new Error('of another type')])
  })

  it('does not wait for an answer when it is to end', async () => {
    const end = new AbortController()
    const looking = lookAfterPeers({
      look: () => {
        setImmediate(() => end.abort())
        return new Promise(() => undefined)
      },
      self: 'me',
      recover: async () => null,
      onRecovered: () => undefined,
      onFailed: () => undefined,
      signal: end.signal,
    })
    await expect(looking).resolves.toBeUndefined()
  })
})
