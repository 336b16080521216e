import { describe, expect, it } from 'vitest'
import { useTtTowns } from '../rig/tt.ts'

const newTown = useTtTowns()

describe('what our client writes', () => {
  it('is read by tt: messages of every kind', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    await town.tt('interrupt', 'worker-1')
    await daemon.says(/paused: no task is taken/)
    for (const args of [
      ['A plain task'],
      ['--query', 'Which port?'],
      ['--info', 'The API moved to v2'],
      ['--ack', 'approved'],
      ['--urgent', 'Look at once'],
    ]) {
      expect((await town.ours('send', 'worker-1', ...args)).exit).toBe(0)
    }
    const inbox = await town.tt('inbox', 'worker-1')
    for (const text of ['A plain task', 'Which port?', 'The API moved to v2']) expect(inbox).toContain(text)
    expect((await town.ours('send', 'conductor', '--info', 'All is well')).exit).toBe(0)
    expect(await town.tt('inbox', 'conductor')).toContain('All is well')
    // tt's inbox does not show the urgent list; a worker takes it first.
    await town.tt('resume', 'worker-1')
    const run = await town.agents.next()
    expect(run.hello.prompt).toBe('Look at once')
    await run.exit(1)
  })

  it('is read by tt: interrupt, resume, close and a cancelled task', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    expect((await town.ours('interrupt', 'worker-1')).exit).toBe(0)
    expect(await town.tt('list')).toMatch(/worker-1 .* - Paused$/m)
    await daemon.says(/paused: no task is taken/)
    const id = await town.assign('worker-1', 'never')
    expect((await town.ours('cancel', id)).exit).toBe(0)
    expect(await town.tt('task', 'show', id)).toMatch(/State: Cancelled/)
    expect((await town.ours('resume', 'worker-1')).exit).toBe(0)
    await town.ttSays(['list'], /worker-1 .* - Idle$/m)
    expect(town.agents.started).toBe(0)
    expect((await town.ours('close', 'worker-1')).exit).toBe(0)
    expect(await daemon.exit).toBe(0)
    expect(await town.tt('list')).toMatch(/worker-1 .* - Stopped$/m)
    const history = await town.tt('history')
    for (const word of ['Interrupted', 'Resumed']) expect(history.toLowerCase()).toContain(word.toLowerCase())
  })

  it('is read by tt: the backlog', async () => {
    const town = await newTown()
    await town.worker()
    const added = await town.ours('backlog', 'add', 'Write the docs', '--tag', 'docs', '--json')
    const { id } = JSON.parse(added.stdout)
    expect(await town.tt('backlog', 'list')).toContain(`(${id}) - Write the docs [docs]`)
    expect(await town.tt('backlog', 'claim', id, 'worker-1')).toContain("assigned to 'worker-1'")
    const run = await town.agents.next()
    await run.stdout('written\n')
    await run.exit(0)
    await town.ttSays(['task', 'show', id], /State: Completed/)
  })
})
