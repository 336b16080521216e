import { describe, expect, it } from 'vitest'
import { recentEvents } from '../../src/store/events.ts'
import { cancelTask } from '../../src/store/tasks.ts'
import { type TestTown, useClosers } from '../rig/daemon.ts'
import type { FakeRun } from '../rig/fake-agent.ts'
import { agentOf, assign, ended, taskThat, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const retrying = (delay = '50ms', attempts = '3') => ({
  env: { TINYTOWN_MAX_ATTEMPTS: attempts, TINYTOWN_RETRY_DELAY: delay },
})

async function succeed(run: FakeRun, text = 'ok'): Promise<void> {
  await run.stdout(text)
  await run.exit(0)
}

const json = async (town: TestTown, ...args: string[]) =>
  JSON.parse((await town.cli(...args, '--json')).stdout)

describe('a task whose run fails', () => {
  it('is run again until it succeeds, and its attempts are counted', async () => {
    const { town, agents } = await scene(retrying())
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    await (await agents.next()).exit(1)
    await (await agents.next()).exit(1)
    await succeed(await agents.next(), 'the third time')
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'the third time', attempts: 3 })
    expect(await agentOf(town)).toMatchObject({ tasksCompleted: 1, roundsCompleted: 3 })
    expect(daemon.stderr()).toMatch(/attempt 1 of 3 failed \(exit\), again in .*fake exited with 1/)
    expect(await json(town, 'dead-letters', 'list')).toMatchObject({ total: 0 })
  })

  it('23: holds up no other while it waits', async () => {
    const { town, agents } = await scene(retrying('10m'))
    await town.worker('--cli', 'fake')
    const first = await assign(town, 'first')
    await (await agents.next()).exit(1)
    expect(await taskThat(town, first, ({ state }) => state === 'assigned', 'waits')).toMatchObject({
      attempts: 1,
      reason: 'exit',
      exitCode: 1,
    })
    const second = await assign(town, 'second')
    const run = await agents.next()
    expect(run.hello.prompt).toBe('second')
    await succeed(run)
    expect(await ended(town, second)).toMatchObject({ state: 'completed' })
    expect(await json(town, 'list')).toMatchObject({ agents: [{ delayed: 1 }] })
    expect(await json(town, 'status')).toMatchObject({ waiting: 0, delayed: 1 })
    expect((await town.cli('list')).stdout).toMatch(/worker-1 +idle .* 0 \(\+1 later\) /)
    expect((await town.cli('status')).stdout).toMatch(/^Waiting +0 \(\+1 later\)$/m)
    const shown = (await town.cli('task', first)).stdout
    expect(shown).toMatch(/^Reason +exit$[\s\S]*^Next try +in \d+m\d\ds, at (\d{4}-\d\d-\d\d )?\d\d:\d\d$/m)
    const { nextAttemptAt } = await json(town, 'task', first)
    expect(Date.parse(nextAttemptAt)).toBeGreaterThan(Date.parse((await agentOf(town)).lastActiveAt))
  })

  it('23: goes to the dead letters after its last attempt, and comes back with all of them', async () => {
    const { town, agents } = await scene(retrying('50ms', '2'))
    await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    for (const _ of [1, 2]) {
      const run = await agents.next()
      await run.stderr('it is broken\n')
      await run.exit(3)
    }
    expect(await ended(town, id)).toMatchObject({ state: 'failed', reason: 'exit', attempts: 2 })
    const { letters } = await json(town, 'dead-letters', 'list')
    expect(letters).toMatchObject([{ agent: 'worker-1', reason: 'exit', taskId: id }])
    expect(letters[0].detail).toContain('it is broken')
    expect((await town.cli('dead-letters', 'retry', letters[0].id)).stdout).toContain(
      'is back in the inbox of worker-1',
    )
    await succeed(await agents.next(), 'now it works')
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'now it works', attempts: 1 })
    expect(await json(town, 'dead-letters', 'list')).toMatchObject({ total: 0 })
    const events = await recentEvents(await town.redis(), town.keys.events, 100)
    expect(events.filter(({ event }) => event.event_type === 'task_failed')).toHaveLength(1)
  })

  it('is in the inbox again when the worker ends before its next attempt', async () => {
    const { town, agents } = await scene(retrying('10m'))
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    await (await agents.next()).exit(1)
    await taskThat(town, id, ({ state }) => state === 'assigned', 'waits')
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(await json(town, 'list')).toMatchObject({ agents: [{ delayed: 0, inbox: 1 }] })
    await town.worker('--cli', 'fake')
    await succeed(await agents.next())
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 2 })
  })

  it('that is cancelled while it waits is not run again', async () => {
    const { town, agents } = await scene(retrying('1s'))
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    await (await agents.next()).exit(1)
    await taskThat(town, id, ({ state }) => state === 'assigned', 'waits')
    await cancelTask(await town.redis(), town.keys, id, 'not wanted')
    await daemon.says(/task not run: it is cancelled already/)
    expect(await ended(town, id)).toMatchObject({ state: 'cancelled' })
    expect(agents.started).toBe(1)
  })

  it('is left alone where somebody gave it to another agent meanwhile', async () => {
    const { town, agents } = await scene(retrying('50ms', '3'))
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const assigned = { state: 'assigned', assigned_to: '550e8400-e29b-41d4-a716-446655440000' }
    await (await town.redis()).hset(town.keys.task(id), assigned)
    await run.exit(1)
    await daemon.says(/working -> idle/)
    expect(await taskThat(town, id, () => true, 'is there')).toMatchObject({
      state: 'assigned',
      assignedTo: assigned.assigned_to,
      attempts: 1,
    })
    expect(await json(town, 'dead-letters', 'list')).toMatchObject({ total: 0 })
  })

  it('is waited for by --once', async () => {
    const { town, agents } = await scene(retrying('200ms'))
    const first = await town.worker('--cli', 'fake')
    first.signal('SIGTERM')
    await first.exit
    const id = await assign(town, 'x')
    const daemon = town.start('--cli', 'fake', '--once')
    await (await agents.next()).exit(1)
    await succeed(await agents.next())
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    expect(await daemon.exit).toBe(0)
  })
})

const CLAUDE = { ...retrying(), table: 'output = "claude"' }

/** What claude prints when the model server refuses. */
async function refuse(run: FakeRun, result: string, status: number | null, resetsAt?: number): Promise<void> {
  const lines = [
    ...(resetsAt === undefined
      ? []
      : [
          {
            type: 'rate_limit_event',
            rate_limit_info: { status: 'rejected', resetsAt, rateLimitType: 'five_hour' },
          },
        ]),
    {
      type: 'result',
      subtype: 'success',
      is_error: true,
      api_error_status: status,
      result,
      session_id: 's-1',
    },
  ]
  await run.stdout(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
  await run.exit(1)
}

async function answer(run: FakeRun, result: string): Promise<void> {
  await run.stdout(`${JSON.stringify({ type: 'result', subtype: 'success', is_error: false, result })}\n`)
  await run.exit(0)
}

describe('a limit of the model server', () => {
  it('parks the agent until it is over, and costs no attempt', async () => {
    const { town, agents } = await scene(CLAUDE)
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const resetsAt = Math.floor(Date.now() / 1000) + 3
    await refuse(await agents.next(), "You've hit your session limit", 429, resetsAt)
    await daemon.says(/working -> error \((quota|rate-limit)\)/)
    expect(await agentOf(town)).toMatchObject({
      state: 'error',
      lastError: expect.stringContaining('hit your session limit'),
      parkedUntil: new Date(resetsAt * 1000).toISOString(),
    })
    expect(await taskThat(town, id, ({ state }) => state === 'assigned', 'went back')).toMatchObject({
      attempts: 0,
      reason: expect.stringMatching(/^(quota|rate-limit)$/),
    })
    await daemon.says(/"event":"task-released",.*"reason":"(quota|rate-limit)"/)
    await answer(await agents.next(), 'after the limit')
    const task = await ended(town, id)
    expect(task).toMatchObject({ state: 'completed', attempts: 1 })
    expect(task).not.toHaveProperty('reason')
    await until(async () => (await agentOf(town)).state === 'idle', 'the agent is idle')
    expect((await agentOf(town)).parkedUntil).toBeUndefined()
  })
})

describe('an agent that is parked', () => {
  it('tells until when, and tries its task at once when it is resumed', async () => {
    const { town, agents } = await scene(CLAUDE)
    const daemon = await town.worker('--cli', 'fake')
    const resetsAt = Math.floor(Date.now() / 1000) + 10 * 86_400
    const following = town.start('assign', 'worker-1', 'x', '--follow')
    const limit = "You've hit your session limit"
    await refuse(await agents.next(), limit, 429, resetsAt)
    await daemon.says(/working -> error/)
    const until = /until \d{4}-\d\d-\d\d \d\d:\d\d: .*hit your session limit/
    await following.says(until)
    for (const command of ['list', 'status']) expect((await town.cli(command)).stdout).toMatch(until)
    expect((await town.cli('task', (await json(town, 'tasks')).tasks[0].id)).stdout).toMatch(
      /^Reason +(quota|rate-limit)\nAgent +worker-1\nWaits +worker-1 is in error until /m,
    )
    const waited = await town.cli('wait', 'worker-1')
    expect(waited).toMatchObject({ exit: 1, stderr: expect.stringMatching(until) })
    expect(waited.stderr).toContain('tinytown-worker resume worker-1')

    const resume = await town.cli('resume', 'worker-1')
    expect(resume).toMatchObject({ exit: 0, stdout: 'worker-1 looks again now whether it can go on\n' })
    await refuse(await agents.next(), limit, 429, resetsAt)
    await daemon.says(/asked-to-look[\s\S]*surroundings-broken/)
    expect(await agentOf(town)).toMatchObject({ state: 'error' })
    expect((await town.cli('resume', 'worker-1')).exit).toBe(0)
    await answer(await agents.next(), 'bought more')
    expect(await following.exit).toBe(0)
    expect(following.stdout()).toBe('bought more\n')
  })
})

describe('a login that is refused', () => {
  it('puts the agent into error and holds its tasks, until it works again', async () => {
    const { town, agents } = await scene(CLAUDE)
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    await refuse(await agents.next(), 'Invalid API key · Please run /login', 401)
    await daemon.says(/working -> error \(auth\)/)
    expect((await agentOf(town)).lastError).toMatch(/^auth: Invalid API key/)
    await refuse(await agents.next(), 'Invalid API key · Please run /login', 401)
    await answer(await agents.next(), 'logged in')
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
    await daemon.says(/the surroundings are in order again/)
    expect(await json(town, 'dead-letters', 'list')).toMatchObject({ total: 0 })
  })
})

it('burns no task while the model server cannot be reached', async () => {
  const { town, agents } = await scene(CLAUDE)
  const daemon = await town.worker('--cli', 'fake', '--max-attempts', '1')
  const id = await assign(town, 'x')
  for (let round = 0; round < 2; round += 1)
    await refuse(await agents.next(), 'API Error: Connection error.', null)
  await daemon.says(/working -> error \(unreachable\)/)
  expect((await agentOf(town)).lastError).toMatch(/^unreachable: API Error: Connection error/)
  await answer(await agents.next(), 'the network is back')
  expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
})

describe('a limit of the model server, at most once', () => {
  it('fails the task that met it, and keeps the others until it is over', async () => {
    const { town, agents } = await scene(CLAUDE)
    const daemon = await town.worker('--cli', 'fake', '--delivery', 'at-most-once')
    const [first, second] = [await assign(town, 'x'), await assign(town, 'y')]
    const resetsAt = Math.floor(Date.now() / 1000) + 3
    await refuse(await agents.next(), "You've hit your session limit", 429, resetsAt)
    await daemon.says(/working -> error \((quota|rate-limit)\)/)
    expect(await ended(town, first)).toMatchObject({ state: 'failed', reason: 'quota', attempts: 1 })
    expect(await agentOf(town)).toMatchObject({
      state: 'error',
      lastError: expect.stringContaining('hit your session limit'),
      parkedUntil: new Date(resetsAt * 1000).toISOString(),
    })
    await answer(await agents.next(), 'after the limit')
    expect(await ended(town, second)).toMatchObject({ state: 'completed', attempts: 1 })
    await until(async () => (await agentOf(town)).state === 'idle', 'the agent is idle')
    expect(await agentOf(town)).not.toHaveProperty('parkedUntil')
    expect(await json(town, 'dead-letters', 'list')).toMatchObject({ letters: [{ taskId: first }] })
  })
})

describe('dead-letters', () => {
  it('show prints all of a letter, each line of it', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const first = await assign(town, 'x')
    const second = await assign(town, 'y')
    const lines = Array.from({ length: 6 }, (_, index) => `line ${index} ${'.'.repeat(80)} end`)
    const one = await agents.next()
    await one.stderr(`${lines.join('\n')}\u001b[2J\n`)
    await one.exit(3)
    await ended(town, first)
    await (await agents.next()).exit(3)
    await ended(town, second)
    const { letters } = await json(town, 'dead-letters', 'list')
    const { stdout } = await town.cli('dead-letters', 'show', letters[0].id, letters[1].id)
    expect(stdout).toContain(`${lines.join(`\n${' '.repeat(9)}`)}\n`)
    expect(stdout).toMatch(/^message +\{.*"task_assign".*\}$/m)
    expect(stdout).toMatch(/^taskId +\S+\n\nid +\d/m)
  })

  it('keeps what cannot be read, shows it, and drops it', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const { inbox } = town.keys.agent((await agentOf(town)).id)
    await (await town.redis()).rpush(inbox, 'no message at all')
    await daemon.says(/put aside/)
    const { letters } = await json(town, 'dead-letters', 'list')
    expect(letters).toMatchObject([{ reason: 'bad-task', message: 'no message at all', taskId: null }])
    const shown = await town.cli('dead-letters', 'show', letters[0].id)
    expect(shown.stdout).toMatch(/^reason +bad-task$[\s\S]*^message +no message at all$/m)
    expect((await town.cli('dead-letters', 'list')).stdout).toMatch(/^\d+-\d+ .*worker-1 .*bad-task/m)
    expect((await town.cli('dead-letters', 'drop', '--all')).stdout).toBe('Dropped 1\n')
    expect((await town.cli('dead-letters', 'list')).stderr).toContain('There are no dead letters')
  })

  it('leaves a task that was completed since, unless its letter is named with --force', async () => {
    const { town, agents } = await scene(retrying('50ms', '1'))
    await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    await (await agents.next()).exit(1)
    await ended(town, id)
    await (await town.redis()).hset(town.keys.task(id), { state: 'completed', result: 'by a person' })
    const left = await town.cli('dead-letters', 'retry', '--all')
    expect(left).toMatchObject({
      exit: 1,
      stdout: expect.stringMatching(/was left: its task was completed since/),
    })
    const [letter = ''] = left.stdout.split(' ')
    expect(await taskThat(town, id, ({ state }) => state === 'completed', 'stands')).toMatchObject({
      result: 'by a person',
    })
    expect((await town.cli('dead-letters', 'retry', letter, '--force')).exit).toBe(0)
    await succeed(await agents.next(), 'once more')
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'once more' })
  })

  it.each([
    [['retry'], 2, /Expected <id> or --all after dead-letters retry/],
    [['drop', '1-1', '--all'], 2, /Expected <id> or --all/],
    [['show', '1-1'], 2, /There is no dead letter 1-1/],
    [['retry', 'x'], 2, /There is no dead letter x/],
    [['retry', '--all', '--force'], 2, /Expected --force with ids, not with --all/],
    [['bury'], 2, /Expected list, show, retry or drop, got "bury"/],
  ])('%j is refused', async (args, exit, message) => {
    const { town } = await scene()
    await town.cli('init')
    expect(await town.cli('dead-letters', ...args)).toMatchObject({
      exit,
      stderr: expect.stringMatching(message),
    })
  })
})
