import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { startProgram, useClosers } from '../rig/daemon.ts'
import { useTowns } from '../rig/towns.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const { town, townWithAgent, townWithWorker } = useTowns()

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-empty-'))
  onClose(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function cli(cwd: string, args: readonly string[], env: object = {}) {
  const program = startProgram(args, { cwd, env })
  return { exit: await program.exit, stdout: program.stdout(), stderr: program.stderr() }
}

describe('a wrong command line', () => {
  it.each<[string, string[], RegExp]>([
    ['an unknown flag', ['--clii', 'codex'], /Unknown flag --clii\. Did you mean --cli\?/],
    ['a flag with swapped letters', ['assign', 'w', '--tga', 'x'], /Did you mean --tag\?/],
    ['an unknown short flag', ['-q'], /Unknown flag -q/],
    ['an unknown command', ['lst'], /Unknown command "lst"\. Did you mean list\?/],
    ['an unknown command with words', ['asign', 'w', 'x'], /Unknown command "asign"\. Did you mean assign\?/],
    ['a word too many', ['list', 'extra'], /Unexpected word "extra" after list/],
    ['a missing positional', ['assign'], /Expected <agent> after assign\n.*assign <agent> \[text\.\.\]/],
    ['a flag without its value', ['wait', 'x', '--timeout'], /Expected a value after --timeout/],
    ['an action too few', ['redis'], /Expected start, stop, status or save after redis/],
    ['JSON of a worker, which has none', ['run', '--json'], /"--json is no flag of run"/],
    ['an action that does not exist', ['redis', 'stat'], /got "stat"\. Did you mean status\?/],
    ['no text', ['assign', 'w'], /Expected the text of the task, got nothing/],
    ['only blanks', ['assign', 'w', '  '], /Expected the text of the task, got nothing/],
    ['two texts', ['assign', 'w', 'x', '--file', 'f'], /got both \(--file f, x …\)/],
    ['a file that is not there', ['assign', 'w', '--file', 'nowhere'], /Cannot read the task from nowhere/],
    ['a wrong priority', ['assign', 'w', 'x', '--priority', 'top'], /one of low, normal, .*got top/],
    ['a wrong time', ['wait', 'x', '--timeout', 'soon'], /a duration like 30s, .*got soon \(--timeout\)/],
    ['a time without a wait', ['assign', 'w', 'x', '--timeout', '5s'], /use it with --wait or --follow/],
    ['a wrong state', ['tasks', '--state', 'done'], /Expected state to be one of pending, .*got done/],
    ['a wrong town name', ['init', '--name', 'a:b'], /Expected name to be .*got a:b \(--name\)/],
    ['a CLI that nobody knows', ['init', '--cli', 'codx'], /got "codx" \(--cli\)\. Did you mean codex\?/],
    ['a wrong action', ['backlog', 'lst'], /Expected add, list or claim, got "lst"\. Did you mean list\?/],
    ['a backlog task without text', ['backlog', 'add'], /Expected the text of the task, got nothing/],
    ['a claim for nobody', ['backlog', 'claim', 'x'], /Expected <task> and <agent> after backlog claim/],
    ['a list with a tag', ['backlog', 'list', '--tag', 'x'], /--tag belongs to backlog add/],
    ['two kinds of message', ['send', 'w', 'x', '--query', '--ack'], /one kind .*got --query and --ack/],
    ['a message without text', ['send', 'w', '--info'], /Expected the text of the message, got nothing/],
    ['all inboxes of one agent', ['inbox', 'w', '--all'], /use it without w/],
    ['a folder without a town', ['list'], /There is no town in .*neither tinytown\.toml nor \.tt/],
  ])('is refused with 2: %s', async (_, args, message) => {
    const folder = await emptyFolder()
    const { exit, stdout, stderr } = await cli(folder, args)
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('has a hint on text that begins with a dash only where there may be text', async () => {
    const folder = await emptyFolder()
    expect((await cli(folder, ['list', '--bogus'])).stderr).toMatch(/See tinytown-worker list --help\n$/)
    expect((await cli(folder, ['assign', 'w', '--bogus'])).stderr).toMatch(/a dash comes after --\n$/)
  })

  it('is refused with 2: a file that is no UTF-8', async () => {
    const folder = await emptyFolder()
    await writeFile(join(folder, 'task.md'), Buffer.from('Grüße', 'latin1'))
    const { exit, stderr } = await cli(folder, ['assign', 'w', '--file', 'task.md'])
    expect(exit).toBe(2)
    expect(stderr).toMatch(/Expected the text from task\.md to be UTF-8/)
  })

  it('is told as JSON to a program', async () => {
    const { exit, stderr } = await cli(await emptyFolder(), ['list', '--json', '--limt', '3'])
    expect(exit).toBe(2)
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'usage', exitCode: 2 } })
  })

  it('is understood in any language of the user', async () => {
    const { stderr } = await cli(await emptyFolder(), ['lst'], { LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8' })
    expect(stderr).toMatch(/Did you mean list\?/)
  })
})

describe('help', () => {
  it('lists every command, and tells the flags of one', async () => {
    const folder = await emptyFolder()
    const all = await cli(folder, ['--help'])
    expect(all.exit).toBe(0)
    for (const name of ['run', 'init [dir]', 'assign <agent> [text..]', 'doctor', 'redis <action>']) {
      expect(all.stdout).toContain(name)
    }
    const one = await cli(folder, ['assign', '--help'])
    expect(one.stdout).toMatch(/--priority +low, normal, high, urgent/)
    expect(one.stdout).not.toContain('--lease-ms')
  })

  it('tells the version of the package', async () => {
    const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    expect((await cli(await emptyFolder(), ['--version'])).stdout).toBe(`${manifest.version}\n`)
  })
})

describe('init', () => {
  it('makes a town, and leaves it alone the second time', async () => {
    const folder = await emptyFolder()
    const first = await cli(folder, ['init', '--name', 'shop', '--cli', 'demo', '--json'])
    expect(first).toMatchObject({ exit: 0, stderr: '' })
    expect(JSON.parse(first.stdout)).toMatchObject({ name: 'shop', kept: [], ignored: [] })
    const text = await readFile(join(folder, 'tinytown.toml'), 'utf8')
    expect(text).toContain('name = "shop"\ndefault_cli = "demo"')
    expect(await readFile(join(folder, '.tt', '.gitignore'), 'utf8')).toBe('*\n')

    const second = await cli(folder, ['init', '--name', 'other'])
    expect(second.exit).toBe(0)
    expect(second.stdout).toMatch(/^Town shop in .*\n( {2}kept .*\n)+$/)
    expect(second.stderr).toMatch(/--name not written: tinytown\.toml was there already/)
    expect(await readFile(join(folder, 'tinytown.toml'), 'utf8')).toBe(text)
  })

  it('makes the folder and names the town after it', async () => {
    const folder = await emptyFolder()
    const { stdout } = await cli(folder, ['init', 'new/place', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ name: 'place' })
    expect((await cli(join(folder, 'new', 'place'), ['doctor', '--json'])).stdout).toMatch(
      /"name":"Settings","status":"ok"/,
    )
  })

  it('adds only the missing lines to a .gitignore, and says so', async () => {
    const folder = await emptyFolder()
    await writeFile(join(folder, '.gitignore'), 'node_modules\ndump.rdb')
    const { stdout } = await cli(folder, ['init'])
    expect(stdout).toMatch(/added to +\.gitignore: \/temp-\*\.rdb \/appendonlydir\//)
    expect(await readFile(join(folder, '.gitignore'), 'utf8')).toBe(
      'node_modules\ndump.rdb\n/temp-*.rdb\n/appendonlydir/\n',
    )
    expect((await cli(folder, ['init'])).stdout).not.toMatch(/added/)
  })

  it('makes no town around the data of another Redis', async () => {
    const folder = await emptyFolder()
    await writeFile(join(folder, 'dump.rdb'), 'theirs')
    const refused = await cli(folder, ['init'])
    expect(refused).toMatchObject({ exit: 78, stderr: expect.stringMatching(/dump\.rdb.*\n.*Move it away/) })
    expect(await readdir(folder)).toEqual(['dump.rdb'])
    expect((await cli(folder, ['doctor'])).stdout).toMatch(/fail {2}Redis .*dump\.rdb/)
    await writeFile(join(folder, 'tinytown.toml'), '[redis]\nurl = "redis://127.0.0.1:1"\n')
    expect(await cli(folder, ['init'])).toMatchObject({ exit: 0 })
  })

  it('says which folder it cannot write', async () => {
    const { exit, stderr } = await cli(await emptyFolder(), ['init', '/proc/town'])
    expect(exit).toBe(78)
    expect(stderr).toMatch(/Cannot make the town in \/proc\/town: .*\n.*choose another folder/)
  })
})

describe('an empty town', () => {
  it('is listed as empty, with a hint', async () => {
    const { cli: run } = await town()
    const list = await run('list')
    expect(list).toMatchObject({ exit: 0, stdout: '' })
    expect(list.stderr).toMatch(/Started redis-server .*\nNo agents yet\. Start one: /)
    expect((await run('tasks')).stderr).toMatch(/No such tasks/)
    expect(JSON.parse((await run('list', '--json')).stdout)).toEqual({ town: 'test', agents: [] })
    expect(JSON.parse((await run('tasks', '--json')).stdout)).toEqual({ town: 'test', total: 0, tasks: [] })
    const status = await run('status')
    expect(status.stdout).toMatch(/^Town +test\nFolder +\/.*\nRedis .*persistence: snapshots\nAgents +0\n/)
    expect(JSON.parse((await run('status', '--json')).stdout)).toMatchObject({
      town: 'test',
      redis: { persistence: 'snapshots' },
      agentsByState: { idle: 0 },
      tasksByState: { completed: 0 },
      waiting: 0,
      deadLetters: 0,
      agents: [],
    })
  })

  it('knows no agent and no task', async () => {
    const { cli: run } = await town()
    expect(await run('assign', 'nobody', 'x')).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/No agent "nobody" in town test\n.*--name nobody/),
    })
    expect(await run('task', 'abcd1234')).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/No task abcd1234/),
    })
    for (const command of ['wait', 'logs']) {
      expect(await run(command, 'what')).toMatchObject({
        exit: 2,
        stderr: expect.stringMatching(/No agent "what".*No task what/),
      })
    }
  })
})

describe('a town whose worker is away', () => {
  it('takes a task and says that nobody does it', async () => {
    const { cli: run, cliWith, id } = await townWithAgent()
    const assigned = await run('assign', 'worker-1', 'Fix it', '--tag', 'a', '--tag', 'b', '--json')
    expect(JSON.parse(assigned.stdout)).toMatchObject({ agent: 'worker-1', agentId: id, waiting: 1 })
    expect(assigned.stderr).toMatch(/worker-1 is not running: start it with .*--name worker-1 --cli demo/)
    const { id: taskId } = JSON.parse(assigned.stdout)
    const task = await run('task', taskId.slice(0, 8))
    expect(task.stdout).toMatch(
      /State +assigned\nAgent +worker-1\nWaits +worker-1 is not running: start it .*\n(.*\n)*Tags +a, b\n(.*\n)*\nTask:\nFix it\n/,
    )
    expect((await run('list')).stdout).toMatch(/^NAME .*\nworker-1 +idle +demo .*\(not running\)/)
    expect((await run('tasks', '--agent', 'worker-1', '--state', 'assigned')).stdout).toContain('Fix it')
    const wait = await run('wait', taskId, '--timeout', '100ms')
    expect(wait).toMatchObject({
      exit: 1,
      stdout: '',
      stderr: expect.stringMatching(/has not ended in this time/),
    })
    const piped = await cliWith({ input: '- one\n- two\n' }, 'assign', 'worker-1', '-')
    expect(JSON.parse((await run('task', piped.stdout.trim(), '--json')).stdout).description).toBe(
      '- one\n- two\n',
    )
  })

  it('does not say who would do a task that has ended', async () => {
    const { cli: run, redis, keys, id } = await townWithAgent({ state: 'stopped' })
    for (const state of ['completed', 'failed', 'cancelled']) {
      const taskId = newId()
      await redis.hset(keys.task(taskId), { id: taskId, state, assigned_to: id, result: 'over' })
      const { exit, stderr } = await run('wait', taskId)
      expect({ state, exit, told: stderr.includes('is not running') }).toEqual({
        state,
        exit: state === 'completed' ? 0 : 1,
        told: false,
      })
    }
  })

  it('takes words as they are, also those that begin with a dash', async () => {
    const { cli: run } = await townWithAgent()
    const text = async (...words: string[]) => {
      const { stdout } = await run('assign', 'worker-1', ...words)
      return JSON.parse((await run('task', stdout.trim(), '--json')).stdout).description
    }
    expect(await text('- an item\n- another a=b')).toBe('- an item\n- another a=b')
    expect(await text('007', 'a', '-', 'b', '--', '--force', '1e3')).toBe('007 a - b --force 1e3')
  })

  it('delivers a task of a megabyte whole', async () => {
    const { cli: run, root } = await townWithAgent()
    const text = 'ä🙂x\n'.repeat(131_072)
    await writeFile(join(root, 'big.md'), text)
    const { stdout } = await run('assign', 'worker-1', '--file', 'big.md')
    expect(JSON.parse((await run('task', stdout.trim(), '--json')).stdout).description).toBe(text)
  })

  it('marks an agent as stopped that nobody runs', async () => {
    const { cli: run } = await townWithAgent({ state: 'working' })
    expect(await run('kill', 'worker-1', '--wait')).toMatchObject({
      exit: 0,
      stdout: 'worker-1 is stopped; no worker was running it\n',
    })
    expect(JSON.parse((await run('kill', 'worker-1', '--json')).stdout)).toMatchObject({
      state: 'stopped',
      answer: 'ended',
    })
    expect((await run('wait', 'worker-1')).stdout).toBe('worker-1 is stopped\n')
  })

  it('tells the error of an agent, and ends a wait for it with 1', async () => {
    const { cli: run } = await townWithAgent({
      state: 'error',
      last_error: 'codex is \u001b[31mnot installed',
    })
    expect((await run('list')).stdout).toContain('\n  codex is not installed\n')
    expect(await run('wait', 'worker-1')).toMatchObject({
      exit: 1,
      stdout: '',
      stderr: expect.stringMatching(/worker-1 is in error: codex is not installed/),
    })
  })

  it('says where a log file is that is not here', async () => {
    const { cli: run, redis, keys, id } = await townWithAgent({ host: 'elsewhere' })
    const taskId = (await run('assign', 'worker-1', 'x')).stdout.trim()
    expect(await run('logs', taskId, '--raw')).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/has no log file yet/),
    })
    expect((await run('logs', 'worker-1', '--raw')).stderr).toMatch(
      /worker-1 has no task with a log file yet/,
    )
    expect((await run('logs', 'worker-1')).stderr).toMatch(/worker-1 has said nothing that is kept/)
    await redis.hset(keys.task(taskId), { log: '/nowhere/task.log', assigned_to: id })
    for (const what of [taskId, 'worker-1']) {
      expect(await run('logs', what, '--raw')).toMatchObject({
        exit: 2,
        stdout: '',
        stderr: expect.stringMatching(/not on this machine: elsewhere:\/nowhere\/task\.log/),
      })
    }
    expect((await run('logs', taskId)).stderr).toMatch(/no output of it is kept; its log file is elsewhere:/)
  })
})

describe('a town with a worker', () => {
  it('gives the result of an awaited task, and 1 when it failed', async () => {
    const { start, agents } = await townWithWorker()
    const good = start('assign', 'worker-1', 'x', '--wait')
    const run = await agents.next()
    await run.stdout('the answer\n')
    await run.exit(0)
    expect(await good.exit).toBe(0)
    expect(good.stdout()).toBe('the answer\n')
    const bad = start('assign', 'worker-1', 'y', '--follow', '--json')
    const second = await agents.next()
    await second.stdout('half a thought\n')
    await second.exit(3)
    expect(await bad.exit).toBe(1)
    expect(JSON.parse(bad.stdout())).toMatchObject({ state: 'failed', reason: 'exit', exitCode: 3 })
    expect(bad.stderr()).toMatch(/│ half a thought/)
  })

  it('shows what the CLI says while it says it, until the task has ended', async () => {
    const { cli: command, start, agents } = await townWithWorker()
    const taskId = (await command('assign', 'worker-1', 'x')).stdout.trim()
    const run = await agents.next()
    await run.stdout('first line\n')
    const logs = start('logs', taskId, '-f')
    await until(() => logs.stdout() === 'first line\n', 'the first line is shown')
    await run.stdout('second line\n')
    await until(() => logs.stdout() === 'first line\nsecond line\n', 'the second line is shown')
    await run.exit(0)
    expect(await logs.exit).toBe(0)
    expect((await command('logs', 'worker-1')).stdout).toBe(
      `== task ${taskId.slice(0, 8)} ==\nfirst line\nsecond line\n`,
    )
    expect((await command('logs', taskId, '--raw')).stdout).toBe('first line\nsecond line\n')
  })

  it('ends a wait at Ctrl-C with 130, and the task goes on', async () => {
    const { start, agents, cli: command } = await townWithWorker()
    const wait = start('assign', 'worker-1', 'x', '--wait')
    const run = await agents.next()
    await wait.says(/is assigned to worker-1/)
    wait.signal('SIGINT')
    expect(await wait.exit).toBe(130)
    expect(wait.stderr()).toMatch(/Not waiting any more; the task goes on: tinytown-worker wait/)
    const stopping = start('wait', 'worker-1')
    await run.stdout('done\n')
    await run.exit(0)
    expect(await stopping.exit).toBe(0)
    expect((await command('tasks', '--json')).stdout).toContain('"state":"completed"')
  })

  it('asks the worker to stop, and waits until it has', async () => {
    const { start, agents, cli: command, redis } = await townWithWorker()
    await command('assign', 'worker-1', 'x')
    const run = await agents.next()
    expect((await command('kill', 'worker-1')).stdout).toBe(
      'worker-1 is asked to stop: it finishes its run first\n',
    )
    expect((await command('list')).stdout).toMatch(/worker-1 +draining/)
    const kill = start('kill', 'worker-1', '--wait')
    await until(
      async () => /:kill:.*cmd=xread/.test(String(await redis.client('LIST'))),
      'the wait has begun',
    )
    await run.stdout('done\n')
    await run.exit(0)
    expect(await kill.exit).toBe(0)
    expect(kill.stdout()).toBe('worker-1 is stopped\n')
  })

  it('ends quietly when nobody reads any more', async () => {
    const { root, agents, cli: command } = await townWithWorker()
    const taskId = (await command('assign', 'worker-1', 'x')).stdout.trim()
    const run = await agents.next()
    for (let count = 0; count < 50; count += 1) await run.stdout(`line ${count}\n`)
    await until(async () => (await command('logs', taskId)).stdout.includes('line 49'), 'the output is kept')
    const logs = startProgram(['logs', 'worker-1', '-f'], { cwd: root })
    await logs.says(/line 49/)
    logs.closeStdout()
    await run.stdout('one more line\n')
    expect(await logs.exit).toBe(0)
    expect(logs.stderr()).toBe('')
    await run.exit(0)
  })
})

describe('a Redis that refuses a command', () => {
  it('is told with a remedy and without a stack, with 69 when it passes', async () => {
    const { cli: run, redis, keys, id } = await townWithAgent()
    await redis.config('SET', 'maxmemory', '1mb')
    const full = await run('assign', 'worker-1', 'Fix it')
    expect(full).toMatchObject({ exit: 69, stdout: '' })
    expect(full.stderr).toMatch(/^tinytown-worker: Redis refused a command: OOM .*\n {2}→ .*maxmemory.*\n$/)
    await redis.config('SET', 'maxmemory', '0')
    await redis.set(keys.agent(id).inbox, 'a text')
    const { exit, stderr } = await run('assign', 'worker-1', 'Fix it')
    expect(exit).toBe(70)
    expect(stderr).toMatch(/^tinytown-worker: Redis refused a command: WRONGTYPE .*\n {2}→ .*redis-cli.*\n$/)
    const asJson = await run('assign', 'worker-1', 'Fix it', '--json')
    expect(JSON.parse(asJson.stderr).error).toMatchObject({ code: 'redis-refused', exitCode: 70 })
  })

  it('is told with the stack at the log level debug', async () => {
    const { cliWith, redis, keys, id } = await townWithAgent()
    await redis.set(keys.agent(id).inbox, 'a text')
    const env = { TINYTOWN_LOG_LEVEL: 'debug' }
    const { exit, stderr } = await cliWith({ env }, 'assign', 'worker-1', 'Fix it')
    expect(exit).toBe(70)
    expect(stderr).toMatch(/^ReplyError: WRONGTYPE .*\n +at /)
  })
})

describe('an error that nobody foresaw', () => {
  it('is told in a line, and says how to see where it comes from', async () => {
    const { cli: run, cliWith, root, redis, keys, id } = await townWithAgent()
    const taskId = newId()
    await redis.hset(keys.task(taskId), { id: taskId, state: 'completed', assigned_to: id, log: root })
    const { exit, stderr } = await run('logs', taskId, '--raw')
    expect(exit).toBe(70)
    expect(stderr).toMatch(/^tinytown-worker: EISDIR.*\n {2}→ .*TINYTOWN_LOG_LEVEL=debug.*\n$/)
    const debugs = await cliWith({ env: { TINYTOWN_LOG_LEVEL: 'debug' } }, 'logs', taskId, '--raw')
    expect(debugs.stderr).toMatch(/^Error: EISDIR.*\n(.*\n)*tinytown-worker: EISDIR.*\n$/)
  })
})

describe('what stands around a town', () => {
  it('starts, shows and stops the redis-server of the town', async () => {
    const { cli: run } = await town()
    expect(await run('redis', 'status')).toMatchObject({
      exit: 69,
      stdout: expect.stringMatching(/^Not running/),
    })
    expect((await run('redis', 'start')).stdout).toMatch(/^Started: pid \d+/)
    expect((await run('redis', 'start')).stdout).toMatch(/^It ran already: pid \d+/)
    expect(JSON.parse((await run('redis', 'status', '--json')).stdout)).toMatchObject({ running: true })
    expect((await run('redis', 'stop')).stdout).toMatch(/^Stopped/)
    expect((await run('redis', 'stop')).stdout).toMatch(/^It was not running/)
  })

  it('does not start a redis-server for a town that uses another', async () => {
    const { cliWith } = await town()
    const env = { REDIS_URL: 'redis://user:secret@127.0.0.1:1' }
    const start = await cliWith({ env }, 'redis', 'start')
    expect(start).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/uses the Redis at redis:\/\/user:\*\*\*\*@/),
    })
    const list = await cliWith({ env }, 'list', '--connect-timeout', '1s')
    expect(list.exit).toBe(69)
    expect(list.stderr).not.toContain('secret')
  })

  it('keeps the data of the redis-server out of git, also in a worktree', async () => {
    const { cli: run, root } = await town()
    const common = join(root, '.git')
    await mkdir(join(common, 'worktrees', 'w'), { recursive: true })
    await writeFile(join(common, 'HEAD'), 'ref: refs/heads/main\n')
    await writeFile(join(common, 'worktrees', 'w', 'HEAD'), 'ref: refs/heads/w\n')
    await writeFile(join(common, 'worktrees', 'w', 'commondir'), '../..\n')
    expect((await run('list')).exit).toBe(0)
    expect((await run('list')).exit).toBe(0)
    const lines = '/dump.rdb\n/temp-*.rdb\n/appendonlydir/\n'
    expect(await readFile(join(common, 'info', 'exclude'), 'utf8')).toBe(lines)
    const inner = join(root, 'work [1]', 'town')
    await mkdir(inner, { recursive: true })
    await writeFile(join(root, 'work [1]', '.git'), `gitdir: ${join(common, 'worktrees', 'w')}\n`)
    await writeFile(join(inner, 'tinytown.toml'), 'name = "inner"\n')
    try {
      expect((await cli(inner, ['list'])).exit).toBe(0)
    } finally {
      await cli(inner, ['redis', 'stop'])
    }
    expect(await readFile(join(common, 'info', 'exclude'), 'utf8')).toBe(
      `${lines}/town/dump.rdb\n/town/temp-*.rdb\n/town/appendonlydir/\n`,
    )
  })

  it('keeps its name when another branch is checked out', async () => {
    const folder = await emptyFolder()
    await mkdir(join(folder, '.git'))
    await writeFile(join(folder, '.git', 'HEAD'), 'ref: refs/heads/main\n')
    try {
      const name = async () => JSON.parse((await cli(folder, ['status', '--json'])).stdout).town
      await cli(folder, ['redis', 'start'])
      const before = await name()
      await writeFile(join(folder, '.git', 'HEAD'), 'ref: refs/heads/feature\n')
      expect(before).toMatch(/-main$/)
      expect(await name()).toBe(before)
    } finally {
      await cli(folder, ['redis', 'stop'])
    }
  })

  it('says what a crash of the redis-server of the town may lose', async () => {
    const { cli: run } = await town()
    await run('redis', 'start')
    expect((await run('doctor')).stdout).toMatch(/ok {4}Durability .*snapshots[\s\S]*redis\.persist = true/)
  })

  it('lists the CLIs, and what installs those that are missing', async () => {
    const { cli: run } = await town('[agent_clis.mine]\ncommand = "no-such-program --print"\n')
    const { stdout } = await run('clis', '--json')
    const found = JSON.parse(stdout).clis as { id: string; path: string | null }[]
    expect(found.map(({ id }) => id)).toEqual(expect.arrayContaining(['codex', 'claude', 'demo', 'mine']))
    expect(found.find(({ id }) => id === 'demo')).toMatchObject({ path: process.execPath })
    expect(found.find(({ id }) => id === 'mine')).toMatchObject({ path: null, version: null })
    expect((await run('clis')).stdout).toMatch(/mine .*not installed.*\n.*install no-such-program/)
  })

  it('asks a CLI for its version and login in the environment of a run', async () => {
    const bin = await emptyFolder()
    const answer =
      '#!/bin/sh\n[ -n "$REDIS_URL" ] && exit 9\n[ "$1" = login ] && exit 1\necho codex-cli 0.169.0\n'
    await writeFile(join(bin, 'codex'), answer, { mode: 0o755 })
    const { cliWith } = await town()
    const env = { PATH: `${bin}:${process.env.PATH}`, REDIS_URL: 'redis://127.0.0.1:1' }
    const codexOf = async (more: object) => {
      const { stdout } = await cliWith({ env: { ...env, ...more } }, 'clis', '--json')
      return JSON.parse(stdout).clis.find(({ id }: { id: string }) => id === 'codex')
    }
    expect(await codexOf({})).toMatchObject({
      version: '0.169.0',
      tested: true,
      login: 'no',
      path: join(bin, 'codex'),
    })
    expect(await codexOf({ CODEX_API_KEY: 'k' })).toMatchObject({
      login: 'yes',
      detail: 'CODEX_API_KEY is set',
    })
    const doctor = await cliWith({ env }, 'doctor', '--cli', 'codex', '--connect-timeout', '1s')
    expect(doctor.exit).toBe(1)
    expect(doctor.stdout).toMatch(/fail {2}Redis .*did not answer.*\n.*→/)
    expect(doctor.stdout).toMatch(/fail {2}Codex +0\.169\.0, not logged in\n +→ codex login/)
  })

  it('asks any number of CLIs without a word beside the list', async () => {
    const tables = Array.from(
      { length: 14 },
      (_, n) => `[agent_clis.c${n}]\ncommand = "./mine"\nversion_args = ["-V"]\n`,
    )
    const { root, cliWith } = await town(tables.join(''))
    await writeFile(join(root, 'mine'), '#!/bin/sh\nsleep 0.3; echo 1.2.3\n', { mode: 0o755 })
    const { stdout, stderr, exit } = await cliWith({}, 'clis')
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
    expect(stdout.match(/^c\d+ .* 1\.2\.3 /gm)).toHaveLength(14)
  })

  it('says when a CLI does not answer, instead of calling it logged out', async () => {
    const { root, cliWith } = await town()
    await mkdir(join(root, 'bin'))
    await writeFile(join(root, 'bin', 'codex'), '#!/bin/sh\nkill -9 $$\n', { mode: 0o755 })
    const env = { PATH: `${join(root, 'bin')}:${process.env.PATH}`, CODEX_API_KEY: '' }
    const { stdout } = await cliWith({ env }, 'clis')
    expect(stdout).toMatch(/^codex .*unknown +unknown .*\n {2}→ \S+codex --version was ended by SIGKILL$/m)
  })

  it('finds a town ready, and says what is wrong with a broken one', async () => {
    const { cli: run, root } = await town('default_cli = "demo"\n')
    const ready = await run('doctor', '--json')
    expect(ready.exit).toBe(0)
    expect(JSON.parse(ready.stdout).ok).toBe(true)
    await writeFile(join(root, 'tinytown.toml'), 'name = "test"\n[worker]\ntask_timeot = "1h"\n')
    const broken = await run('doctor')
    expect(broken.exit).toBe(1)
    expect(broken.stdout).toMatch(
      /fail {2}Settings +Unknown key worker\.task_timeot, did you mean worker\.task_timeout\?/,
    )
    expect(await run('list')).toMatchObject({ exit: 78, stderr: expect.stringMatching(/task_timeot/) })
  })

  it('finds the redis-server that is there', async () => {
    const folder = await emptyFolder()
    expect((await cli(folder, ['bootstrap', '--check'])).stdout).toMatch(
      /^redis-server \d+\.\d+.* is there: \//,
    )
    await mkdir(join(folder, 'bin'))
    const nowhere = await cli(folder, ['bootstrap', '--check', '--json'], {
      PATH: join(folder, 'bin'),
      HOME: folder,
    })
    expect(nowhere.exit).toBe(1)
    expect(JSON.parse(nowhere.stdout)).toEqual({ path: null, rejected: [], plan: null })
  })
})
