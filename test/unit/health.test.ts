import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import type { WorkerEvent } from '../../src/domain/worker-event.ts'
import { newStatus, nextStatus } from '../../src/observability/agent-status.ts'
import { Health, isReady, type Vitals, WEDGED_MS } from '../../src/observability/health.ts'

const agentId = newId()
const taskId = newId()
const NAME = 'worker-1'
const REGISTERED: WorkerEvent = { type: 'registered', agentId, name: NAME, isNew: true }
const to = (state: 'idle' | 'working' | 'error' | 'paused' | 'stopped', from = 'idle'): WorkerEvent =>
  ({ type: 'state', from, to: state }) as WorkerEvent
const started: WorkerEvent = { type: 'task-started', taskId, attempt: 2, summary: 'mend it', queueMs: 5 }

const LOOK = { inbox: 0, urgent: 0, delayed: 0, inFlight: 0, leased: true }

function attended(vitals: Partial<Vitals> = {}) {
  let now = 0
  const health = new Health([NAME], () => now)
  health.tell(NAME, REGISTERED)
  health.attend(NAME, {
    look: async () => LOOK,
    inspect: async () => null,
    circuit: () => 'closed',
    restarts: 0,
    leaseMs: 20_000,
    ...vitals,
  })
  return {
    health,
    /** Lets time pass; Redis takes a sign of life at its end. */
    pass(ms: number, { silent = false } = {}) {
      now += ms
      if (!silent) health.beat(NAME)
    },
  }
}

describe('nextStatus', () => {
  const statusAfter = (...events: readonly WorkerEvent[]) => {
    let status = newStatus(NAME, 'T0')
    for (const [index, event] of events.entries()) status = nextStatus(status, event, `T${index + 1}`)
    return status
  }

  it('has the task while it is run, and not afterwards', () => {
    const task = { taskId, attempt: 2, summary: 'mend it', startedAt: 'T3' }
    expect(statusAfter(REGISTERED, to('working'), started)).toMatchObject({
      state: 'working',
      since: 'T2',
      task,
    })
    expect(statusAfter(REGISTERED, to('working'), started, to('idle', 'working'))).not.toHaveProperty('task')
  })

  it.each<[string, WorkerEvent, WorkerEvent]>([
    [
      'surroundings',
      { type: 'surroundings-broken', reason: 'not-installed', detail: 'gone', retryMs: 1 },
      { type: 'surroundings-mended' },
    ],
    ['circuit', { type: 'circuit-opened', detail: 'gone' }, { type: 'circuit-half-open' }],
  ])('has the trouble of broken %s until they are mended', (_, broken, mended) => {
    expect(statusAfter(REGISTERED, broken).trouble).toBe('gone')
    expect(statusAfter(REGISTERED, broken, mended)).not.toHaveProperty('trouble')
  })

  it.each<WorkerEvent>([
    { type: 'lease-lost' },
    { type: 'forgotten', why: 'recovered' },
    { type: 'evicted' },
    { type: 'stopped', givenBack: 0 },
  ])('is registered no more after $type, until it registers again', (event) => {
    expect(statusAfter(REGISTERED, event).registered).toBe(false)
    expect(statusAfter(REGISTERED, event, REGISTERED).registered).toBe(true)
  })

  it('drains to its end, also where it registers once more', () => {
    const draining: WorkerEvent = { type: 'draining', why: 'SIGTERM' }
    expect(statusAfter(REGISTERED, draining, to('idle')).draining).toBe(true)
    expect(
      statusAfter(REGISTERED, draining, { type: 'forgotten', why: 'data-lost' }, REGISTERED).draining,
    ).toBe(true)
  })
})

describe('a claim loop', () => {
  it('is wedged when it has not turned for so long', () => {
    const { health, pass } = attended()
    pass(WEDGED_MS)
    expect(health.wedged()).toEqual([])
    pass(1)
    expect(health.wedged()).toEqual([NAME])
    health.turned(NAME)
    expect(health.wedged()).toEqual([])
  })

  it.each(['working', 'error', 'stopped'] as const)(
    'is not wedged in state %s, where it does not turn',
    (state) => {
      const { health, pass } = attended()
      health.tell(NAME, to(state))
      pass(WEDGED_MS * 2)
      expect(health.wedged()).toEqual([])
    },
  )

  it('is not wedged while Redis is silent: it waits', () => {
    const { health, pass } = attended()
    pass(WEDGED_MS * 2, { silent: true })
    expect([health.wedged(), health.silent()]).toEqual([[], [NAME]])
    health.beat(NAME)
    expect([health.wedged(), health.silent()]).toEqual([[NAME], []])
  })
})

describe('examine', () => {
  const checks = async ({ health }: ReturnType<typeof attended>) => {
    const [agent] = (await health.examine()).agents
    if (!agent) throw new Error('nobody was examined')
    expect(isReady(agent)).toBe(Object.values(agent.checks).every((why) => why === null))
    return agent.checks
  }
  const ORDER = { redis: null, lease: null, cli: null, circuit: null, draining: null }

  it('finds an idle agent in order', async () => {
    expect(await checks(attended())).toEqual(ORDER)
  })

  it.each<[string, Partial<Vitals>, object]>([
    [
      'Redis is away',
      { look: () => Promise.reject(new Error('Connection is closed.')) },
      { redis: 'Connection is closed.', lease: 'Redis does not say' },
    ],
    [
      'the lease is gone',
      { look: async () => ({ ...LOOK, leased: false }) },
      { lease: 'this worker does not hold the lease of its agent' },
    ],
    [
      'the CLI is missing',
      { inspect: async () => 'codex is not installed' },
      { cli: 'codex is not installed' },
    ],
    ['the circuit is half-open', { circuit: () => 'half-open' }, { circuit: 'the circuit is half-open' }],
  ])('says so when %s', async (_, vitals, why) => {
    expect(await checks(attended(vitals))).toEqual({ ...ORDER, ...why })
  })

  it('says what only a run has shown: a login that is refused', async () => {
    const patient = attended()
    patient.health.tell(NAME, {
      type: 'surroundings-broken',
      reason: 'auth',
      detail: 'not logged in',
      retryMs: 1,
    })
    patient.health.tell(NAME, to('error'))
    expect(await checks(patient)).toEqual({ ...ORDER, cli: 'not logged in' })
  })

  it('says of an agent that is not there yet what is missing', async () => {
    const [agent] = (await new Health([NAME]).examine()).agents
    expect(agent?.checks).toEqual({ ...ORDER, redis: 'not connected yet', lease: 'not registered yet' })
  })
})
