import { describe, expect, it } from 'vitest'
import { type TtTown, useTtTowns } from '../rig/tt.ts'

const newTown = useTtTowns()

async function add(town: TtTown, description: string, ...more: string[]): Promise<string> {
  const said = await town.tt('backlog', 'add', description, ...more)
  return /Added task to backlog: (\S+)/.exec(said)?.[1] ?? ''
}

describe('a task of the backlog', () => {
  it('that tt claims for a worker is run with its tags', async () => {
    const town = await newTown()
    await town.worker()
    const id = await add(town, 'Document the API', '--tags', 'docs, api')
    expect(await town.tt('backlog', 'list')).toContain(`(${id}) - Document the API [docs, api]`)
    expect(await town.tt('backlog', 'claim', id, 'worker-1')).toContain("assigned to 'worker-1'")
    const run = await town.agents.next()
    expect(run.hello.prompt).toBe('# Tags\n\ndocs, api\n\n# Task\n\nDocument the API')
    await run.stdout('documented\n')
    await run.exit(0)
    const shown = await town.ttSays(['task', 'show', id], /State: Completed/)
    expect(shown).toMatch(/Result: documented\n +Tags: docs, api/)
    expect(await town.tt('backlog', 'list')).toContain('Backlog is empty')
    expect(await town.tt('backlog', 'claim', id, 'worker-1')).toContain('not found in backlog')
  })

  it('is untouched by a worker that nobody claims it for, and goes in its order with assign-all', async () => {
    const town = await newTown()
    const ids = [await add(town, 'one'), await add(town, 'two')]
    const gone = await add(town, 'three')
    expect(await town.tt('backlog', 'remove', gone)).toContain('Removed task')
    await town.worker()
    expect(await town.tt('status')).toContain('Tasks: 2 total (2 pending, 0 in-flight, 0 done)')
    expect(await town.tt('backlog', 'assign-all', 'worker-1')).toContain('Assigned 2 task(s)')
    for (const [at, text] of ['one', 'two'].entries()) {
      const run = await town.agents.next()
      expect(run.hello.prompt).toBe(text)
      await run.stdout('ok\n')
      await run.exit(0)
      await town.ttSays(['task', 'show', ids[at] ?? ''], /State: Completed/)
    }
  })

  it('is taken by an idle worker that claims, when it fits its role', async () => {
    const town = await newTown()
    await town.worker('--role', 'backend', '--claim-backlog')
    const page = await add(town, 'Draw the page', '--tags', 'frontend')
    const id = await add(town, 'Import it', '--tags', 'data')
    const run = await town.agents.next()
    expect(run.hello.prompt).toContain('Import it')
    await run.stdout('imported\n')
    await run.exit(0)
    await town.ttSays(['task', 'show', id], /State: Completed/)
    expect(await town.tt('backlog', 'list')).toContain(page)
  })
})
