import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { deferred } from '../../src/base/deferred.ts'
import { newId } from '../../src/domain/ids.ts'
import type { WorkerEvent } from '../../src/domain/worker-event.ts'
import { newStatus, nextStatus } from '../../src/observability/agent-status.ts'
import { Health, WEDGED_MS } from '../../src/observability/health.ts'
import { ServiceManager, watchdogMsOf } from '../../src/observability/service-manager.ts'
import { statusLine } from '../../src/observability/status-line.ts'
import type { Notify } from '../../src/process/systemd-notify.ts'

const taskId = newId()
const registered = (name: string): WorkerEvent => ({
  type: 'registered',
  agentId: newId(),
  name,
  isNew: true,
})
const to = (state: 'idle' | 'working' | 'error' | 'stopped'): WorkerEvent => ({
  type: 'state',
  from: 'idle',
  to: state,
})
const started: WorkerEvent = {
  type: 'task-started',
  taskId,
  attempt: 1,
  summary: 'mend the roof',
  queueMs: 1,
}
const DRAINING: WorkerEvent = { type: 'draining', why: 'SIGTERM' }
const LEASE_MS = 20_000

function managed(names = ['a'], { watchdogMs = null as number | null, notify = null as Notify | null } = {}) {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const health = new Health(names, () => performance.now())
  const notices: string[] = []
  const starved: (string | null)[] = []
  const deaf: string[] = []
  const manager = new ServiceManager({
    health,
    notify:
      notify ??
      (async (assignments) => {
        notices.push(assignments.join('|'))
        return null
      }),
    watchdogMs,
    startMs: 40_000,
    stopMs: 330_000,
    onDeaf: (why) => deaf.push(why),
    onStarved: (why) => starved.push(why),
  })
  const tell = (...events: readonly WorkerEvent[]) => {
    for (const event of events) if (health.tell(names[0] ?? '', event)) manager.changed()
  }
  const attend = (name = names[0] ?? '') =>
    health.attend(name, {
      look: () => Promise.reject(new Error('nobody asks')),
      inspect: async () => null,
      circuit: () => 'closed',
      restarts: 0,
      leaseMs: LEASE_MS,
    })
  /** What was told since the last look. */
  const heard = async () => {
    await vi.advanceTimersByTimeAsync(0)
    return notices.splice(0)
  }
  return { health, manager, tell, attend, heard, starved, deaf }
}

describe('the service manager', () => {
  it('hears of the start, of what is worked on, and of the end', async () => {
    const { tell, heard, manager } = managed()
    expect(await heard()).toEqual(['EXTEND_TIMEOUT_USEC=40000000|STATUS=a: starting'])
    tell(registered('a'))
    expect(await heard()).toEqual(['READY=1'])
    tell(to('idle'))
    expect(await heard()).toEqual(['STATUS=a: idle'])
    tell(to('working'), started)
    expect(await heard()).toEqual([`STATUS=a: working on ${taskId.slice(0, 8)}: mend the roof`])
    tell(DRAINING)
    const [stopping] = await heard()
    expect(stopping).toBe(
      `STOPPING=1|EXTEND_TIMEOUT_USEC=330000000|STATUS=a: draining, working on ${taskId.slice(0, 8)}: mend the roof`,
    )
    manager.stopping()
    expect(await heard()).toEqual([])
  })

  it('hears that it is ready when the last agent is registered, and once', async () => {
    const { health, manager, tell, heard } = managed(['a', 'b'])
    tell(registered('a'))
    expect((await heard()).join()).not.toContain('READY')
    health.tell('b', registered('b'))
    manager.changed()
    expect((await heard()).filter((notice) => notice.includes('READY=1'))).toHaveLength(1)
    tell({ type: 'forgotten', why: 'data-lost' }, registered('a'))
    expect((await heard()).join()).not.toContain('READY')
  })

  it('does not hear that the process ends while one of its agents goes on', async () => {
    const { tell, heard } = managed(['a', 'b'])
    tell(registered('a'), DRAINING)
    expect((await heard()).join()).not.toContain('STOPPING')
  })

  it('hears when the settings are read again, and when they are', async () => {
    const { tell, heard, manager } = managed()
    tell(registered('a'))
    await heard()
    const read = vi.fn()
    manager.reload(read)
    expect(read).toHaveBeenCalledOnce()
    expect(await heard()).toEqual([expect.stringMatching(/^RELOADING=1\|MONOTONIC_USEC=\d+$/), 'READY=1'])
  })

  it('is not told that it is ready by a reload during the start', async () => {
    const { heard, manager } = managed()
    manager.reload(() => undefined)
    expect((await heard()).join()).not.toMatch(/READY|RELOADING/)
  })

  it('hears one thing after the other, and of several states the last', async () => {
    const gates: (() => void)[] = []
    const notices: string[] = []
    const { tell, manager } = managed(['a'], {
      notify: async (assignments) => {
        notices.push(assignments.join('|'))
        const gate = deferred<null>()
        gates.push(() => gate.resolve(null))
        return await gate.promise
      },
    })
    await vi.advanceTimersByTimeAsync(0)
    tell(registered('a'), to('idle'), to('working'), started)
    await vi.advanceTimersByTimeAsync(0)
    expect(notices).toHaveLength(1)
    gates[0]?.()
    await vi.advanceTimersByTimeAsync(0)
    expect(notices.slice(1)).toEqual([`READY=1|STATUS=a: working on ${taskId.slice(0, 8)}: mend the roof`])
    const closed = manager.close()
    gates[1]?.()
    await closed
  })

  it('that does not hear is complained of once', async () => {
    const { tell, deaf, heard } = managed(['a'], { notify: async () => 'systemd-notify is not in PATH' })
    tell(registered('a'), to('idle'))
    await heard()
    tell(to('error'))
    await heard()
    expect(deaf).toEqual(['systemd-notify is not in PATH'])
  })
})

describe('the end', () => {
  it('does not wait for a service manager that does not hear', async () => {
    const gate = deferred<string>()
    let notices = 0
    const { manager, tell } = managed(['a'], {
      notify: () => {
        notices += 1
        return gate.promise
      },
    })
    await vi.advanceTimersByTimeAsync(0)
    tell(registered('a'), DRAINING)
    const closed = manager.close()
    gate.resolve('it hangs')
    await closed
    expect(notices).toBe(1)
  })
})

describe('the watchdog', () => {
  const FED = 'WATCHDOG=1'
  const watched = async (names?: string[]) => {
    const scene = managed(names, { watchdogMs: 3000 })
    scene.tell(registered(scene.health.statuses[0]?.name ?? ''), to('idle'))
    scene.attend()
    await scene.heard()
    /** Lets time pass, turn by turn of a claim loop that lives, beat by beat of a Redis that answers. */
    const pass = async (ms: number, { turns = true, beats = true } = {}) => {
      for (let at = 0; at < ms; at += 1000) {
        await vi.advanceTimersByTimeAsync(1000)
        for (const { name } of scene.health.statuses) {
          if (turns) scene.health.turned(name)
          if (beats) scene.health.beat(name)
        }
      }
      return await scene.heard()
    }
    return { ...scene, pass }
  }

  it('is fed three times in its time while the claim loop turns', async () => {
    const { pass } = await watched()
    expect(await pass(3000)).toEqual([FED, FED, FED])
  })

  it('35: is not fed while the claim loop is wedged, and says why', async () => {
    const { pass, starved } = await watched()
    await pass(WEDGED_MS + 1000, { turns: false })
    const why = 'the claim loop is wedged: a'
    expect(await pass(5000, { turns: false })).toEqual([])
    expect(starved).toEqual([why])
    expect(await pass(3000)).toEqual(['WATCHDOG=1|STATUS=a: idle', FED])
    expect(starved).toEqual([why, null])
  })

  it('is not fed while Redis is silent for longer than the lease', async () => {
    const { pass, starved } = await watched()
    const heard = await pass(LEASE_MS + 3000, { beats: false })
    expect(heard.at(-1)).toBe('STATUS=Redis is silent: a')
    expect(starved).toEqual(['Redis is silent: a'])
    expect((await pass(3000)).filter((notice) => notice.includes(FED)).length).toBeGreaterThanOrEqual(2)
  })

  it('is fed while Redis is silent and a run is in hand', async () => {
    const { pass, tell, starved } = await watched()
    tell(to('working'), started)
    await pass(LEASE_MS * 3, { beats: false, turns: false })
    expect(starved).toEqual([])
    expect(await pass(2000, { beats: false, turns: false })).toEqual([FED, FED])
  })

  it('does not mind an agent that has ended', async () => {
    const { pass, health, starved } = await watched(['a', 'b'])
    health.tell('b', registered('b'))
    health.tell('a', to('stopped'))
    health.dismiss('a')
    await pass(LEASE_MS * 2, { beats: false })
    expect(starved).toEqual([])
  })

  it('is not fed after the end', async () => {
    const { pass, manager } = await watched()
    await manager.close()
    expect(await pass(5000)).toEqual([])
  })

  it.each<[string, NodeJS.ProcessEnv, number | null]>([
    ['three seconds', { WATCHDOG_USEC: '3000000' }, 3000],
    ['meant for this process', { WATCHDOG_USEC: '3000000', WATCHDOG_PID: '7' }, 3000],
    ['meant for another process', { WATCHDOG_USEC: '3000000', WATCHDOG_PID: '8' }, null],
    ['none', {}, null],
    ['no number', { WATCHDOG_USEC: 'soon' }, null],
    ['zero', { WATCHDOG_USEC: '0' }, null],
  ])('wants: %s', (_, env, ms) => {
    expect(watchdogMsOf(env, 7)).toBe(ms)
  })
})

describe('statusLine', () => {
  const statusAfter = (name: string, ...events: readonly WorkerEvent[]) =>
    events.reduce((status, event) => nextStatus(status, event, 'T'), newStatus(name, 'T'))
  const broken: WorkerEvent = {
    type: 'surroundings-broken',
    reason: 'not-installed',
    detail: 'codex is not installed',
    retryMs: 1,
  }

  it.each<[string, readonly WorkerEvent[]]>([
    ['a: starting', []],
    ['a: idle', [registered('a'), to('idle')]],
    ['a: error: codex is not installed', [registered('a'), broken, to('error')]],
    ['a: draining', [registered('a'), to('idle'), DRAINING]],
    ['a: starting', [registered('a'), to('idle'), { type: 'forgotten', why: 'data-lost' }]],
    ['a: stopped', [registered('a'), to('stopped'), { type: 'stopped', givenBack: 0 }]],
  ])('says %s', (line, events) => {
    expect(statusLine([statusAfter('a', ...events)])).toBe(line)
  })

  it('counts several', () => {
    const idle = statusAfter('a', registered('a'), to('idle'))
    const working = statusAfter('b', registered('b'), to('working'), started)
    expect(statusLine([idle, working, { ...idle, name: 'c' }])).toBe('3 agents: 2 idle, 1 working')
  })
})
