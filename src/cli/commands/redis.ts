import type { Context } from '../../client/context.ts'
import { ensureServer, serverOptions } from '../../client/own-server.ts'
import { WorkerError } from '../../domain/errors.ts'
import { ping, serverPid } from '../../server/ping.ts'
import { type LocalRedisOptions, type ServerPlace, serverPlace } from '../../server/place.ts'
import { saveLocalRedis } from '../../server/save.ts'
import { stopLocalRedis } from '../../server/stop.ts'
import { chooseAction } from '../action.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'

/** Starts, stops, saves and looks at the redis-server of the town. */
export const redis: Command = {
  name: 'redis <action>',
  describe: 'Start, stop, save or look at the redis-server of the town',
  settings: ['town', 'redis'],
  flags: jsonFlag,
  choices: ['start', 'stop', 'status', 'save'],
  build: (yargs) => yargs.positional('action', { type: 'string', describe: 'start, stop, status or save' }),
  examples: [
    ['redis status', 'exits with 69 when it does not run'],
    ['redis stop', 'saves the data and ends it; the next command or worker starts it again'],
    ['redis save', 'writes a snapshot now'],
  ],
  run: runRedis,
}

interface Server extends Invocation {
  readonly context: Context
  readonly options: LocalRedisOptions
  readonly place: ServerPlace
}

const ACTIONS: Readonly<Record<string, (server: Server) => Promise<Answer>>> = { start, stop, status, save }

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
  const options = serverOptions(context)
  if (options === null) {
    throw new WorkerError(
      'usage',
      `This town uses the Redis at ${context.target.address.shown}, not one of its own`,
      {
        remedy: 'tinytown-worker status tells whether it answers',
      },
    )
  }
  const place = serverPlace(options)
  const answer = await action({ ...invocation, context, options, place })
  const { running, pid, sentence, exitCode } = answer
  const where = 'socketPath' in options ? { socket: options.socketPath } : { address: place.address }
  if (context.settings.json) terminal.json({ running, pid, ...where })
  else terminal.line(sentence)
  return exitCode
}

async function start({ context, place, signal }: Server): Promise<Answer> {
  const { started } = await ensureServer(context, { signal })
  const pid = started?.pid ?? null
  const sentence =
    started?.kind === 'started'
      ? `Started: pid ${pid}, ${place.address}`
      : `It ran already: pid ${pid ?? '?'}, ${place.address}`
  return { running: true, pid, sentence, exitCode: EXIT.done }
}

async function stop({ context, options, signal }: Server): Promise<Answer> {
  const end = await stopLocalRedis(options, { signal })
  const others = context.target.server?.kind === 'central' ? ', for all towns that use it' : ''
  const sentence = end === 'stopped' ? `Stopped${others}; its data is saved` : 'It was not running'
  return { running: false, pid: null, sentence, exitCode: EXIT.done }
}

async function save({ place, signal }: Server): Promise<Answer> {
  await saveLocalRedis(place, signal)
  const pid = await serverPid(place.endpoint, signal)
  return { running: true, pid, sentence: `Saved to ${place.dataDir}`, exitCode: EXIT.done }
}

const PING_MS = 2000

async function status({ place, signal }: Server): Promise<Answer> {
  const { address, endpoint } = place
  const answer = await ping(endpoint, { timeoutMs: PING_MS, signal })
  if (answer === 'refused') {
    return {
      running: false,
      pid: null,
      sentence: `Not running: ${address}`,
      exitCode: EXIT.redisUnreachable,
    }
  }
  const pid = await serverPid(endpoint, signal)
  const fine = answer === 'pong' || answer === 'loading'
  const state = typeof answer === 'object' ? `answers ${answer.other}` : WORDS[answer]
  return {
    running: true,
    pid,
    sentence: `The redis-server at ${address} ${state} (pid ${pid ?? '?'})`,
    exitCode: fine ? EXIT.done : EXIT.redisUnreachable,
  }
}

const WORDS = {
  pong: 'runs',
  loading: 'is loading its data',
  timeout: 'takes connections but does not answer',
  closed: 'is ending',
  noauth: 'wants another password',
} as const
