import { type Stats, statSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { Redactor } from '../base/redact.ts'
import { messageOf } from '../domain/errors.ts'
import { type Id, newId } from '../domain/ids.ts'
import { type Outcome, redactOutcome } from '../domain/outcome.ts'
import type { Emit } from '../domain/worker-event.ts'
import { AgentProcess } from '../process/agent-process.ts'
import { rootRefusal } from '../process/as-root.ts'
import { classify, PROMPT_REMEDY } from '../process/classify.ts'
import { buildCommand, type Command } from '../process/command.ts'
import { childEnvironment } from '../process/environment.ts'
import { OutputReader } from '../process/output-reader.ts'
import { endTree } from '../process/process-tree.ts'
import type { Profile } from '../process/profile.ts'
import { findProgram } from '../process/which.ts'
import type { HoldReason } from '../reliability/retry-policy.ts'
import type { Lease } from '../store/lease.ts'
import { appendOutput } from '../store/output.ts'
import type { EndWhy } from './control.ts'
import { linkLog, makeFolders, promptPathOf, removePrompts, touchLog } from './folder.ts'
import { boundResult } from './result-file.ts'
import { Transcript } from './transcript.ts'
import type { Job } from './work.ts'

const NOTHING = new Uint8Array(0)

/** What keeps a run from starting at all. */
export interface Trouble {
  readonly reason: HoldReason
  readonly detail: string
  /** When it is worth another look, in milliseconds since 1970. */
  readonly until?: number
}

export interface RunnerOptions {
  readonly profile: Profile
  /** The folder in which the CLI works, unless its profile names one. */
  readonly workdir: string
  readonly townRoot: string
  readonly lease: Lease
  readonly env: NodeJS.ProcessEnv
  readonly passEnv: readonly string[]
  /** Stops the tree of the run while the agent is paused; null: it goes on. */
  readonly pauseSignal: 'SIGSTOP' | 'SIGTSTP' | null
  readonly limits: {
    readonly wallMs: number
    readonly stallMs: number
    readonly killGraceMs: number
    /** How much a run may print, in bytes; 0 = no limit. */
    readonly outputBytes: number
  }
  /** Takes the secrets out of whatever a run says. */
  readonly redactor: Redactor
  readonly emit: Emit
}

export interface Runner {
  /** Says what is missing for a run, or null. */
  inspect(): Promise<Trouble | null>
  /** Runs the CLI on a prompt, to the end of its last process. */
  run(job: Job): Promise<Outcome>
  /** Stops or continues what runs now, where a pause is to reach it. */
  setPaused(paused: boolean): void
  /** Shows a sign of life outside of Redis as well, for `tt recover`. */
  signOfLife(): void
  /** The task whose run is in hand; null between two. */
  inHand(): Id | null
  /** Kills what runs now at once, for a daemon that exits this moment. */
  kill(): void
  /** Where the output of a task is kept on this machine; undefined when there is none, or it could not be written. */
  logPath(taskId: Id): string | undefined
}

/** Makes the runner of one CLI in one folder. */
export function createRunner(options: RunnerOptions): Runner {
  const { profile, townRoot, pauseSignal, lease } = options
  const cwd = profile.workdir ? resolve(townRoot, profile.workdir) : options.workdir
  const logFile = (taskId: Id) => join(townRoot, '.tt', 'logs', `${taskId}.log`)
  const logPath = (taskId: Id) => (isFile(logFile(taskId)) ? logFile(taskId) : undefined)
  let current: AgentProcess | null = null
  let inHand: Id | null = null
  const onStart = (child: AgentProcess) => {
    current = child
  }
  return {
    inspect: () => inspect(options, cwd),
    async run(job) {
      inHand = job.taskId
      try {
        const outcome = await runJob(job, options, { cwd, logPath: logFile(job.taskId), onStart })
        const clean = redactOutcome(outcome, (text) => options.redactor.text(text))
        const resultPath = join(townRoot, '.tt', 'tasks', `${job.taskId}.result.md`)
        return await boundResult(clean, { resultPath, logPath: logPath(job.taskId), emit: options.emit })
      } finally {
        inHand = null
      }
    },
    setPaused: (paused) => {
      if (pauseSignal !== null) current?.setPaused(paused ? pauseSignal : null)
    },
    signOfLife() {
      touchLog(townRoot, lease.agentName)
      // The name of the agent may be a file of `tt spawn`; whoever removes old logs looks at this one.
      if (inHand) touchLog(townRoot, inHand)
    },
    inHand: () => inHand,
    kill: () => current?.kill(),
    logPath,
  }
}

function programOf({ profile, env, townRoot }: RunnerOptions): Promise<string | null> {
  const path = profile.env.set.PATH ?? env.PATH
  return findProgram(profile.command.program, { path, cwd: townRoot })
}

async function inspect(options: RunnerOptions, cwd: string): Promise<Trouble | null> {
  const { profile } = options
  if ((await programOf(options)) === null) {
    const place = isAbsolute(profile.command.program) ? 'there is no such program' : 'it is not in PATH'
    const detail = `${profile.id} is not installed (${profile.command.program}: ${place}); install it: ${profile.install}`
    return { reason: 'not-installed', detail }
  }
  const refusal = rootRefusal(profile, environmentOf(options, '', ''))
  if (refusal !== null) return { reason: 'config', detail: refusal }
  if (folderExists(cwd)) return null
  const where = profile.workdir ? `agent_clis.${profile.id}.workdir` : '--workdir or worker.workdir'
  const remedy = `make it (mkdir -p ${cwd}), or name another one as ${where}`
  return { reason: 'config', detail: `The working folder ${cwd} does not exist; ${remedy}` }
}

function folderExists(path: string): boolean {
  return found(path)?.isDirectory() === true
}

function isFile(path: string): boolean {
  return found(path)?.isFile() === true
}

function found(path: string): Stats | null {
  try {
    return statSync(path)
  } catch {
    return null
  }
}

async function runJob(job: Job, options: RunnerOptions, place: Place): Promise<Outcome> {
  const { profile, townRoot, limits } = options
  const runId = newId()
  const promptPath = promptPathOf(townRoot, { taskId: job.taskId, runId })
  const built = buildCommand(profile, { prompt: job.prompt, promptFile: promptPath, extra: [] })
  if (!built.ok) {
    const facts = { toolCalls: 0, durationMs: 0 }
    return { kind: 'failed', reason: 'bad-task', detail: built.detail, facts }
  }
  try {
    if (built.command.promptFile) {
      makeFolders(join(townRoot, '.tt'), dirname(promptPath))
      removePrompts(townRoot, job.taskId)
    }
  } catch (error) {
    const detail = `The prompt cannot be written: ${messageOf(error)}; ${PROMPT_REMEDY}`
    return { kind: 'held', reason: 'config', detail }
  }
  const command = { ...built.command, program: (await programOf(options)) ?? built.command.program }
  const wallMs = profile.timeoutMs ?? limits.wallMs
  return await watch({ job, runId, command, wallMs, options, ...place })
}

interface Place {
  readonly cwd: string
  readonly logPath: string
  readonly onStart: (child: AgentProcess) => void
}

interface Watch extends Place {
  readonly job: Job
  readonly runId: Id
  readonly command: Command
  readonly wallMs: number
  readonly options: RunnerOptions
}

async function watch({
  job,
  runId,
  command,
  wallMs,
  options,
  cwd,
  logPath,
  onStart,
}: Watch): Promise<Outcome> {
  const { profile, lease, limits, emit, redactor } = options
  const { taskId } = job
  await endEarlierRun(taskId, options)
  const transcript = new Transcript({
    path: logPath,
    maxBytes: limits.outputBytes,
    send: (text) => appendOutput(lease.redis, lease.agent.output, taskId, text),
    emit,
    taskId,
  })
  const reader = new OutputReader({
    profile,
    show: (text) => transcript.text(text),
    onTerminal: () => child.markTerminal(),
    onLife: () => child.alive(),
    redact: (text) => redactor.text(text),
  })
  const streams = { stdout: redactor.stream(), stderr: redactor.stream() }
  const counted = counter(limits.outputBytes, () => child.end('output-limit'))
  const take = (stream: 'stdout' | 'stderr', clean: Uint8Array, chunk = clean) => {
    counted(chunk.length)
    // Events are read as they are: the reader takes the secrets out of their texts.
    reader.push(stream, stream === 'stdout' && profile.parseLine !== null ? chunk : clean)
    return clean.length > 0 ? transcript.raw(clean) : undefined
  }
  const child = new AgentProcess({
    command,
    cwd,
    env: environmentOf(options, taskId, runId),
    taskId,
    limits: {
      wallMs,
      stallMs: limits.stallMs,
      killGraceMs: limits.killGraceMs,
      exitGraceMs: profile.exitGraceMs,
    },
    onOutput: (stream, chunk) => take(stream, streams[stream].push(chunk), chunk),
  })
  onStart(child)
  emit({ type: 'run-started', taskId, attempt: job.attempt })
  linkLog(options.townRoot, lease.agentName, logPath)
  const onEnd = () => child.end(job.end.reason as EndWhy)
  if (job.end.aborted) onEnd()
  else job.end.addEventListener('abort', onEnd, { once: true })
  const end = await child.result
  job.end.removeEventListener('abort', onEnd)
  for (const stream of ['stdout', 'stderr'] as const) await take(stream, streams[stream].end(), NOTHING)
  const reading = reader.finish()
  await transcript.close()
  if (end.kind === 'exited' && end.leftovers > 0)
    emit({ type: 'leftovers-ended', taskId, count: end.leftovers })
  return classify(profile, end, reading, { ...limits, wallMs })
}

/** Counts up to `limit` and tells once when it is exceeded; 0 = never. */
function counter(limit: number, onExceeded: () => void): (count: number) => void {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit
  return (count) => {
    const before = left
    left -= count
    if (before >= 0 && left < 0) onExceeded()
  }
}

/** A worker that was killed left its run behind; the same task is not run twice at the same time. */
async function endEarlierRun(taskId: Id, { lease, limits, emit }: RunnerOptions): Promise<void> {
  // Where the process table cannot be read there is nothing to be ended by it.
  const found = await endTree({ taskId, agentId: lease.agentId }, { graceMs: limits.killGraceMs }).catch(
    () => null,
  )
  const ended = found?.ended ?? []
  if (ended.length > 0) emit({ type: 'leftovers-ended', taskId, count: ended.length })
}

function environmentOf(
  { profile, env, passEnv, lease }: RunnerOptions,
  taskId: Id,
  runId: string,
): Record<string, string> {
  return childEnvironment(env, {
    pass: [...profile.env.pass, ...passEnv],
    set: profile.env.set,
    task: { agentId: lease.agentId, agentName: lease.agentName, taskId, runId, town: lease.town.town },
  })
}
