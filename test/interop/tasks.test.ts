import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { getAgent } from '../../src/store/agents.ts'
import { getTask } from '../../src/store/tasks.ts'
import { type TtTown, useTtTowns } from '../rig/tt.ts'

const newTown = useTtTowns()

/** What `tt` counts for an agent and what we do. */
async function counts(town: TtTown, name = 'worker-1') {
  const agent = await getAgent(town.redis, town.keys, await town.idOf(name))
  return { tasks: agent?.tasksCompleted, rounds: agent?.roundsCompleted, current: agent?.currentTask }
}

describe('a task that tt assigns', () => {
  it.each(['tt', 'tinytown-worker'] as const)(
    'is run by our worker in a town that %s made, and tt shows each step',
    async (by) => {
      const town = await newTown(by)
      expect(await town.tt('list')).toMatch(/No agents/)
      await town.worker('--role', 'backend')
      expect(await town.tt('list')).toMatch(/^ +worker-1 \[backend\] \(\w{4}\) - Idle$/m)
      const id = await town.assign('worker-1', 'Say "hi" & $(date)\nin two lines, ü')
      const run = await town.agents.next()
      expect(run.hello.prompt).toMatch(/# Task\n\nSay "hi" & \$\(date\)\nin two lines, ü$/)
      expect(await town.tt('list')).toMatch(/worker-1 \[backend\] .* - Working$/m)
      const busy = await town.tt('status')
      expect(busy).toMatch(/worker-1 \[backend\] \(Working\) - 0 pending \(T:0 Q:0 I:0 C:0\)/)
      expect(busy).toContain('Working: Say "hi"')
      expect(busy).toContain('Tasks: 1 total (0 pending, 1 in-flight, 0 done)')
      const current = await town.tt('task', 'current', 'worker-1')
      expect(current).toContain(`(${id})`)
      expect(current).toContain('State: Running')
      expect(await town.tt('task', 'list', '--state', 'running')).toMatch(
        /🔄 \w{4} - Say .*\[worker-1 \[backend\]\]/,
      )
      await run.stdout('All done: hi\n')
      await run.exit(0)
      const shown = await town.ttSays(['task', 'show', id], /State: Completed/)
      expect(shown).toContain('Result: All done: hi')
      expect(shown).toContain('Assigned to: worker-1 [backend]')
      expect(shown).toMatch(/Started: .*\n +Completed: /)
      expect(await town.tt('list')).toMatch(/worker-1 .* - Idle$/m)
      expect(await town.tt('task', 'current', 'worker-1')).toContain('No current task')
      expect(await town.tt('task', 'list')).toMatch(/✅ \w{4} - Say/)
      expect(await town.tt('status')).toContain('Tasks: 1 total (0 pending, 0 in-flight, 1 done)')
      expect(await counts(town)).toEqual({ tasks: 1, rounds: 1 })
    },
  )

  it('is shown as failed, with the reason as its result, when the CLI fails', async () => {
    const town = await newTown()
    await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await run.stderr('the model exploded\n')
    await run.exit(3)
    expect(await town.ttSays(['task', 'show', id], /State: Failed/)).toMatch(
      /Result: fake exited with 3\n\nthe model exploded/,
    )
    expect(await town.tt('task', 'list', '--state', 'failed')).toMatch(/❌ \w{4} - x/)
    expect(await counts(town)).toEqual({ tasks: 0, rounds: 1 })
  })

  it('waits in the inbox of a worker that is not there, and is done when it starts', async () => {
    const town = await newTown()
    const first = await town.worker()
    first.signal('SIGTERM')
    await first.exit
    expect(await town.tt('list')).toMatch(/worker-1 .* - Stopped$/m)
    const id = await town.assign('worker-1', 'for later')
    expect(await town.tt('inbox', 'worker-1')).toMatch(/1 messages[\s\S]*\[T\] task .*: for later/)
    await town.worker()
    const run = await town.agents.next()
    await run.stdout('done')
    await run.exit(0)
    await town.ttSays(['task', 'show', id], /State: Completed/)
  })
})

describe('a CLI that itself calls tt task complete', () => {
  it('wins with nothing but its own environment: its result stays and nothing is counted twice', async () => {
    const town = await newTown()
    await nameRedisInTheFile(town)
    await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    const env = run.hello.env
    expect(env.TINYTOWN_TASK_ID).toBe(id)
    const current = await town.startTt(['task', 'current'], env).ended
    expect(current.text).toContain(`(${id})`)
    const completed = await town.startTt(['task', 'complete', id, '--result', 'by the child'], env).ended
    expect(completed).toMatchObject({ exit: 0, text: expect.stringContaining('Agent tasks completed: 1') })
    // It still runs, so it takes nothing else meanwhile.
    expect(await town.tt('list')).toMatch(/worker-1 .* - Working$/m)
    await run.stdout('by the worker\n')
    await run.exit(0)
    await town.ttSays(['list'], /worker-1 .* - Idle$/m)
    const shown = await town.tt('task', 'show', id)
    expect(shown).toContain('State: Completed')
    expect(shown).toContain('Result: by the child')
    expect(await counts(town)).toEqual({ tasks: 1, rounds: 1 })
    expect(await getTask(town.redis, town.keys, id)).toMatchObject({ exitCode: 0, attempts: 1 })
  })

  it('has completed the task also when the CLI then fails', async () => {
    const town = await newTown()
    await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await town.tt('task', 'complete', id)
    await run.exit(1)
    await town.ttSays(['list'], /worker-1 .* - Idle$/m)
    expect(await town.tt('task', 'show', id)).toMatch(/State: Completed[\s\S]*Result: Completed/)
    expect(await counts(town)).toEqual({ tasks: 1, rounds: 1 })
  })
})

describe('tt task complete', () => {
  it('on a task that still waits keeps it from being run', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    await town.assign('worker-1', 'one')
    const run = await town.agents.next()
    const waiting = await town.assign('worker-1', 'two')
    await town.tt('task', 'complete', waiting, '--result', 'not needed any more')
    const last = await town.assign('worker-1', 'three')
    await run.stdout('ok')
    await run.exit(0)
    const next = await town.agents.next()
    expect(next.hello.prompt).toMatch(/three$/)
    await daemon.says(/task not run: it is completed already/)
    await next.stdout('ok')
    await next.exit(0)
    await town.ttSays(['task', 'show', last], /State: Completed/)
    expect(await town.tt('task', 'show', waiting)).toContain('Result: not needed any more')
    expect(await counts(town)).toEqual({ tasks: 3, rounds: 2 })
  })
})

describe('the other way round', () => {
  it('a task that our assign gives to an agent of tt is run by its loop, and our task command shows the result', async () => {
    const town = await newTown()
    await town.tt('spawn', 'up-1', '--cli', 'fake', '--foreground', '--max-rounds', '0')
    const assigned = await town.ours('assign', 'up-1', 'Do it upstream', '--json')
    expect(assigned.exit).toBe(0)
    const { id } = JSON.parse(assigned.stdout)
    const loop = town.startTt(['restart', 'up-1', '--foreground', '--rounds', '1'])
    const run = await town.agents.next()
    expect(run.hello.prompt).toContain('Do it upstream')
    expect(run.hello.prompt).toContain(`tt task complete ${id}`)
    expect((await town.ours('list')).stdout).toMatch(/up-1 +working +fake/)
    await town.tt('task', 'complete', id, '--result', 'done upstream')
    await run.exit(0)
    expect((await loop.ended).exit).toBe(0)
    const shown = JSON.parse((await town.ours('task', id, '--json')).stdout)
    expect(shown).toMatchObject({ state: 'completed', result: 'done upstream' })
    const { agents } = JSON.parse((await town.ours('list', '--json')).stdout)
    expect(agents[0]).toMatchObject({ name: 'up-1', state: 'stopped', tasksCompleted: 1 })
  })
})

/** Without REDIS_URL, which no CLI gets, `tt` finds the town's Redis by its file. */
async function nameRedisInTheFile(town: TtTown): Promise<void> {
  const path = join(town.root, 'tinytown.toml')
  const url = JSON.stringify(`unix://${town.redis.options.path}`)
  await writeFile(path, (await readFile(path, 'utf8')).replace('[redis]\n', `[redis]\nurl = ${url}\n`))
}
