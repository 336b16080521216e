import { formatDuration } from '../base/duration.ts'
import { formatSize } from '../base/size.ts'
import { cutChars, oneLine } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type { WorkerEvent } from '../domain/worker-event.ts'
import type { Logger } from './logger.ts'

type Level = 'debug' | 'info' | 'warn' | 'error'

/** A result may have a MiB; a line of the log is for reading. */
const LONGEST_FIELD = 4096

/** Writes one line for each event. The fields of the event stand beside the sentence. */
export function logEvent(logger: Pick<Logger, Level>, event: WorkerEvent): void {
  const [level, sentence] = sentenceOf(event)
  const { type, ...rest } = event
  const fields = Object.entries(rest).map(([name, value]) => [name, shortened(value)])
  logger[level]({ event: type, ...Object.fromEntries(fields) }, sentence)
}

function shortened(value: unknown): unknown {
  if (typeof value !== 'string' || value.length <= LONGEST_FIELD) return value
  return `${cutChars(value, LONGEST_FIELD)} […]`
}

function sentenceOf(event: WorkerEvent): [Level, string] {
  switch (event.type) {
    case 'registered':
      return ['info', event.isNew ? `registered as ${event.name}` : `registered as ${event.name} again`]
    case 'state':
      return ['info', `${event.from} -> ${event.to}${event.why ? ` (${event.why})` : ''}`]
    case 'task-started':
      return ['info', `task started: ${event.summary}`]
    case 'task-output':
      return ['debug', event.text]
    case 'task-settled':
      return settledSentence(event)
    case 'task-retried':
      return [
        'warn',
        `attempt ${event.attempt} of ${event.maxAttempts} failed (${event.reason}), again in ${formatDuration(event.delayMs)}: ${oneLine(event.detail, 300)}`,
      ]
    case 'task-left-running':
      return ['warn', `task left running: ${oneLine(event.letter, 300)}`]
    case 'task-released':
      return ['warn', `task given back: ${event.why}`]
    case 'task-skipped':
      return ['info', `task not run: ${event.why}`]
    case 'task-lost':
      return ['warn', `task failed: ${event.detail}`]
    case 'message-put-aside':
      return ['error', `message put aside in the dead letters: ${event.detail}`]
    case 'message-noted':
      return ['info', `${event.kind} message kept for the next prompt`]
    case 'message-forgotten':
      return ['warn', `too many messages wait for a prompt: ${event.count} of the oldest went`]
    case 'message-answered':
      return ['info', `${event.kind} message answered`]
    case 'message-duplicate':
      return ['info', `${event.kind} message ${event.messageId} was handled before; this copy is dropped`]
    case 'message-dropped':
      return ['debug', `${event.kind} message needs nothing`]
    default:
      return surroundingsSentence(event)
  }
}

function settledSentence(event: Extract<WorkerEvent, { type: 'task-settled' }>): [Level, string] {
  const took = formatDuration(event.durationMs)
  const overruled = event.overruled ? `; the record says ${event.overruled} and stays so` : ''
  const why = event.reason ? ` (${event.reason})` : ''
  const level = event.state === 'completed' ? 'info' : 'warn'
  return [level, `task ${event.state}${why} in ${took}: ${oneLine(event.result)}${overruled}`]
}

const FORGOTTEN = {
  pruned: 'the agent was pruned while it stood in error, and comes back with what waited',
  'data-lost': 'Redis lost its data, or came back with older data, and does not know this worker',
  recovered: 'this worker was silent for so long that a peer took it for dead and gave its task back',
} as const

type Rest = Exclude<WorkerEvent, { type: 'registered' | 'state' | `task-${string}` | `message-${string}` }>

function surroundingsSentence(event: Rest): [Level, string] {
  switch (event.type) {
    case 'surroundings-broken':
      return ['error', `${event.detail}; tasks stay queued, next look in ${formatDuration(event.retryMs)}`]
    case 'surroundings-mended':
      return ['info', 'the surroundings are in order again']
    case 'circuit-opened': {
      const next = event.retryMs === undefined ? '' : `, one is tried in ${formatDuration(event.retryMs)}`
      return ['error', `circuit open: ${oneLine(event.detail, 300)}; tasks stay queued${next}`]
    }
    case 'circuit-half-open':
      return ['info', 'circuit half-open: the next task shows whether the CLI works again']
    case 'circuit-closed':
      return ['info', 'circuit closed: the CLI works again']
    case 'paused':
      return ['info', 'paused: no task is taken until it is resumed']
    case 'resumed':
      return ['info', 'resumed']
    case 'draining':
      return ['info', `draining (${event.why}): nothing more is claimed`]
    case 'halting':
      return ['warn', `ending the run in hand (${event.why})`]
    case 'evicted':
      return ['error', 'the agent record was deleted; this worker ends']
    case 'lease-lost':
      return ['error', 'another worker took this agent; this one writes nothing more and ends']
    case 'forgotten':
      return ['error', `${FORGOTTEN[event.why]}; it registers again`]
    case 'peer-recovered':
      return ['warn', recoveredSentence(event)]
    case 'left-without-redis':
      return [
        'error',
        `ended without Redis (${event.detail}); what was in hand is taken up by the next start`,
      ]
    case 'redis-waiting':
      return ['warn', `Redis at ${event.address} does not answer yet: ${event.detail}`]
    case 'redis-lost':
      return ['warn', `Redis is away: ${event.detail}`]
    case 'redis-back':
      return ['info', 'Redis is back']
    case 'redis-stopped':
      return ['warn', 'the redis-server of the town was stopped: tinytown-worker redis start starts it again']
    case 'redis-not-started':
      return ['error', `the redis-server of the town died and could not be started: ${event.detail}`]
    case 'redis-refused':
      return ['warn', `Redis refused a write (${event.detail}), again in ${formatDuration(event.retryMs)}`]
    case 'result-spooled':
      return ['warn', `Redis does not take the result; it is kept in ${event.path} meanwhile`]
    case 'result-kept':
      return ['warn', `a result that was never written is kept aside (${event.why}): ${event.path}`]
    case 'spool-unread':
      return ['error', `a result cannot be read now; it stays in ${event.path}: ${event.detail}`]
    case 'spool-failed':
      return ['error', `a result cannot be kept in ${event.path}: ${event.detail}`]
    case 'log-file-failed':
      return ['warn', `the log file ${event.path} cannot be written: ${event.detail}`]
    case 'result-file-failed':
      return ['warn', `the whole result cannot be kept in ${event.path}: ${event.detail}`]
    case 'old-files-removed':
      return ['info', `removed ${event.count} old log(s) and result(s), ${formatSize(event.bytes)}`]
    case 'old-files-stay':
      return ['warn', `old logs and results cannot be removed: ${event.detail}`]
    case 'leftovers-ended':
      return ['warn', `ended ${event.count} process(es) that the run left behind`]
    case 'stopped':
      return ['info', event.givenBack > 0 ? `stopped; ${event.givenBack} message(s) given back` : 'stopped']
    default:
      return unreachable(event)
  }
}

function recoveredSentence({
  name,
  messages,
  lost,
}: Extract<WorkerEvent, { type: 'peer-recovered' }>): string {
  const failed = lost.length === 0 ? '' : `; run at most once and failed: ${lost.join(', ')}`
  return `the worker of ${name} is dead; its inbox has ${messages} message(s) back${failed}`
}
