import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { profiles } from '../../../workers/index.ts'
import { Closers } from '../../base/closers.ts'
import { formatDuration } from '../../base/duration.ts'
import type { Context } from '../../client/context.ts'
import { type OpenTown, openTown } from '../../client/open-town.ts'
import { serverOptions } from '../../client/own-server.ts'
import { Stream, type Watch } from '../../client/watch.ts'
import { WorkerError } from '../../domain/errors.ts'
import type { TownEvent } from '../../domain/event.ts'
import type { Task } from '../../domain/task.ts'
import { rootRefusal } from '../../process/as-root.ts'
import { probeCli } from '../../process/probe.ts'
import { bootstrap } from '../../server/install.ts'
import { stopLocalRedis } from '../../server/stop.ts'
import { findAgent } from '../../store/agents.ts'
import { pieces } from '../../store/output.ts'
import { assignTask, getTask } from '../../store/tasks.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { chosenProfile } from '../profile.ts'
import type { Terminal } from '../terminal.ts'

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url))
const WORKER_NAME = 'demo-1'
const WITHOUT_MODEL = 'Without a model: tinytown-worker demo --cli demo'
const TASK_TEXT =
  'Write a file hello-from-tinytown.md with one friendly sentence in it, then say in one sentence what you did.'

/** Shows the main job once, from the assignment to the result, and leaves nothing behind. */
export const demo: Command = {
  name: 'demo',
  describe: 'Show the whole of it once: a scratch town, a worker, a task, its output and its result',
  settings: [],
  flags: {
    cli: {
      type: 'string',
      requiresArg: true,
      describe:
        'The CLI to use [default: codex or claude when it is installed and logged in, else the demo agent]',
    },
  },
  run: runDemo,
}

/** A demo under way. What is acquired is released by `closers`, last first, also after a Ctrl-C. */
interface Demo {
  readonly terminal: Terminal
  readonly signal: AbortSignal
  /** Without what would lead to another town. */
  readonly env: NodeJS.ProcessEnv
  readonly cli: string
  readonly root: string
  readonly closers: Closers
}

async function runDemo({ flags, terminal, env: outer, signal }: Invocation): Promise<number> {
  const env = Object.fromEntries(
    Object.entries(outer).filter(([name]) => name !== 'REDIS_URL' && !name.startsWith('TINYTOWN_')),
  )
  await bootstrap({ env, signal, onLine: (line) => terminal.note(line) })
  const cli = typeof flags.cli === 'string' ? flags.cli : await chooseCli(terminal, env, signal)
  const closers = new Closers()
  try {
    const root = await realpath(await mkdtemp(join(tmpdir(), 'tinytown-demo-')))
    closers.add(() => rm(root, { recursive: true, force: true }))
    const exitCode = await show({ terminal, signal, env, cli, root, closers })
    signal.throwIfAborted()
    return exitCode
  } finally {
    await closers.close()
    terminal.line()
    say(terminal, 'end', 'the worker, the redis-server and the folder are gone; nothing is left running')
  }
}

/** The first real CLI that is ready for use. Says of the others why not. */
async function chooseCli(terminal: Terminal, env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  for (const profile of profiles.filter(({ login }) => login !== null)) {
    const { path, login, detail } = await probeCli(profile, { env, signal })
    const obstacle =
      path === null
        ? 'not installed'
        : login === 'yes'
          ? rootRefusal(profile, env)
          : login === 'no'
            ? `not logged in (${profile.login?.remedy})`
            : detail
    if (obstacle === null) return profile.id
    say(terminal, profile.id, obstacle)
  }
  return 'demo'
}

async function show(demo: Demo): Promise<number> {
  const { terminal, root, env, closers, cli } = demo
  await writeFile(join(root, 'tinytown.toml'), 'name = "demo"\n')
  say(terminal, 'town', `${root}, a scratch folder`)
  const context = loadContext({ town: root, cli }, env)
  chosenProfile(context)
  const server = serverOptions(context)
  if (server) closers.add(() => stopLocalRedis(server))
  const town = await openTown(context, { purpose: 'demo', lasting: false, signal: demo.signal })
  closers.add(() => town.close())
  say(terminal, 'redis', `started on ${context.target.address.shown}`)
  const stream = await watchTown(demo, town)
  const worker = startWorker(demo)
  closers.add(() => endWorker(worker))
  say(terminal, 'worker', `${WORKER_NAME} with ${cli === 'demo' ? 'the bundled demo agent' : cli}`)
  const task = await runTask(demo, { context, town, stream, worker })
  const exitCode = await tellTask(terminal, task, root)
  await endWorker(worker)
  for (const event of (await stream.rest()).events) tellEvent(terminal, event)
  return exitCode
}

/** Follows what happens in the town, on a connection of its own. */
async function watchTown({ signal }: Demo, town: OpenTown): Promise<Stream> {
  const watch: Watch = { redis: await town.connect('demo-watch'), town: town.keys, signal }
  return await Stream.open(watch, { signal, timedOut: () => false })
}

interface Scene {
  readonly context: Context
  readonly town: OpenTown
  readonly stream: Stream
  readonly worker: Worker
}

/** Assigns the task as soon as the worker is idle, and shows everything until it has ended. */
async function runTask({ terminal, signal }: Demo, { town, stream, worker }: Scene): Promise<Task> {
  const { redis, keys } = town
  let taskId: string | null = null
  for (;;) {
    signal.throwIfAborted()
    if (worker.process.exitCode !== null || worker.process.signalCode !== null)
      throw new WorkerError('internal', `The worker ended early:\n${worker.words()}`)
    const wake = await stream.next()
    const output = Object.entries(wake.entries).flatMap(([name, list]) => (name === keys.events ? [] : list))
    for (const { text } of pieces(output)) terminal.line(indent(terminal, text))
    for (const event of wake.events) tellEvent(terminal, event)
    if (taskId === null) {
      const ready = wake.events.find(({ new_state }) => new_state === 'Idle' || new_state === 'Error')
      if (!ready) continue
      if (ready.new_state === 'Error')
        throw new WorkerError('not-installed', ready.message, { remedy: WITHOUT_MODEL })
      const agent = await findAgent(redis, keys, WORKER_NAME)
      stream.add(keys.agent(agent.id).output, '0-0')
      const newTask = { description: TASK_TEXT, tags: [], priority: 'normal' } as const
      taskId = (await assignTask(redis, keys, agent.id, newTask)).taskId
      continue
    }
    const task = await getTask(redis, keys, taskId)
    if (task && (task.state === 'completed' || task.state === 'failed')) return task
  }
}

function tellEvent(terminal: Terminal, event: TownEvent): void {
  if (event.event_type === 'task_assigned') say(terminal, 'task', `assigned: ${TASK_TEXT}`)
  else if (event.old_state && event.new_state) {
    say(terminal, 'state', `${event.old_state.toLowerCase()} -> ${event.new_state.toLowerCase()}`)
  }
}

async function tellTask(terminal: Terminal, task: Task, root: string): Promise<number> {
  say(
    terminal,
    'task',
    `${task.state} in ${formatDuration(task.durationMs ?? 0)}, ${task.toolCalls ?? 0} tool call${task.toolCalls === 1 ? '' : 's'}`,
  )
  say(terminal, 'result', task.result ?? '')
  const file = await readFile(join(root, 'hello-from-tinytown.md'), 'utf8').catch(() => null)
  if (file !== null) {
    say(terminal, 'file', 'hello-from-tinytown.md')
    terminal.line(indent(terminal, file.trimEnd()))
  }
  if (task.state === 'completed') return EXIT.done
  terminal.note(`The CLI failed (${task.reason}). ${WITHOUT_MODEL}`)
  return EXIT.taskFailed
}

interface Worker {
  readonly process: ChildProcess
  words(): string
}

/** Starts the real worker, as a user would: a process of its own. */
function startWorker({ root, env, cli }: Demo): Worker {
  const limits = ['--task-timeout', '5m', '--stall-timeout', '2m']
  const what = ['--cli', cli, '--name', WORKER_NAME, '--town', root, '--log-format', 'json']
  const args = [MAIN, 'run', ...what, ...limits]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'], detached: true })
  let words = ''
  child.stderr.on('data', (chunk) => {
    words = `${words}${chunk}`.slice(-4000)
  })
  return { process: child, words: () => words }
}

/** Ends the worker as an operator would: it drains; a task that runs is given back at the second signal. */
async function endWorker({ process: child }: Worker): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  // Two equal signals at once may arrive as one.
  child.kill('SIGTERM')
  child.kill('SIGINT')
  await gone
}

function say(terminal: Terminal, what: string, text: string): void {
  terminal.line(`${terminal.style('bold', what.padEnd(8))} ${text}`)
}

function indent(terminal: Terminal, text: string): string {
  const mark = terminal.style('gray', '│')
  return text
    .split('\n')
    .map((line) => `         ${mark} ${line}`)
    .join('\n')
}
