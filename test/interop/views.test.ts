import { describe, expect, it } from 'vitest'
import { useTtTowns } from '../rig/tt.ts'

const newTown = useTtTowns()

describe('the life of a worker', () => {
  it('is told by tt events, tt history and tt status --deep', async () => {
    const town = await newTown()
    const daemon = await town.worker('--role', 'backend')
    for (const [text, code] of [
      ['good', 0],
      ['bad', 1],
    ] as const) {
      await town.assign('worker-1', text)
      const run = await town.agents.next()
      const busy = await town.tt('status', '--deep')
      expect(busy).toMatch(/worker-1 \[backend\] \(Working\) - 0 pending, \d rounds, uptime \d+s/)
      expect(busy).toMatch(new RegExp(`🔄 \\w{4}: ${text} \\(started just now\\)`))
      await run.stdout('the answer\n')
      await run.exit(code)
      await town.ttSays(['list'], /worker-1 .* - Idle$/m)
    }
    await town.tt('interrupt', 'worker-1')
    await daemon.says(/paused: no task is taken/)
    await town.tt('resume', 'worker-1')
    await daemon.says(/resumed/)
    daemon.signal('SIGTERM')
    await daemon.exit

    const id = await town.idOf('worker-1')
    const events = (await town.tt('events')).trim().split('\n')
    const told = events.map((line) => /^\d\d:\d\d:\d\d \[(\w+)\] agent:(\S+) — (.*)$/.exec(line)?.slice(1))
    expect(told.map((event) => event?.[0])).toEqual([
      'agent_spawned',
      'agent_state_changed',
      'task_assigned',
      'agent_state_changed',
      'task_completed',
      'task_assigned',
      'agent_state_changed',
      'task_failed',
      'agent_interrupted',
      'agent_resumed',
      'agent_stopped',
    ])
    expect(new Set(told.map((event) => event?.[1]))).toEqual(new Set([id]))
    expect(told[4]?.[2]).toBe('the answer')
    expect(await town.tt('events', '--agent', 'worker-1')).toBe(await town.tt('events'))

    const history = await town.tt('history')
    expect(history).toMatch(/🐣 \*worker-1 \[backend\]\* worker-1 started with fake/)
    expect(history).toMatch(/✅ \*worker-1 \[backend\]\* the answer/)
    expect(history).toMatch(/❌ \*worker-1 \[backend\]\* .*fake exited with 1/)
    expect(history).toMatch(/⏸️ \*worker-1 \[backend\]\*[\s\S]*▶️ \*worker-1 \[backend\]\*[\s\S]*🏁/)
    expect(await town.tt('history', '--agent', 'worker-1')).toContain('the answer')

    const deep = await town.tt('status', '--deep')
    expect(deep).toMatch(/worker-1 \[backend\] \(Stopped\) - 0 pending, 2 rounds/)
    expect(deep).toMatch(/the answer/)
    expect(deep).toMatch(/▶️ Resumed\n.*⏸️ Interrupted[\s\S]*Round 2: ❌[\s\S]*Round 1: ✅ completed in /)
    const tasks = await town.tt('status', '--tasks')
    expect(tasks).toMatch(/✅ Completed: 1\n.*❌ Failed: +1/)
    expect(tasks).toContain('worker-1 [backend] (0 active, 2 done):')
  })

  it('of several workers is listed by name, and each gets what is sent to its own', async () => {
    const town = await newTown()
    await town.worker('--name', 'Alice')
    await town.worker('--name', 'bob')
    expect(await town.tt('list')).toMatch(/Alice \[Alice\] .* - Idle/)
    expect(await town.tt('list')).toMatch(/bob \[bob\] .* - Idle/)
    await town.assign('bob', 'for bob')
    const run = await town.agents.next()
    expect(run.hello.env).toMatchObject({ TINYTOWN_AGENT_NAME: 'bob' })
    await run.exit(0)
    await town.assign('Alice', 'for Alice')
    const next = await town.agents.next()
    expect(next.hello.env).toMatchObject({ TINYTOWN_AGENT_NAME: 'Alice' })
    await next.exit(0)
    // `tt` takes a name only as it is written.
    expect(await town.ttFails('assign', 'alice', 'x')).toContain('AgentNotFound("alice")')
  })

  it('is seen by our commands as it is by tt: an agent of tt stands in our list', async () => {
    const town = await newTown()
    await town.worker()
    await town.tt(
      ...['spawn', 'up-1', '--cli', 'fake', '--foreground', '--max-rounds', '0'],
      ...['--role', 'reviewer', '--nickname', 'The reviewer'],
    )
    expect(await town.tt('list')).toMatch(/The reviewer \[reviewer\] .* - Stopped/)
    const { agents } = JSON.parse((await town.ours('list', '--json')).stdout)
    expect(agents).toContainEqual(
      expect.objectContaining({ name: 'up-1', nickname: 'The reviewer', state: 'stopped', cli: 'fake' }),
    )
  })
})
