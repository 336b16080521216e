import { join } from 'node:path'
import type { Context } from '../../client/context.ts'
import { addressOf } from '../../client/open-town.ts'
import { WorkerError } from '../../domain/errors.ts'
import { ensureLocalRedis } from '../../server/local.ts'
import { ping, serverPid } from '../../server/ping.ts'
import { stopLocalRedis } from '../../server/stop.ts'
import { chooseAction } from '../action.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'

/** Starts, stops and looks at the town's own redis-server. */
export const redis: Command = {
  name: 'redis <action>',
  describe: "Start, stop or look at the town's own redis-server",
  settings: ['town', 'redis'],
  flags: jsonFlag,
  choices: ['start', 'stop', 'status'],
  build: (yargs) => yargs.positional('action', { type: 'string', describe: 'start, stop or status' }),
  examples: [
    ['redis status', 'exits with 69 when it does not run'],
    ['redis stop', 'saves the data and ends it; the next command or worker starts it again'],
  ],
  run: runRedis,
}

interface Server extends Invocation {
  readonly context: Context
  readonly socketPath: string
}

const ACTIONS: Readonly<Record<string, (server: Server) => Promise<Answer>>> = { start, stop, status }

interface Answer {
  readonly running: boolean
  readonly sentence: string
  readonly pid: number | null
  readonly exitCode: number
}

async function runRedis(invocation: Invocation): Promise<number> {
  const { flags, env, terminal } = invocation
  const action = chooseAction(ACTIONS, wordFlag(flags, 'action'))
  const context = loadContext(flags, env)
  const { target } = context
  if (target.kind === 'remote') {
    throw new WorkerError(
      'usage',
      `This town uses the Redis at ${addressOf(target).shown}, not one of its own`,
      {
        remedy: 'tinytown-worker status tells whether it answers',
      },
    )
  }
  const answer = await action({ ...invocation, context, socketPath: target.socketPath })
  const { running, pid, sentence, exitCode } = answer
  if (context.settings.json) terminal.json({ running, pid, socket: target.socketPath })
  else terminal.line(sentence)
  return exitCode
}

async function start({ context, socketPath, signal }: Server): Promise<Answer> {
  const { place, settings } = context
  const options = { root: place.root, socketPath, persist: settings.redisPersist, emit: () => undefined }
  const { kind, pid } = await ensureLocalRedis(options, { signal })
  const sentence =
    kind === 'started'
      ? `Started: pid ${pid}, ${socketPath}`
      : `It ran already: pid ${pid ?? '?'}, ${socketPath}`
  return { running: true, pid, sentence, exitCode: EXIT.done }
}

async function stop({ context, socketPath, signal }: Server): Promise<Answer> {
  const pidFile = join(context.place.root, '.tt', 'redis.pid')
  const end = await stopLocalRedis({ socketPath, pidFile }, { signal })
  const sentence = end === 'stopped' ? 'Stopped; its data is saved' : 'It was not running'
  return { running: false, pid: null, sentence, exitCode: EXIT.done }
}

const PING_MS = 2000

async function status({ socketPath, signal }: Server): Promise<Answer> {
  const answer = await ping({ path: socketPath }, { timeoutMs: PING_MS, signal })
  if (answer === 'refused') {
    return {
      running: false,
      pid: null,
      sentence: `Not running: ${socketPath}`,
      exitCode: EXIT.redisUnreachable,
    }
  }
  const pid = await serverPid(socketPath, signal)
  const fine = answer === 'pong' || answer === 'loading'
  const state = typeof answer === 'object' ? `answers ${answer.other}` : WORDS[answer]
  return {
    running: true,
    pid,
    sentence: `The redis-server at ${socketPath} ${state} (pid ${pid ?? '?'})`,
    exitCode: fine ? EXIT.done : EXIT.redisUnreachable,
  }
}

const WORDS = {
  pong: 'runs',
  loading: 'is loading its data',
  timeout: 'takes connections but does not answer',
  closed: 'is ending',
  noauth: 'wants a password',
} as const
