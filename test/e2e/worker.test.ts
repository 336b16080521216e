import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { decodeMessage } from '../../src/domain/message.ts'
import { getAgent } from '../../src/store/agents.ts'
import { recentEvents } from '../../src/store/events.ts'
import { getTask } from '../../src/store/tasks.ts'
import { makeTown, processLives, useClosers } from '../rig/daemon.ts'
import { agentOf, assign, ended, push, taskThat, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

describe('a task', () => {
  it('goes from assigned over running to completed, with its result and what is known of the run', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake', '--role', 'backend')
    const id = await assign(town, 'Say hi\nin two lines')
    const run = await agents.next()
    const running = await taskThat(town, id, ({ state }) => state === 'running', 'runs')
    expect(running.startedAt).toBeDefined()
    expect(await agentOf(town)).toMatchObject({ state: 'working', currentTask: id, roleId: 'backend' })
    await run.stdout('All done: hi\n')
    await run.exit(0)
    const task = await ended(town, id)
    expect(task).toMatchObject({
      state: 'completed',
      result: 'All done: hi',
      cli: 'fake',
      attempts: 1,
      exitCode: 0,
      toolCalls: 0,
    })
    expect(task.durationMs).toBeGreaterThan(0)
    expect(task.queueMs).toBeGreaterThanOrEqual(0)
    expect(await readFile(task.log ?? '', 'utf8')).toBe('All done: hi\n')
    expect(await agentOf(town)).toMatchObject({ state: 'idle', tasksCompleted: 1, roundsCompleted: 1 })
    const redis = await town.redis()
    const events = (await recentEvents(redis, town.keys.events, 20)).map(({ event }) => event.event_type)
    expect(events.slice(-3)).toEqual(['task_assigned', 'agent_state_changed', 'task_completed'])
  })

  it('gets its whole text as prompt on stdin, also 1 MiB of it, through the assign command', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const text = `begin ${'ü'.repeat(512 * 1024)} end`
    const assigned = await town.cliWith({ input: text }, 'assign', 'worker-1', '-', '--json')
    expect(assigned).toMatchObject({ exit: 0, stderr: '' })
    const run = await agents.next()
    expect(run.hello.prompt === text).toBe(true)
    await run.stdout('read')
    await run.exit(0)
  })

  it('gets role instructions, notes and tags before its text', async () => {
    const { town, agents } = await scene()
    await mkdir(join(town.root, '.tt', 'roles'), { recursive: true })
    await writeFile(join(town.root, '.tt', 'roles', 'reviewer.md'), 'Be strict.\n')
    await town.worker('--cli', 'fake', '--role', 'reviewer')
    await push(town, { type: 'informational', summary: 'The API moved to v2' })
    await push(town, { type: 'confirmation', ack_type: { type: 'rejected', reason: 'no tests' } })
    const assigned = await town.cli('assign', 'worker-1', 'Do X', '--tag', 'api', '--tag', 'urgent')
    expect(assigned.exit).toBe(0)
    const first = await agents.next()
    expect(first.hello.prompt).toBe(
      '# Your role\n\nBe strict.\n\n# Messages since your last task\n\n- The API moved to v2\n- Rejected: no tests\n\n# Tags\n\napi, urgent\n\n# Task\n\nDo X',
    )
    await first.stdout('ok')
    await first.exit(0)
    await assign(town, 'Do Y')
    const second = await agents.next()
    expect(second.hello.prompt).toBe('# Your role\n\nBe strict.\n\n# Task\n\nDo Y')
    await second.exit(1)
  })

  it('is not made too long for its CLI by the messages before it, which come with the next prompts', async () => {
    const { town, agents } = await scene({ table: 'prompt = "argument"' })
    await town.worker('--cli', 'fake')
    for (const letter of ['a', 'b', 'c']) {
      await push(town, { type: 'informational', summary: letter.repeat(15_000) })
    }
    const promptOf = async (description: string, answer: string) => {
      const id = await assign(town, description)
      const run = await agents.next()
      await run.stdout(answer)
      await run.exit(0)
      expect(await ended(town, id)).toMatchObject({ state: 'completed' })
      return run.hello.argv.at(-1) ?? ''
    }
    const first = await promptOf('Do X', 'ok')
    expect(first).toMatch(/- a{15000}\n- b{15000}\n- \(1 newer message does not fit .*\n\n# Task\n\nDo X$/)
    expect(await promptOf('Do Y', 'ok')).toMatch(/- c{15000}\n\n# Task\n\nDo Y$/)
    expect(await promptOf('Do Z', 'ok')).toBe('Do Z')
    await push(town, { type: 'informational', summary: 'kept' })
    expect(await ended(town, await assign(town, 'x'.repeat(200_000)))).toMatchObject({
      state: 'failed',
      reason: 'bad-task',
    })
    expect(await promptOf('Do it', 'ok')).toContain('- kept')
  })

  it('33: runs in the town folder with its own variables and only allowed ones of the daemon', async () => {
    const env = { SECRET_TOKEN: 's3cret', HARMLESS: 'x', TINYTOWN_REDIS_PASSWORD: 'pw', EXTRA: 'yes' }
    const { town, agents } = await scene({ env, table: 'env = { MODE = "fast" }' })
    await town.worker('--cli', 'fake', '--pass-env', 'EXTRA')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const { id: agentId } = await agentOf(town)
    expect(run.hello.cwd).toBe(town.root)
    expect(run.hello.env).toMatchObject({
      TINYTOWN_AGENT_ID: agentId,
      TINYTOWN_AGENT_NAME: 'worker-1',
      TINYTOWN_TASK_ID: id,
      TINYTOWN_TOWN: 'test',
      MODE: 'fast',
      EXTRA: 'yes',
    })
    for (const name of ['SECRET_TOKEN', 'HARMLESS', 'TINYTOWN_REDIS_PASSWORD', 'REDIS_URL']) {
      expect(run.hello.env).not.toHaveProperty(name)
    }
    await run.exit(1)
  })
})

describe('a run that fails', () => {
  it.each([
    ['exits 1 with words on stderr', 'exit', /model exploded/],
    ['is killed by a signal', 'crashed', /SIGKILL/],
    ['exits 0 without an answer', 'no-final-answer', /without (a|an|any) .*answer/i],
  ])('that %s is failed with the reason %s', async (how, reason, detail) => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    if (reason === 'exit') {
      await run.stderr('the model exploded\n')
      await run.exit(1)
    } else if (reason === 'crashed') await run.signal('SIGKILL')
    else await run.exit(0)
    expect(how).toBeTruthy()
    const task = await ended(town, id)
    expect(task).toMatchObject({ state: 'failed', reason, result: expect.stringMatching(detail) })
    expect(await agentOf(town)).toMatchObject({ state: 'idle', tasksCompleted: 0, roundsCompleted: 1 })
  })

  it.each([
    ['takes too long', ['--task-timeout', '1s'], 'timeout'],
    ['stays silent', ['--stall-timeout', '1s'], 'stalled'],
  ])('that %s is ended with its whole tree', async (_, flags, reason) => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake', '--kill-grace', '500ms', ...flags)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.ignoreTerm()
    const grandchild = await run.grandchild({ keepStdout: true })
    expect(await ended(town, id)).toMatchObject({ state: 'failed', reason })
    await until(async () => !(await processLives(grandchild)), 'the grandchild is gone')
    await until(async () => !(await processLives(run.hello.pid)), 'the CLI is gone')
  })

  it('does not stop the next task', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const [first, second] = [await assign(town, 'one'), await assign(town, 'two')]
    await (await agents.next()).exit(3)
    const next = await agents.next()
    await next.stdout('fine')
    await next.exit(0)
    expect(await ended(town, first)).toMatchObject({ state: 'failed', exitCode: 3 })
    expect(await ended(town, second)).toMatchObject({ state: 'completed' })
  })
})

describe('what a run leaves', () => {
  it('10, 13: is ended after a good run, and a grandchild that keeps stdout open does not hold the task', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const grandchild = await run.grandchild({ keepStdout: true })
    await run.stdout('done')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'done' })
    await until(async () => !(await processLives(grandchild)), 'the grandchild is gone')
  })
})

describe('output', () => {
  it('31: of 50 MB without a line end and of invalid UTF-8 is streamed with bounded memory', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.bytes(Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x0a]))
    await run.flood(50 * 1024 * 1024)
    await run.stdout('\nthe end\n')
    await run.exit(0)
    const task = await ended(town, id)
    expect(task).toMatchObject({ state: 'completed', result: expect.stringMatching(/the end$/) })
    expect((await readFile(task.log ?? '')).length).toBeGreaterThan(50 * 1024 * 1024)
    const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8')
    const peakKiB = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1])
    expect(peakKiB).toBeLessThan(300 * 1024)
  })

  it('is shown by logs while the task runs and afterwards', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const follower = town.start('logs', id, '--follow')
    await run.stdout('first line\n')
    await follower.says(/first line/)
    await run.stdout('second line\n')
    await run.exit(0)
    expect(await follower.exit).toBe(0)
    expect(follower.stdout()).toMatch(/first line\n(.*\n)*second line/)
    expect((await town.cli('logs', id)).stdout).toMatch(/first line\n(.*\n)*second line/)
    expect((await town.cli('logs', 'worker-1')).stdout).toContain('second line')
    expect((await town.cli('logs', id, '--raw')).stdout).toBe('first line\nsecond line\n')
  })
})

describe('a log file', () => {
  it('that cannot be written is not told in the record', async () => {
    const { town, agents } = await scene()
    const worker = await town.worker('--cli', 'fake')
    await rm(join(town.root, '.tt', 'logs'), { recursive: true, force: true })
    await writeFile(join(town.root, '.tt', 'logs'), 'in the way')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('done')
    await run.exit(0)
    const task = await ended(town, id)
    expect(task).toMatchObject({ state: 'completed', result: 'done' })
    expect(task.log).toBeUndefined()
    await worker.says(/the log file \S+ cannot be written/)
    const raw = await town.cli('logs', id, '--raw')
    expect(raw.stderr).toMatch(/has no log file/)
  })
})

describe('a name', () => {
  it('keeps its agent id and its inbox over a restart', async () => {
    const { town, agents } = await scene()
    const first = await town.worker('--cli', 'fake')
    const before = await agentOf(town)
    first.signal('SIGTERM')
    expect(await first.exit).toBe(0)
    expect((await agentOf(town)).state).toBe('stopped')
    const id = await assign(town, 'for later')
    await town.worker('--cli', 'fake')
    expect((await agentOf(town)).id).toBe(before.id)
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })

  it('of a live worker is refused with 75 and says who holds it', async () => {
    const { town } = await scene()
    const first = await town.worker('--cli', 'fake')
    const second = await town.cli('--cli', 'fake')
    expect(second.exit).toBe(75)
    expect(second.stderr).toMatch(new RegExp(`worker-1 is in use by a live worker: pid ${first.pid} on `))
    expect((await agentOf(town)).state).toBe('idle')
  })
})

describe('--once', () => {
  it('does what is in the inbox and ends', async () => {
    const { town, agents } = await scene()
    const first = await town.worker('--cli', 'fake')
    first.signal('SIGTERM')
    await first.exit
    const ids = [await assign(town, 'one'), await assign(town, 'two')]
    const once = town.start('--cli', 'fake', '--once')
    for (const word of ['one', 'two']) {
      const run = await agents.next()
      expect(run.hello.prompt).toBe(word)
      await run.stdout(`did ${word}`)
      await run.exit(0)
    }
    expect(await once.exit).toBe(0)
    for (const id of ids) expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    expect((await agentOf(town)).state).toBe('stopped')
  })
})

describe('surroundings', () => {
  it('34: without the CLI make the agent error and leave the task queued, until the CLI appears', async () => {
    const { town, agents } = await scene()
    const bin = join(town.root, 'late-cli')
    await writeFile(
      join(town.root, 'tinytown.toml'),
      `name = "test"\n[agent_clis.late]\ncommand = "${bin}"\npass_env = ["FAKE_AGENT_SOCKET"]\n`,
    )
    const daemon = await town.worker('--cli', 'late')
    await until(async () => (await agentOf(town)).state === 'error', 'the agent says error')
    expect((await agentOf(town)).lastError).toContain(bin)
    const id = await assign(town, 'x')
    const redis = await town.redis()
    expect(await redis.llen(town.keys.agent((await agentOf(town)).id).inbox)).toBe(1)
    expect(await getTask(redis, town.keys, id)).toMatchObject({ state: 'assigned' })
    await writeFile(bin, `#!/bin/sh\nexec ${agents.toml().match(/"(.*)"/)?.[1]}\n`)
    await chmod(bin, 0o755)
    const run = await agents.next()
    await run.stdout('here now')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
    expect((await agentOf(town)).lastError).toBeUndefined()
    await daemon.says(/surroundings are in order again/)
  })

  it('34: without the working folder make the agent error and leave the task queued, until it is there', async () => {
    const { town, agents } = await scene({ table: 'workdir = "later"' })
    await town.worker('--cli', 'fake')
    await until(async () => (await agentOf(town)).state === 'error', 'the agent says error')
    expect((await agentOf(town)).lastError).toMatch(
      /later does not exist; make it \(mkdir -p .*agent_clis\.fake\.workdir/,
    )
    const id = await assign(town, 'x')
    await mkdir(join(town.root, 'later'))
    const run = await agents.next()
    expect(run.hello.cwd).toBe(join(town.root, 'later'))
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })

  it('34: with a CLI whose interpreter is missing hold the task instead of burning it', async () => {
    const { town } = await scene()
    const bin = join(town.root, 'no-interpreter')
    await writeFile(bin, '#!/no/such/interpreter\n', { mode: 0o755 })
    await writeFile(
      join(town.root, 'tinytown.toml'),
      `name = "test"\n[agent_clis.broken]\ncommand = "${bin}"\n`,
    )
    const daemon = await town.worker('--cli', 'broken')
    const id = await assign(town, 'x')
    await daemon.says(/task given back/)
    const task = await taskThat(town, id, ({ state }) => state === 'assigned', 'is queued again')
    expect(task.attempts ?? 0).toBe(0)
  })
})

describe('a CLI of tinytown.toml', () => {
  const town = async (table: string, script: string) => {
    const made = await makeTown(`[agent_clis.mine]\ncommand = "./mine"\n${table}`)
    onClose(() => made.close())
    const write = (text: string) =>
      writeFile(join(made.root, 'mine'), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    await write(script)
    return { made, write }
  }

  it('is not run but for a task: who knows what it does with a question for its version', async () => {
    const { made } = await town('', 'echo "run $*" >> runs; cat > /dev/null; echo done')
    expect((await made.cli('clis')).stdout).toMatch(/^mine +mine +- +- +\S+mine$/m)
    expect((await made.cli('doctor', '--cli', 'mine')).stdout).toMatch(/^ok +mine +\S+mine$/m)
    await made.worker('--cli', 'mine')
    const task = await ended(made, await assign(made, 'x'))
    expect(task).toMatchObject({ state: 'completed', result: 'done', cli: 'mine' })
    expect(task.cliVersion).toBeUndefined()
    expect(await readFile(join(made.root, 'runs'), 'utf8')).toBe('run \n')
  })

  it('that tells its version is asked for a task, and again when it was replaced', async () => {
    const script = (version: string) =>
      `if [ "$1" = -V ]; then echo ${version}; else cat > /dev/null; echo done; fi`
    const { made, write } = await town('version_args = ["-V"]', script('1.0.0'))
    await made.worker('--cli', 'mine')
    expect(await ended(made, await assign(made, 'x'))).toMatchObject({ cliVersion: '1.0.0' })
    await write(script('1.0.1'))
    expect(await ended(made, await assign(made, 'y'))).toMatchObject({ cliVersion: '1.0.1' })
  })

  it('whose version never comes does not keep the worker from registering, nor the end of a cancelled task', async () => {
    const script = 'if [ "$1" = -V ]; then exec sleep 300; else touch running; exec sleep 300; fi'
    const { made } = await town('version_args = ["-V"]', script)
    await made.worker('--cli', 'mine')
    const id = await assign(made, 'x')
    await until(async () => (await made.files('.')).includes('running'), 'the CLI runs')
    await (await made.redis()).hset(made.keys.task(id), 'state', 'cancelled')
    await until(async () => (await agentOf(made)).state === 'idle', 'the agent is idle again', 6000)
    expect(await ended(made, id)).toMatchObject({ state: 'cancelled' })
  })
})

describe('messages', () => {
  it('21: that are not JSON are kept aside with their text, and the next one runs', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const redis = await town.redis()
    const { id: agentId } = await agentOf(town)
    await redis.rpush(town.keys.agent(agentId).inbox, 'not { json')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    const [entry] = (await redis.xrange(town.keys.deadLetters, '-', '+')) as [string, string[]][]
    expect(entry?.[1]).toEqual(
      expect.arrayContaining(['message', 'not { json', 'detail', 'The message is not JSON']),
    )
  })

  it('24: that name a task without a record are kept aside', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = newId()
    await push(town, { type: 'task_assign', task_id: id })
    await daemon.says(new RegExp(`The task ${id} has no record`))
  })

  it('that bring a task without text fail it with bad-task', async () => {
    const { town } = await scene()
    await town.worker('--cli', 'fake')
    const id = await assign(town, ' \n ')
    expect(await ended(town, id)).toMatchObject({
      state: 'failed',
      reason: 'bad-task',
      result: 'The task has no text',
    })
  })

  it('that ask get an answer with the id of the question', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake')
    const asker = newId()
    const redis = await town.redis()
    const ids = [
      await push(town, { type: 'ping' }, asker),
      await push(town, { type: 'status_request' }, asker),
      await push(town, { type: 'query', question: 'What is 6 x 7?' }, asker),
    ]
    const run = await agents.next()
    expect(run.hello.prompt).toBe('What is 6 x 7?')
    await run.stdout('42')
    await run.exit(0)
    const raw = await until(async () => {
      const all = await redis.lrange(town.keys.agent(asker).inbox, 0, -1)
      return all.length === 3 ? all : null
    }, 'all three are answered')
    const replies = raw
      .map((text) => decodeMessage(text))
      .map((decoded) => (decoded.ok ? decoded.message : null))
    expect(replies.map((reply) => reply?.body)).toEqual([
      { type: 'pong' },
      { type: 'status_response', state: 'idle', current_task: null },
      { type: 'informational', summary: '42' },
    ])
    expect(replies.map((reply) => reply?.correlationId)).toEqual(ids)
  })

  it('that say shutdown end the worker', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    await push(town, { type: 'shutdown' })
    expect(await daemon.exit).toBe(0)
    expect((await agentOf(town)).state).toBe('stopped')
  })
})

describe('the end', () => {
  it('14: comes at once on SIGTERM while idle, and says stopped', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect((await agentOf(town)).state).toBe('stopped')
  })

  it('is said to wait for a run only when there is one', async () => {
    const { town, agents } = await scene()
    const idle = await town.worker('--cli', 'fake', '--log-format', 'pretty')
    idle.signal('SIGINT')
    expect(await idle.exit).toBe(0)
    expect(idle.stderr()).not.toMatch(/Again/)
    const busy = await town.worker('--cli', 'fake', '--log-format', 'pretty')
    await assign(town, 'x')
    const run = await agents.next()
    busy.signal('SIGINT')
    await busy.says(/Again \(Ctrl-C\) ends the run in hand/)
    await run.exit(1)
    expect(await busy.exit).toBe(0)
  })

  it('16: lets the run in hand finish on the first signal', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const later = await assign(town, 'not any more')
    const run = await agents.next()
    daemon.signal('SIGINT')
    await daemon.says(/draining/)
    await run.stdout('finished in time')
    await run.exit(0)
    expect(await daemon.exit).toBe(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'finished in time' })
    expect(await agentOf(town)).toMatchObject({ state: 'stopped' })
    expect(await getTask(await town.redis(), town.keys, later)).toMatchObject({ state: 'assigned' })
    expect(agents.started).toBe(1)
  })

  it('gives the task back uncounted on the second signal and ends the tree', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--kill-grace', '500ms')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.ignoreTerm()
    const grandchild = await run.grandchild({ keepStdout: false })
    daemon.signal('SIGINT')
    await daemon.says(/draining/)
    daemon.signal('SIGINT')
    expect(await daemon.exit).toBe(130)
    expect(await processLives(run.hello.pid)).toBe(false)
    expect(await processLives(grandchild)).toBe(false)
    const task = await getTask(await town.redis(), town.keys, id)
    expect(task).toMatchObject({ state: 'assigned', attempts: 0 })
    const agent = await agentOf(town)
    expect(agent.state).toBe('stopped')
    const [head] = await (await town.redis()).lrange(town.keys.agent(agent.id).inbox, 0, -1)
    expect(head).toContain(id)
  })

  it('ends the run at the drain deadline', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--drain-timeout', '1s', '--kill-grace', '500ms')
    const id = await assign(town, 'x')
    await agents.next()
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(await getTask(await town.redis(), town.keys, id)).toMatchObject({ state: 'assigned' })
  })

  it('by kill -9 in the middle of a run loses nothing: the next start ends what is left and takes the task up again', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const first = await agents.next()
    daemon.signal('SIGKILL')
    await daemon.exit
    const redis = await town.redis()
    const { id: agentId } = await agentOf(town)
    expect(await redis.llen(town.keys.agent(agentId).inFlight)).toBe(1)
    // Its lease is still there, but its holder is dead for certain: the next start need not wait for it to run out.
    expect(await redis.pttl(town.keys.agent(agentId).lease)).toBeGreaterThan(15_000)
    await town.worker('--cli', 'fake')
    const second = await agents.next()
    expect(await processLives(first.hello.pid)).toBe(false)
    expect(second.hello.prompt).toBe('x')
    await second.stdout('second time')
    await second.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'second time', attempts: 2 })
    expect(await redis.exists(town.keys.agent(agentId).inFlight)).toBe(0)
  })

  it('by kill -9 on another machine keeps the name until the lease has run out', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake', '--lease-ms', '3000')
    const redis = await town.redis()
    const { id: agentId } = await agentOf(town)
    await redis.hset(town.keys.agent(agentId).record, 'host', 'elsewhere')
    daemon.signal('SIGKILL')
    await daemon.exit
    const refused = await town.cli('run', '--cli', 'fake')
    expect(refused).toMatchObject({ exit: 75, stderr: expect.stringMatching(/pid \d+ on elsewhere/) })
    await until(async () => (await redis.exists(town.keys.agent(agentId).lease)) === 0, 'the lease ran out')
    await town.worker('--cli', 'fake')
    expect((await agentOf(town)).id).toBe(agentId)
  })

  it('is asked for by kill, also while a task runs', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    expect((await town.cli('kill', 'worker-1')).exit).toBe(0)
    await daemon.says(/draining \(stop requested\)/)
    expect((await agentOf(town)).state).toBe('draining')
    await run.stdout('ok')
    await run.exit(0)
    expect(await daemon.exit).toBe(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
    expect((await agentOf(town)).state).toBe('stopped')
  })
})

describe('a pause', () => {
  it('outlives a worker that ends in good order, and holds for the next one', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    await town.cli('interrupt', 'worker-1')
    await daemon.says(/paused: no task is taken/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(await agentOf(town)).toMatchObject({ state: 'paused' })
    const id = await assign(town, 'x')
    const next = town.start('--cli', 'fake')
    await next.says(/paused: no task is taken/)
    expect(agents.started).toBe(0)
    await town.cli('resume', 'worker-1')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })

  it('takes nothing until it is resumed', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    const redis = await town.redis()
    const { id: agentId } = await agentOf(town)
    await redis.hset(town.keys.agent(agentId).record, 'state', 'paused')
    await daemon.says(/paused: no task is taken/)
    const id = await assign(town, 'x')
    expect(await getAgent(redis, town.keys, agentId)).toMatchObject({ state: 'paused' })
    expect(agents.started).toBe(0)
    await redis.hset(town.keys.agent(agentId).record, 'state', 'idle')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })
})

describe('a cancel', () => {
  it('ends the running CLI and the task says cancelled', async () => {
    const { town, agents } = await scene()
    await town.worker('--cli', 'fake', '--kill-grace', '500ms')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await (await town.redis()).hset(town.keys.task(id), 'state', 'cancelled')
    await run.gone
    await until(async () => (await agentOf(town)).state === 'idle', 'the agent is idle again')
    expect(await ended(town, id)).toMatchObject({ state: 'cancelled' })
  })
})

describe('Redis', () => {
  it('that cannot be reached ends the start with 69 and says where it was looked for', async () => {
    const { town } = await scene({ env: { REDIS_URL: 'redis://:pw@127.0.0.1:1/0' } })
    const worker = await town.cli('--cli', 'fake', '--connect-timeout', '1s')
    expect(worker.exit).toBe(69)
    expect(worker.stderr).toMatch(
      /Redis at redis:\/\/:\*\*\*\*@127\.0\.0\.1:1\/0 \(REDIS_URL\) did not answer within 1000 ms/,
    )
    expect(worker.stderr).not.toContain('pw')
  })

  it('that cannot be reached is not waited for after a Ctrl-C', async () => {
    const { town } = await scene({ env: { REDIS_URL: 'redis://127.0.0.1:1/0' } })
    const worker = town.start('--cli', 'fake', '--connect-timeout', '10m')
    await worker.says(/Redis at redis:\/\/127\.0\.0\.1:1\/0 \(REDIS_URL\) does not answer yet/)
    worker.signal('SIGINT')
    expect(await worker.exit).toBe(130)
  })

  it('that is not installed ends the start with 69 and names the remedy', async () => {
    const { town } = await scene({ env: { PATH: '/nowhere', HOME: '/nowhere' } })
    const worker = await town.cli('--cli', 'fake')
    expect(worker.exit).toBe(69)
    expect(worker.stderr).toMatch(/redis-server/)
    expect(worker.stderr).toMatch(/→ .*tinytown-worker bootstrap/)
  })

  it('goes on running when the worker ends, and is adopted by the next one', async () => {
    const { town } = await scene()
    const first = await town.worker('--cli', 'fake')
    const pid = await readFile(join(town.root, '.tt', 'redis.pid'), 'utf8')
    first.signal('SIGTERM')
    await first.exit
    await town.worker('--cli', 'fake')
    expect(await readFile(join(town.root, '.tt', 'redis.pid'), 'utf8')).toBe(pid)
  })
})

describe('a Redis that goes away', () => {
  it('while a task runs: the result is written once when it is back', async () => {
    const { town, agents } = await scene({ table: '[redis]\npersist = true' })
    const daemon = await town.worker('--cli', 'fake', '--lease-ms', '1000')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const redis = await town.redis()
    // What was written so far is on disk before the server dies.
    await redis.call('WAITAOF', '1', '0', '5000').catch(() => redis.config('SET', 'appendfsync', 'always'))
    await redis.incr('flushed')
    process.kill(Number(await readFile(join(town.root, '.tt', 'redis.pid'), 'utf8')), 'SIGKILL')
    await daemon.says(/Redis is away/)
    await run.stdout('worked without Redis')
    await run.exit(0)
    expect((await town.cli('redis', 'start')).exit).toBe(0)
    await daemon.says(/Redis is back/)
    expect(await ended(town, id)).toMatchObject({
      state: 'completed',
      result: 'worked without Redis',
      attempts: 1,
    })
    expect(await agentOf(town)).toMatchObject({ state: 'idle', tasksCompleted: 1 })
    expect(agents.started).toBe(1)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
  })

  it('while the worker is idle: the next task is taken when it is back', async () => {
    const { town, agents } = await scene({ table: '[redis]\npersist = true' })
    const daemon = await town.worker('--cli', 'fake')
    const redis = await town.redis()
    await redis.config('SET', 'appendfsync', 'always')
    await redis.incr('flushed')
    process.kill(Number(await readFile(join(town.root, '.tt', 'redis.pid'), 'utf8')), 'SIGKILL')
    await daemon.says(/Redis is away/)
    expect((await town.cli('redis', 'start')).exit).toBe(0)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })

  it('and stays away: SIGTERM still ends the worker in a bounded time', async () => {
    const { town } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    expect((await town.cli('redis', 'stop')).exit).toBe(0)
    await daemon.says(/Redis is away/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(69)
  })

  it('because the server of the town died: the worker starts it again and goes on', async () => {
    const { town, agents } = await scene({ table: '[redis]\npersist = true' })
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'x')
    const run = await agents.next()
    const redis = await town.redis()
    await redis.config('SET', 'appendfsync', 'always')
    await redis.incr('flushed')
    process.kill(Number(await readFile(join(town.root, '.tt', 'redis.pid'), 'utf8')), 'SIGKILL')
    await run.stdout('done')
    await run.exit(0)
    await daemon.says(/redis started[\s\S]*Redis is away[\s\S]*redis started[\s\S]*Redis is back/)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'done', attempts: 1 })
  })

  it('because somebody stopped the server: it stays so, with the remedy, until somebody starts it', async () => {
    const { town, agents } = await scene()
    const daemon = await town.worker('--cli', 'fake')
    expect((await town.cli('redis', 'stop')).exit).toBe(0)
    await daemon.says(/was stopped: tinytown-worker redis start starts it again/)
    expect((await town.cli('redis', 'status')).exit).toBe(69)
    expect((await town.cli('redis', 'start')).exit).toBe(0)
    await daemon.says(/Redis is back/)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  })
})
