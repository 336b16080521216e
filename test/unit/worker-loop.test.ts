import { beforeEach, describe, expect, it, vi } from 'vitest'
import { Bell } from '../../src/base/bell.ts'
import type { WorkerEvent } from '../../src/domain/worker-event.ts'
import { Circuit, type CircuitRules } from '../../src/reliability/circuit.ts'
import type { Claim } from '../../src/store/inbox.ts'
import { Control } from '../../src/worker/control.ts'
import { agentStateOf, Lifecycle, type Phase } from '../../src/worker/lifecycle.ts'
import { type LoopTools, runLoop } from '../../src/worker/loop.ts'
import type { Trouble } from '../../src/worker/run.ts'
import type { Handled } from '../../src/worker/work.ts'

const slept = vi.hoisted(() => [] as { ms: number; signal: AbortSignal | undefined }[])

// The waits are written down and are over at once.
vi.mock('../../src/base/clock.ts', async (original) => ({
  ...(await original<typeof import('../../src/base/clock.ts')>()),
  sleep: async (ms: number, ...signals: AbortSignal[]) => {
    slept.push({ ms, signal: signals[0] })
    await new Promise(setImmediate)
    return !signals.some(({ aborted }) => aborted)
  },
}))

beforeEach(() => void slept.splice(0))

const NOT_INSTALLED: Trouble = { reason: 'not-installed', detail: 'no such program' }
const message = (raw: string): Claim => ({ kind: 'message', raw, digest: raw, rounds: 0 })
const ran = (taskId: string): Handled => ({ kind: 'ran', end: { taskId } })
const failed = (taskId: string): Handled => ({
  kind: 'ran',
  end: { taskId, failure: { reason: 'exit', detail: 'it exited with 1\nand said why' } },
})
const EMPTY: Claim = { kind: 'empty', rounds: 0, delayed: 0 }

interface Script {
  /** What the claims find, in turn; then the loop is told to drain. */
  readonly claims?: readonly Claim[]
  /** What comes of the messages, in turn; then they run. */
  readonly handled?: readonly Handled[]
  /** What the looks at the surroundings find, in turn; then all is well. */
  readonly inspected?: readonly (Trouble | null)[]
  readonly once?: boolean
  readonly maxRounds?: number
  readonly circuit?: Partial<CircuitRules>
}

/** Runs a loop on tools that do what the script says, and tells what it did. */
async function loopOn(script: Script, change: (tools: LoopTools) => Partial<LoopTools> = () => ({})) {
  const [claims, handled, inspected] = [script.claims, script.handled, script.inspected].map((list) => [
    ...(list ?? []),
  ])
  const steps: string[] = []
  const events: WorkerEvent[] = []
  const emit = (event: WorkerEvent) => void events.push(event)
  const control = new Control()
  const lifecycle = new Lifecycle(emit)
  const circuit = new Circuit({ failures: 3, firstMs: 30_000, random: () => 0, ...script.circuit })
  const tools: LoopTools = {
    inspect: async () => (inspected?.shift() as Trouble | undefined) ?? null,
    claim: async () => {
      const claim = claims?.shift() as Claim | undefined
      if (!claim) control.drain('the script is over')
      return claim ?? EMPTY
    },
    putPoisonAside: async ({ digest }) => void steps.push(`put ${digest} aside`),
    handle: async ({ raw }) => {
      steps.push(`handle ${raw}`)
      return (handled?.shift() as Handled | undefined) ?? ran(raw)
    },
    wait: async () => void steps.push('wait'),
    bell: new Bell(),
    lookBell: new Bell(),
    fetchWork: async () => false,
    sayBroken: async (detail) => void steps.push(`broken: ${detail}`),
    sayIdle: async (why) => void steps.push(why ? `idle: ${why}` : 'idle'),
    circuit,
    lifecycle,
    control,
    emit,
    onTurn: () => undefined,
    once: script.once ?? false,
    maxRounds: script.maxRounds ?? 0,
  }
  const end = await runLoop({ ...tools, ...change(tools) })
  return { end, steps, events, control, phase: lifecycle.phase }
}

const typesOf = (events: readonly WorkerEvent[]) => events.map(({ type }) => type)

describe('runLoop', () => {
  it('handles one message after another until it is told to drain', async () => {
    const { end, steps, control } = await loopOn({ claims: [message('a'), EMPTY, message('b')] })
    expect(end).toBe('drained')
    expect(steps).toEqual(['idle', 'handle a', 'wait', 'handle b'])
    expect(control.draining.reason).toBe('the script is over')
  })

  it('says idle once, when it begins', async () => {
    const { events } = await loopOn({ claims: [message('a'), message('b')] })
    expect(events).toEqual([{ type: 'state', from: 'starting', to: 'idle' }])
  })

  it('claims nothing when it is told to drain before it begins', async () => {
    const claim = vi.fn()
    const { end } = await loopOn({}, ({ control }) => {
      control.drain('early')
      return { claim }
    })
    expect(end).toBe('drained')
    expect(claim).not.toHaveBeenCalled()
  })

  it('puts poison aside and goes on', async () => {
    const poison = { kind: 'poison', digest: 'p', deaths: 5 } as const
    expect((await loopOn({ claims: [poison, message('a')] })).steps).toEqual([
      'idle',
      'put p aside',
      'handle a',
    ])
  })

  it('does not begin with a message that it claimed while it was told to drain', async () => {
    const { end, steps } = await loopOn({}, ({ control }) => ({
      claim: async () => {
        control.drain('meanwhile')
        return message('a')
      },
    }))
    expect(end).toBe('drained')
    expect(steps).toEqual(['idle'])
  })

  it('drains after a shutdown message and a requested stop', async () => {
    const told = await loopOn({ claims: [message('a'), message('b')], handled: [{ kind: 'drain' }] })
    expect([told.end, told.control.draining.reason]).toEqual(['drained', 'shutdown message'])
    expect(told.steps).toEqual(['idle', 'handle a'])
    const stopped = await loopOn({ claims: [{ kind: 'stopping' }, message('b')] })
    expect([stopped.end, stopped.control.draining.reason]).toEqual(['drained', 'stop requested'])
    expect(stopped.steps).toEqual(['idle'])
  })

  it('ends when its agent was deleted', async () => {
    const { end, events } = await loopOn({ claims: [{ kind: 'evicted' }, message('a')] })
    expect(end).toBe('evicted')
    expect(typesOf(events)).toEqual(['state', 'evicted'])
  })

  it('lets a failure of a claim through', async () => {
    const claim = () => Promise.reject(new Error('lost'))
    await expect(loopOn({}, () => ({ claim }))).rejects.toThrow('lost')
  })
})

describe('runLoop with `once`', () => {
  it('ends when there is nothing more, without a wait', async () => {
    const claims = [message('a'), message('b'), EMPTY, message('c')]
    const { end, steps } = await loopOn({ once: true, claims })
    expect(end).toBe('empty')
    expect(steps).toEqual(['idle', 'handle a', 'handle b'])
  })

  it('ends when it is paused', async () => {
    const { end } = await loopOn({ once: true, claims: [{ kind: 'paused' }, message('a')] })
    expect(end).toBe('paused')
    expect(slept).toEqual([])
  })

  it('ends as broken when the CLI is missing', async () => {
    const { end, steps } = await loopOn({ once: true, inspected: [NOT_INSTALLED], claims: [message('a')] })
    expect(end).toBe('broken')
    expect(steps).toEqual(['broken: no such program'])
    expect(slept).toEqual([])
  })

  it('ends as broken when a message was held', async () => {
    const handled: Handled[] = [{ kind: 'held', trouble: NOT_INSTALLED }]
    const { end, steps } = await loopOn({ once: true, handled, claims: [message('a'), message('b')] })
    expect(end).toBe('broken')
    expect(steps).toEqual(['idle', 'handle a'])
    expect(slept).toEqual([])
  })
})

describe('runLoop with a number of rounds', () => {
  it('ends after so many runs', async () => {
    const { end, steps } = await loopOn({ maxRounds: 2, claims: ['a', 'b', 'c'].map(message) })
    expect(end).toBe('rounds')
    expect(steps).toEqual(['idle', 'handle a', 'handle b'])
  })

  it('counts only what ran', async () => {
    const handled: Handled[] = [{ kind: 'no-run' }, { kind: 'held', trouble: NOT_INSTALLED }, ran('a')]
    const { end, steps } = await loopOn({ maxRounds: 1, handled, claims: ['a', 'b', 'c', 'd'].map(message) })
    expect(end).toBe('rounds')
    expect(steps.filter((step) => step.startsWith('handle'))).toEqual(['handle a', 'handle b', 'handle c'])
  })
})

describe('runLoop in broken surroundings', () => {
  it('claims nothing, looks again later and later, and is idle when they are mended', async () => {
    const inspected = [NOT_INSTALLED, NOT_INSTALLED, NOT_INSTALLED, null]
    const { end, steps, events } = await loopOn({ inspected, claims: [message('a')] })
    expect(end).toBe('drained')
    expect(steps).toEqual(['broken: no such program', 'idle', 'handle a'])
    expect(typesOf(events)).toEqual(['state', 'surroundings-broken', 'state', 'surroundings-mended'])
    expect(events[0]).toEqual({ type: 'state', from: 'starting', to: 'error', why: 'not-installed' })
    expect(events[1]).toMatchObject({ ...NOT_INSTALLED, retryMs: slept[0]?.ms })
  })

  it('never waits longer than half a minute', async () => {
    await loopOn({ inspected: Array.from({ length: 30 }, () => NOT_INSTALLED) })
    const waits = slept.map(({ ms }) => ms)
    expect(waits).toHaveLength(30)
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_000)
    for (const [index, least] of [800, 1600, 3200, 6400, 12_800, 24_000].entries()) {
      expect(waits[index]).toBeGreaterThanOrEqual(least)
    }
  })

  it('stops waiting when it is told to drain', async () => {
    const { end } = await loopOn({}, ({ control }) => ({
      inspect: async () => {
        if (slept.length === 2) control.drain('enough')
        return NOT_INSTALLED
      },
    }))
    expect(end).toBe('drained')
    expect(slept.at(-1)?.signal?.aborted).toBe(true)
  })

  it('backs off from hold to hold, and begins anew after a run', async () => {
    const held: Handled = { kind: 'held', trouble: NOT_INSTALLED }
    const handled: Handled[] = [held, held, held, ran('a'), held]
    await loopOn({ handled, claims: ['a', 'a', 'a', 'a', 'b'].map(message) })
    const waits = slept.map(({ ms }) => ms)
    expect(waits).toHaveLength(4)
    for (const [index, most] of [1000, 2000, 4000, 1000].entries()) {
      expect(waits[index]).toBeLessThanOrEqual(most)
      expect(waits[index]).toBeGreaterThanOrEqual(most * 0.8)
    }
  })

  it('says mended only when a run has started, and broken once', async () => {
    const held: Handled = { kind: 'held', trouble: NOT_INSTALLED }
    const handled: Handled[] = [held, held, ran('a')]
    const { events, steps } = await loopOn({ handled, claims: ['a', 'a', 'a'].map(message) })
    expect(typesOf(events).filter((type) => type !== 'state')).toEqual([
      'surroundings-broken',
      'surroundings-mended',
    ])
    expect(steps).toEqual(['idle', 'handle a', 'handle a', 'handle a'])
  })

  it('is idle again when the message that could not be started is gone', async () => {
    const handled: Handled[] = [{ kind: 'held', trouble: NOT_INSTALLED }]
    const { events, steps } = await loopOn({ handled, claims: [message('a'), EMPTY] })
    expect(steps).toEqual(['idle', 'handle a', 'idle', 'wait'])
    expect(typesOf(events).at(-1)).toBe('surroundings-mended')
  })

  it.each([{ kind: 'paused' }, { kind: 'stopping' }, { kind: 'evicted' }] satisfies Claim[])(
    'is not called mended by a claim that found: %j',
    async (claim) => {
      const handled: Handled[] = [{ kind: 'held', trouble: NOT_INSTALLED }]
      const { events, steps } = await loopOn({ handled, claims: [message('a'), claim] })
      expect(steps).toEqual(['idle', 'handle a'])
      expect(typesOf(events)).not.toContain('surroundings-mended')
    },
  )

  it('stands as broken while it waits after a hold', async () => {
    const phases: Phase[] = []
    const handled: Handled[] = [{ kind: 'held', trouble: NOT_INSTALLED }]
    await loopOn({ handled, claims: [message('a')] }, ({ lifecycle, inspect }) => ({
      inspect: () => {
        phases.push(lifecycle.phase)
        return inspect()
      },
    }))
    expect(phases.map(({ name }) => name)).toEqual(['starting', 'broken'])
  })
})

describe('runLoop that somebody asks to look again', () => {
  const asked = (events: readonly WorkerEvent[]) => typesOf(events).filter((type) => type !== 'state')

  /** Rings in the first wait alone. */
  const ringOnce = ({ lookBell, emit }: LoopTools): Partial<LoopTools> => ({
    emit(event) {
      emit(event)
      if (slept.length === 0 && event.type === 'surroundings-broken') setImmediate(() => lookBell.ring())
    },
  })

  it('tries a parked task at once, and tells anew what is broken', async () => {
    const until = Date.now() + 3_600_000
    const parked: Handled = { kind: 'held', trouble: { reason: 'quota', detail: 'used up', until } }
    const handled: Handled[] = [parked, parked, ran('a')]
    const { events, steps } = await loopOn({ handled, claims: ['a', 'a', 'a'].map(message) }, ringOnce)
    expect(steps).toEqual(['idle', 'handle a', 'handle a', 'handle a'])
    expect(asked(events)).toEqual([
      ...['surroundings-broken', 'asked-to-look', 'surroundings-broken', 'surroundings-mended'],
    ])
  })

  it('says that all is mended when it is', async () => {
    const handled: Handled[] = [{ kind: 'held', trouble: NOT_INSTALLED }]
    const { events } = await loopOn({ handled, claims: ['a', 'a'].map(message) }, ringOnce)
    expect(asked(events)).toEqual(['surroundings-broken', 'asked-to-look', 'surroundings-mended'])
  })

  it('begins its waits for a missing CLI anew', async () => {
    const inspected = [NOT_INSTALLED, NOT_INSTALLED, NOT_INSTALLED]
    const { events, steps } = await loopOn({ inspected }, ringOnce)
    expect(steps.filter((step) => step.startsWith('broken'))).toHaveLength(2)
    expect(asked(events)).toEqual([
      ...['surroundings-broken', 'asked-to-look', 'surroundings-broken', 'surroundings-mended'],
    ])
    expect(slept.map(({ ms }) => Math.round(ms / 1000))).toEqual([1, 1, 2])
  })

  it('tries a task although the circuit is open', async () => {
    const { events, steps } = await loopOn(
      { handled: [failed('a')], claims: ['a', 'b'].map(message), circuit: { failures: 1, now: () => 0 } },
      ({ lookBell }) => ({ sayBroken: async () => void setImmediate(() => lookBell.ring()) }),
    )
    expect(steps.filter((step) => step.startsWith('handle'))).toEqual(['handle a', 'handle b'])
    expect(asked(events)).toEqual(['circuit-opened', 'asked-to-look', 'circuit-half-open', 'circuit-closed'])
  })

  it('does not look again when it is to end', async () => {
    const { end, events } = await loopOn({ inspected: [NOT_INSTALLED] }, ({ lookBell, control }) => ({
      sayBroken: async () => {
        lookBell.ring()
        control.drain('enough')
      },
    }))
    expect(end).toBe('drained')
    expect(typesOf(events)).not.toContain('asked-to-look')
  })
})

describe('runLoop with different tasks that fail in a row', () => {
  const FAILED = '3 different tasks in a row failed, the last one with exit: it exited with 1'
  const HALF_OPEN = 'idle: the circuit is half-open: the next task shows whether the CLI works again'
  const CLOSED = 'idle: the circuit is closed again'
  const handled = ['a', 'b', 'c'].map(failed)
  const claims = ['a', 'b', 'c', 'd', 'e'].map(message)

  // The time is over when a wait is; `late` of it is left, as timers may be early.
  function clock(late: readonly number[] = []) {
    const left = [...late]
    return { now: () => slept.reduce((sum, { ms }, at) => sum + ms - (left[at] ?? 0), 0) }
  }

  it('claims nothing while the circuit is open, tries one, and closes it', async () => {
    const { steps, events } = await loopOn({ claims, handled, circuit: clock() })
    expect(slept.map(({ ms }) => ms)).toEqual([30_000])
    expect(steps).toEqual([
      ...['idle', 'handle a', 'handle b', 'handle c'],
      expect.stringMatching(
        /^broken: The circuit is open, one task is tried at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z: 3 different tasks in a row failed, the last one with exit: it exited with 1$/,
      ),
      ...[HALF_OPEN, 'handle d', CLOSED, 'handle e'],
    ])
    expect(events).toEqual([
      { type: 'state', from: 'starting', to: 'idle' },
      { type: 'state', from: 'idle', to: 'error', why: 'circuit open' },
      { type: 'circuit-opened', detail: FAILED, retryMs: 30_000 },
      { type: 'state', from: 'error', to: 'idle', why: 'half-open' },
      { type: 'circuit-half-open' },
      { type: 'circuit-closed' },
    ])
  })

  it('opens it for longer when the one that is tried fails as well', async () => {
    const probes = [...handled, failed('d'), failed('d')]
    const { steps, events } = await loopOn({ claims, handled: probes, circuit: clock() })
    expect(slept.map(({ ms }) => ms)).toEqual([30_000, 60_000, 120_000])
    expect(steps.filter((step) => /^(handle|idle)/.test(step))).toEqual([
      ...['idle', 'handle a', 'handle b', 'handle c'],
      ...[HALF_OPEN, 'handle d', HALF_OPEN, 'handle e', HALF_OPEN],
    ])
    const opened = events.filter(({ type }) => type === 'circuit-opened')
    expect(opened.map((event) => 'retryMs' in event && event.retryMs)).toEqual([30_000, 60_000, 120_000])
  })

  it('says once that it is open, also when a wait was a little too short', async () => {
    const { steps } = await loopOn({ claims, handled, circuit: clock([2]) })
    expect(slept.map(({ ms }) => ms)).toEqual([30_000, 2])
    expect(steps.filter((step) => step.startsWith('broken'))).toHaveLength(1)
    expect(steps.slice(-4)).toEqual([HALF_OPEN, 'handle d', CLOSED, 'handle e'])
  })

  it('stays half-open until a run tells something of the CLI', async () => {
    const cancelled: Handled = {
      kind: 'ran',
      end: { taskId: 'd', failure: { reason: 'cancelled', detail: 'Cancelled' } },
    }
    const held: Handled = { kind: 'held', trouble: NOT_INSTALLED }
    const probes = [...handled, cancelled, { kind: 'no-run' } as const, held, failed('e')]
    const { events } = await loopOn({ claims: [...claims, ...claims], handled: probes, circuit: clock() })
    expect(typesOf(events).filter((type) => type.startsWith('circuit'))).toEqual([
      ...['circuit-opened', 'circuit-half-open', 'circuit-opened', 'circuit-half-open', 'circuit-closed'],
    ])
  })

  it('tells of a missing CLI when the time is over, and tries a task when it is there', async () => {
    const looks = [null, null, null, NOT_INSTALLED, NOT_INSTALLED]
    const { steps, events } = await loopOn({ claims, handled, inspected: looks, circuit: clock() })
    expect(steps.slice(5)).toEqual([
      'broken: no such program',
      'idle',
      HALF_OPEN,
      'handle d',
      CLOSED,
      'handle e',
    ])
    expect(typesOf(events).slice(2)).toEqual([
      ...['circuit-opened', 'surroundings-broken', 'state', 'surroundings-mended'],
      ...['circuit-half-open', 'circuit-closed'],
    ])
  })

  it('says that it is open when it begins with one that is, and closes it after all', async () => {
    const circuit = new Circuit({ failures: 1, firstMs: 30_000, ...clock() })
    await circuit.record({ taskId: 'x', failure: { reason: 'crashed', detail: 'SIGSEGV' } })
    const { steps, events } = await loopOn({ claims: [message('a')] }, () => ({ circuit }))
    expect(steps).toEqual([
      expect.stringMatching(
        /^broken: The circuit is open.*: 1 task failed, the last one with crashed: SIGSEGV$/,
      ),
      ...[HALF_OPEN, 'handle a', CLOSED],
    ])
    expect(events[0]).toEqual({ type: 'state', from: 'starting', to: 'error', why: 'circuit open' })
  })

  it('ends with `once`, and promises no further try', async () => {
    const { end, steps, events } = await loopOn({ claims, handled, once: true })
    expect(end).toBe('broken')
    expect(slept).toEqual([])
    expect(steps.at(-1)).toBe(`broken: The circuit is open: ${FAILED}`)
    expect(events.at(-1)).toEqual({ type: 'circuit-opened', detail: FAILED })
  })

  it('ends with `once` also where the next try would be due at once', async () => {
    const { end, steps } = await loopOn({ claims, handled, once: true, circuit: { firstMs: 0 } })
    expect([end, steps.filter((step) => step.startsWith('handle')).at(-1)]).toEqual(['broken', 'handle c'])
  })

  it('ends at once when that was its last round', async () => {
    const { end, steps } = await loopOn({ claims, handled, maxRounds: 3 })
    expect([end, slept, steps.at(-1)]).toEqual(['rounds', [], 'handle c'])
  })

  it('stops waiting when it is told to drain', async () => {
    const { end, steps } = await loopOn({ claims, handled }, ({ control }) => ({
      sayBroken: async () => control.drain('enough'),
    }))
    expect(end).toBe('drained')
    expect(slept.map(({ signal }) => signal?.aborted)).toEqual([true])
    expect(steps.at(-1)).toBe('handle c')
  })
})

describe('runLoop with a Redis that refuses', () => {
  const wrongType = Object.assign(new Error('WRONGTYPE Operation against a key'), { name: 'ReplyError' })

  it('a claim is broken, waits longer from try to try, and goes on when that is put right', async () => {
    let tries = 0
    const { steps, events } = await loopOn({ claims: [message('a')] }, ({ claim }) => ({
      claim: () => {
        tries += 1
        return tries <= 3 ? Promise.reject(wrongType) : claim()
      },
    }))
    expect(steps).toEqual([
      'idle',
      'broken: Redis refuses what the worker needs: WRONGTYPE Operation against a key',
      'handle a',
    ])
    expect(slept).toHaveLength(3)
    expect(typesOf(events)).toContain('surroundings-mended')
  })

  it('ends with `once`', async () => {
    const { end } = await loopOn({ once: true }, () => ({ claim: () => Promise.reject(wrongType) }))
    expect(end).toBe('broken')
  })

  it.each(['handle', 'putPoisonAside', 'fetchWork', 'wait', 'sayIdle', 'sayBroken'] as const)(
    '%s is no end, and leaves the message to the next claim',
    async (name) => {
      const poison = { kind: 'poison', digest: 'p', deaths: 5 } as const
      const claims = { handle: [message('a'), message('a')], putPoisonAside: [poison, poison] }
      const script = {
        claims: claims[name as 'handle'] ?? [EMPTY, EMPTY],
        inspected: name === 'sayBroken' ? [NOT_INSTALLED] : [],
      }
      let refusals = 1
      const { end, events } = await loopOn(script, (tools) => ({
        [name]: (...args: never[]) => {
          refusals -= 1
          return refusals >= 0
            ? Promise.reject(wrongType)
            : (tools[name] as (...args: never[]) => unknown)(...args)
        },
      }))
      expect(end).toBe('drained')
      expect(refusals).toBeLessThan(0)
      expect(typesOf(events)).toContain('surroundings-broken')
    },
  )

  it('tells of a second trouble as well, once the first was mended', async () => {
    const outcomes = [wrongType, null, wrongType, null]
    const { steps } = await loopOn({}, ({ claim }) => ({
      claim: () => {
        const refused = outcomes.shift()
        if (refused === undefined) return claim()
        return refused ? Promise.reject(refused) : Promise.resolve(EMPTY)
      },
    }))
    expect(steps.filter((step) => step.startsWith('broken'))).toHaveLength(2)
  })

  it('is no trouble any more for one that is told to drain', async () => {
    const { end, steps } = await loopOn({ claims: [message('a')] }, ({ control }) => ({
      handle: () => {
        control.drain('told to')
        return Promise.reject(wrongType)
      },
    }))
    expect(end).toBe('drained')
    expect(steps).toEqual(['idle'])
  })
})

describe('runLoop with another worker of the agent', () => {
  it('ends, and says so', async () => {
    const { end, control } = await loopOn({ claims: [message('a'), { kind: 'restarted' }, message('b')] })
    expect(end).toBe('restarted')
    expect(control.draining.reason).toMatch(/tt restart/)
  })
})

describe('runLoop with a pause', () => {
  it('says once that it is paused, looks every second, and says that it goes on', async () => {
    const claims = [...Array.from({ length: 3 }, () => ({ kind: 'paused' }) as const), EMPTY]
    const { steps, events } = await loopOn({ claims })
    expect(slept.map(({ ms }) => ms)).toEqual([1000, 1000, 1000])
    expect(typesOf(events)).toEqual(['state', 'state', 'paused', 'state', 'resumed'])
    expect(steps).toEqual(['idle', 'wait'])
  })

  it('says that it goes on also when there is a message at once', async () => {
    const { events } = await loopOn({ claims: [{ kind: 'paused' }, message('a')] })
    expect(typesOf(events)).toEqual(['state', 'state', 'paused', 'state', 'resumed'])
  })

  it('stays paused until it is told to stop', async () => {
    const { end, events } = await loopOn({ claims: [{ kind: 'paused' }, { kind: 'stopping' }] })
    expect(end).toBe('drained')
    expect(typesOf(events)).toContain('paused')
  })
})

describe('Control', () => {
  it('keeps the first reason of each end, and drains when it halts', () => {
    const control = new Control()
    control.drain('first')
    control.drain('second')
    expect([control.draining.reason, control.halting.aborted]).toEqual(['first', false])
    control.halt('lease-lost')
    control.halt('shutdown')
    expect([control.draining.reason, control.halting.reason]).toEqual(['first', 'lease-lost'])
    const halted = new Control()
    halted.halt('shutdown')
    expect(halted.draining.reason).toBe('shutdown')
  })
})

describe('Lifecycle', () => {
  const cancel = new AbortController()

  it.each<[Phase, string]>([
    [{ name: 'starting' }, 'starting'],
    [{ name: 'idle' }, 'idle'],
    [{ name: 'paused' }, 'paused'],
    [{ name: 'working', taskId: 't', startId: 's', cancel }, 'working'],
    [{ name: 'broken', by: 'look', tries: 1 }, 'error'],
    [{ name: 'broken', by: 'circuit' }, 'error'],
    [{ name: 'stopped' }, 'stopped'],
  ])('stands in the record as the state of its phase: %j is %s', (phase, state) => {
    expect(agentStateOf(phase)).toBe(state)
  })

  it('tells a change of state, and nothing when the state stays', () => {
    const events: WorkerEvent[] = []
    const lifecycle = new Lifecycle((event) => void events.push(event))
    lifecycle.enter({ name: 'broken', by: 'look', tries: 1 }, 'config')
    lifecycle.enter({ name: 'broken', by: 'look', tries: 2 }, 'config')
    lifecycle.enter({ name: 'idle' })
    expect(events).toEqual([
      { type: 'state', from: 'starting', to: 'error', why: 'config' },
      { type: 'state', from: 'error', to: 'idle' },
    ])
  })
})
