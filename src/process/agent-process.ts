import { rmSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { execa } from 'execa'
import { aborted, monotonicMs, sleep } from '../base/clock.ts'
import { deferred } from '../base/deferred.ts'
import { messageOf } from '../domain/errors.ts'
import type { Command } from './command.ts'
import { AGENT_VARIABLE, RUN_VARIABLE } from './environment.ts'
import { type Guard, postGuard } from './guard.ts'
import { kill, killMarked, systemTable, type TreeSignal } from './process-table.ts'
import {
  type EndTreeOptions,
  endTree,
  findTree,
  signalTree,
  type TreeEnd,
  type TreeTarget,
} from './process-tree.ts'
import { marked } from './run-mark.ts'

/** Why a run was ended by us. `lingering`: the CLI had said its turn was over and did not exit. */
export type EndedBy =
  | 'timeout'
  | 'stalled'
  | 'output-limit'
  | 'cancelled'
  | 'shutdown'
  | 'lease-lost'
  | 'lingering'

/** How a process ended. */
export type ProcessEnd =
  | { readonly kind: 'not-started'; readonly code: string; readonly message: string }
  | {
      readonly kind: 'exited'
      readonly exitCode: number | null
      readonly signal: NodeJS.Signals | null
      readonly endedBy: EndedBy | null
      readonly durationMs: number
      /** How many processes the run had left behind. */
      readonly leftovers: number
    }

export interface ProcessOptions {
  readonly command: Command
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly taskId: string
  readonly limits: {
    /** The longest time of a run. */
    readonly wallMs: number
    /** The longest silence; 0 = no limit. */
    readonly stallMs: number
    /** Between the request to end and the kill. */
    readonly killGraceMs: number
    /** Between the terminal event and the end by force. */
    readonly exitGraceMs: number
  }
  /** Takes the output as it comes. While its promise is open no more is read. It must not throw. */
  readonly onOutput: (stream: 'stdout' | 'stderr', chunk: Uint8Array) => void | Promise<void> | undefined
}

/** After the main process is gone, its pipes are waited for so long; they may be held open by a process that was missed. */
export const DRAIN_MS = 500
/** How many times as long when the consumer is what is slow: what the CLI said must not be lost by that. */
const SLOW_DRAINS = 10
/** Between the request to end and the kill of a run that was cancelled: whoever cancels wants it gone. */
const CANCEL_GRACE_MS = 500
/** What a run that ended by itself left behind has less time to end than a run: a result waits for it, and for its pipes; not for two seconds. */
export const LEFTOVER_GRACE_MS = 750
/** The longest time of a Node timer; a longer one fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

type Exit = { readonly exitCode: number | null; readonly signal: NodeJS.Signals | null }
type Child = ReturnType<typeof spawnChild>

/**
 * One child process and everything that comes of it, from the start to the last descendant. It runs in a process group of its
 * own, so that a Ctrl-C in the terminal reaches the daemon alone.
 */
export class AgentProcess {
  /** Settles when the process and all that came of it are gone. Rejects with what `onOutput` threw: that is a bug. */
  readonly result: Promise<ProcessEnd>
  readonly #options: ProcessOptions
  readonly #ending = new AbortController()
  readonly #killing = new AbortController()
  #endedBy: EndedBy | null = null
  #turnOver = false
  #exited = false
  /** The last process of the run is gone. */
  #over = false
  #pid: number | null = null
  /** Open calls of the consumer. */
  #consuming = 0
  #consumerError: { readonly error: unknown } | null = null
  #wall: NodeJS.Timeout | undefined
  #stall: NodeJS.Timeout | undefined
  #linger: NodeJS.Timeout | undefined
  /** What is left of the longest time of the run, and since when it has been running. */
  #wallLeftMs: number
  #wallSince = 0
  #paused = false
  /** Signals go out one after another: a stop must not overtake the continuation before it. */
  #signalled: Promise<void> = Promise.resolve()

  constructor(options: ProcessOptions) {
    this.#options = options
    this.#wallLeftMs = options.limits.wallMs
    this.result = this.#run().finally(() => {
      // Also where nothing was started: what is read late sets no timer that keeps the daemon from its end.
      this.#exited = true
    })
  }

  /**
   * Ends the run with its whole tree. The first reason stays; a second call kills at once. A run that ended by itself keeps its
   * end, and one whose turn is over is not taken back by a shutdown or by what it prints after it: it would be done again.
   */
  end(why: EndedBy): void {
    if (this.#ending.signal.aborted || this.#exited) {
      this.#killing.abort()
      return
    }
    this.#stopTimers()
    const isDone = this.#turnOver && (why === 'shutdown' || why === 'output-limit')
    this.#endedBy = isDone ? 'lingering' : why
    this.#ending.abort()
  }

  /** Stops the whole tree with the signal, or lets it go on (null). While it is stopped no limit counts. */
  setPaused(signal: 'SIGSTOP' | 'SIGTSTP' | null): void {
    if (this.#paused === (signal !== null) || this.#exited || this.#ending.signal.aborted) return
    this.#paused = signal !== null
    if (this.#paused) {
      this.#wallLeftMs -= monotonicMs() - this.#wallSince
      clearTimeout(this.#wall)
      clearTimeout(this.#stall)
    } else if (!this.#turnOver) this.#startTimers()
    this.#signal(signal ?? 'SIGCONT')
  }

  /** Kills the run's processes at once and waits for nothing: for a daemon that exits this moment. */
  kill(): void {
    const { env } = this.#options
    if (this.#pid === null || this.#over) return
    // The group outlives its leader.
    kill(-this.#pid, 'SIGKILL')
    if (env[RUN_VARIABLE]) killMarked([`${RUN_VARIABLE}=${env[RUN_VARIABLE]}`])
  }

  /** The CLI said that its turn is over: from now on all that is limited is its time to exit. */
  markTerminal(): void {
    if (this.#turnOver || this.#ending.signal.aborted || this.#exited) return
    this.#turnOver = true
    this.#stopTimers()
    this.#linger = this.#endAfter(this.#options.limits.exitGraceMs, 'lingering')
  }

  /** Something happened that counts as a sign of life: the silence begins anew. */
  alive(): void {
    const { stallMs } = this.#options.limits
    clearTimeout(this.#stall)
    if (stallMs === 0 || this.#paused || this.#turnOver || this.#exited || this.#ending.signal.aborted) return
    this.#stall = this.#endAfter(stallMs, 'stalled')
  }

  #endAfter(ms: number, why: EndedBy): NodeJS.Timeout {
    return setTimeout(() => this.end(why), Math.min(ms, MAX_TIMER_MS))
  }

  #startTimers(): void {
    this.#wallSince = monotonicMs()
    this.#wall = this.#endAfter(Math.max(0, this.#wallLeftMs), 'timeout')
    this.alive()
  }

  #signal(signal: TreeSignal): void {
    const pid = this.#pid
    if (pid === null) return
    this.#signalled = this.#signalled.then(async () => {
      const tree = await this.#treeOf(pid)
      // Where processes cannot be listed, the group at least is reached.
      const entries = await findTree(tree).catch(() => null)
      if (entries) await signalTree(tree, entries, { signal })
      else kill(-pid, signal)
    })
  }

  #stopTimers(): void {
    clearTimeout(this.#wall)
    clearTimeout(this.#stall)
    clearTimeout(this.#linger)
  }

  async #run(): Promise<ProcessEnd> {
    const { command, cwd, env, limits } = this.#options
    if (!isFolder(cwd)) {
      return { kind: 'not-started', code: 'ENOTDIR', message: `There is no folder ${cwd}` }
    }
    const guard = postGuard({
      runId: env[RUN_VARIABLE] ?? '',
      graceMs: limits.killGraceMs,
      promptPath: command.promptFile?.path,
    })
    try {
      const child = start(this.#options)
      if (child instanceof Error) return notStarted(child)
      const { pid } = child
      return pid === undefined ? notStarted(await child) : await this.#watch(child, pid, guard)
    } finally {
      this.#stopTimers()
      await this.#dismiss(guard)
    }
  }

  /** Removes the prompt file first: a daemon that dies in between leaves it to the guard. */
  async #dismiss(guard: Guard): Promise<void> {
    const { promptFile } = this.#options.command
    // Where it could not be written it may not be there to be removed either.
    if (promptFile) await rm(promptFile.path, { force: true }).catch(() => undefined)
    await guard.dismiss()
  }

  async #watch(child: Child, pid: number, guard: Guard): Promise<ProcessEnd> {
    this.#pid = pid
    guard.watch(pid)
    const begun = monotonicMs()
    const exited = deferred<Exit>()
    child.once('exit', (exitCode, signal) => {
      this.#exited = true
      this.#stopTimers()
      exited.resolve({ exitCode, signal })
    })
    this.#startTimers()
    const reading = Promise.all([this.#read('stdout', child.stdout), this.#read('stderr', child.stderr)])
    const { exit, leftovers } = await this.#untilGone(pid, exited.promise)
    this.#over = true
    const durationMs = monotonicMs() - begun
    // Before the output is read to its end: the number of the group may be another's by then.
    await this.#dismiss(guard)
    await this.#finishReading(reading, [child.stdout, child.stderr])
    child.stdin?.destroy()
    // One that SIGKILL does not end is never closed.
    if (this.#exited) await child
    if (this.#consumerError) throw this.#consumerError.error
    return { kind: 'exited', ...exit, endedBy: this.#endedBy, durationMs, leftovers }
  }

  /** Waits for the exit, or ends the tree when told to; then ends what the run left behind. Returns how much that was. */
  async #untilGone(pid: number, exited: Promise<Exit>): Promise<{ exit: Exit; leftovers: number }> {
    const { killGraceMs } = this.#options.limits
    const hurry = this.#killing.signal
    const told = aborted(this.#ending.signal)
    const tree = await this.#treeOf(pid)
    const first = await Promise.race([exited, told.then(() => null)])
    if (first === null) {
      // A stopped process would see the request to end only when it goes on.
      if (this.#paused) this.#signal('SIGCONT')
      await this.#signalled
      const graceMs = this.#endedBy === 'cancelled' ? Math.min(killGraceMs, CANCEL_GRACE_MS) : killGraceMs
      const { survived } = await endAll(tree, { graceMs, hurry })
      const exit = survived.includes(pid) ? { exitCode: null, signal: null } : await exited
      return { exit, leftovers: 0 }
    }
    const graceMs = Math.min(killGraceMs, LEFTOVER_GRACE_MS)
    const { ended } = await endAll(tree, { graceMs, hurry })
    return { exit: first, leftovers: ended.length }
  }

  async #treeOf(pid: number): Promise<TreeTarget & { groupId: number }> {
    const { taskId, env } = this.#options
    // Not collected yet, even if it is dead already: Node has had no turn to do it.
    const [root] = await systemTable().look([pid])
    return {
      rootPid: pid,
      groupId: pid,
      taskId,
      ...(root ? { rootStartedAt: root.startedAt } : {}),
      ...(env[AGENT_VARIABLE] ? { agentId: env[AGENT_VARIABLE] } : {}),
      ...(env[RUN_VARIABLE] ? { runId: env[RUN_VARIABLE] } : {}),
    }
  }

  async #read(name: 'stdout' | 'stderr', stream: Readable): Promise<void> {
    try {
      for await (const chunk of stream) await this.#consume(name, chunk as Uint8Array)
    } catch {
      // The consumer threw, or the stream was closed under the reader: a descendant had kept it open.
    }
  }

  async #consume(name: 'stdout' | 'stderr', chunk: Uint8Array): Promise<void> {
    this.#consuming += 1
    try {
      const taken = this.#options.onOutput(name, chunk)
      if (taken === undefined) return
      // A child that cannot get rid of its output is not silent.
      clearTimeout(this.#stall)
      await taken
      this.alive()
    } catch (error) {
      this.#consumerError ??= { error }
      this.end('cancelled')
      throw error
    } finally {
      this.#consuming -= 1
    }
  }

  /** Reads what is in the pipes; a descendant that was missed cannot hold them open for longer than a moment. */
  async #finishReading(reading: Promise<unknown>, streams: readonly Readable[]): Promise<void> {
    const patience = new AbortController()
    const read = reading.then(() => patience.abort())
    for (let round = 0; round < SLOW_DRAINS; round += 1) {
      await Promise.race([read, sleep(DRAIN_MS, patience.signal)])
      if (patience.signal.aborted || this.#consuming === 0) break
    }
    for (const stream of streams) stream.destroy()
    // A consumer that never comes back is not waited for.
    if (this.#consuming === 0) await read
  }
}

/** Ends a tree. Where processes cannot be listed, for want of file handles say, the group at least is killed. */
async function endAll(tree: TreeTarget & { groupId: number }, options: EndTreeOptions): Promise<TreeEnd> {
  try {
    return await endTree(tree, options)
  } catch {
    kill(-tree.groupId, 'SIGKILL')
    return { ended: [], survived: [] }
  }
}

/** Writes the prompt file and starts the child; a full disk is an end like a missing program. */
function start(options: ProcessOptions): Child | Error {
  const { promptFile } = options.command
  try {
    if (promptFile) writePrompt(promptFile)
    return spawnChild(options)
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function writePrompt({ path, text }: { readonly path: string; readonly text: string }): void {
  try {
    // One that a killed worker left would keep its mode, and a link would be written through.
    rmSync(path, { force: true })
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    // A code of its own: with ENOENT it would look like a missing program.
    const message = `the prompt cannot be written: ${messageOf(error)}`
    throw Object.assign(new Error(message), { code: 'PROMPT_FILE' })
  }
}

function spawnChild({ command, cwd, env }: ProcessOptions) {
  const { program, args, stdin } = marked(command, env[RUN_VARIABLE] ?? '')
  return execa(program, args, {
    cwd,
    env,
    extendEnv: false,
    // Always ended: some CLIs wait for ever on an open stdin.
    input: stdin ?? '',
    buffer: false,
    detached: true,
    cleanup: false,
    reject: false,
    stripFinalNewline: false,
  })
}

function notStarted(error: unknown): ProcessEnd {
  const {
    code = 'UNKNOWN',
    originalMessage,
    message,
  } = error as {
    code?: string
    originalMessage?: string
    message?: string
  }
  return {
    kind: 'not-started',
    code,
    message: originalMessage ?? message ?? 'the process could not be started',
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
