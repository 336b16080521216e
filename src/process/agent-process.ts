import { statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { execa } from 'execa'
import { monotonicMs, sleep } from '../base/clock.ts'
import { deferred } from '../base/deferred.ts'
import type { Command } from './command.ts'
import { endTree } from './process-tree.ts'

/** Why a run was ended by us. `lingering`: the CLI had said its turn was over and did not exit. */
export type EndedBy = 'timeout' | 'stalled' | 'cancelled' | 'shutdown' | 'lease-lost' | 'lingering'

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
  /** Takes the output as it comes. While its promise is open no more is read. */
  readonly onOutput: (stream: 'stdout' | 'stderr', chunk: Uint8Array) => void | Promise<void> | undefined
}

/** After the main process is gone, what is already in its pipes is read for so long. */
const DRAIN_MS = 1000

/**
 * One child process and everything that comes of it, from the start to the last descendant. It runs in a process group of its
 * own, so that a Ctrl-C in the terminal reaches the daemon alone.
 */
export class AgentProcess {
  /** Settles when the process and all that came of it are gone; never rejects. */
  readonly result: Promise<ProcessEnd>
  readonly #options: ProcessOptions
  readonly #ending = new AbortController()
  readonly #killing = new AbortController()
  #endedBy: EndedBy | null = null
  #stall: NodeJS.Timeout | undefined
  #linger: NodeJS.Timeout | undefined

  constructor(options: ProcessOptions) {
    this.#options = options
    this.result = this.#run()
  }

  /** Ends the run with its whole tree. The first reason stays; a second call kills at once. */
  end(why: EndedBy): void {
    if (this.#ending.signal.aborted) this.#killing.abort()
    this.#endedBy ??= why
    this.#ending.abort()
  }

  /** The CLI said that its turn is over: from now on it has a limited time to exit. */
  markTerminal(): void {
    this.#linger ??= setTimeout(() => this.end('lingering'), this.#options.limits.exitGraceMs)
  }

  /** Something happened that counts as a sign of life: the silence begins anew. */
  alive(): void {
    const { stallMs } = this.#options.limits
    clearTimeout(this.#stall)
    if (stallMs > 0 && !this.#ending.signal.aborted)
      this.#stall = setTimeout(() => this.end('stalled'), stallMs)
  }

  async #run(): Promise<ProcessEnd> {
    const { command, cwd, env, limits } = this.#options
    const begun = monotonicMs()
    if (command.promptFile) writeFileSync(command.promptFile.path, command.promptFile.text, { mode: 0o600 })
    try {
      if (!isFolder(cwd))
        return { kind: 'not-started', code: 'ENOTDIR', message: `The folder ${cwd} does not exist` }
      const child = execa(command.program, command.args, {
        cwd,
        env,
        extendEnv: false,
        input: command.stdin ?? '',
        buffer: false,
        detached: true,
        cleanup: false,
        reject: false,
        stripFinalNewline: false,
      })
      const closed = child.catch(() => undefined)
      if (child.pid === undefined) return notStarted(await child.catch((error: unknown) => error))
      const wall = setTimeout(() => this.end('timeout'), limits.wallMs)
      const exited = deferred<{ exitCode: number | null; signal: NodeJS.Signals | null }>()
      child.once('exit', (exitCode, signal) => exited.resolve({ exitCode, signal }))
      this.alive()
      const reading = Promise.all([this.#read('stdout', child.stdout), this.#read('stderr', child.stderr)])
      const leftovers = await this.#untilGone(child.pid, exited.promise)
      clearTimeout(wall)
      clearTimeout(this.#stall)
      clearTimeout(this.#linger)
      await finishReading(reading, [child.stdout, child.stderr])
      child.stdin.destroy()
      await closed
      const end = await exited.promise
      return { kind: 'exited', ...end, endedBy: this.#endedBy, durationMs: monotonicMs() - begun, leftovers }
    } finally {
      clearTimeout(this.#stall)
      clearTimeout(this.#linger)
      if (command.promptFile) await rm(command.promptFile.path, { force: true })
    }
  }

  /** Waits for the exit, or ends the tree when told to; then ends what the run left behind. Returns how much that was. */
  async #untilGone(pid: number, exited: Promise<unknown>): Promise<number> {
    const tree = { rootPid: pid, groupId: pid, taskId: this.#options.taskId }
    const { killGraceMs: graceMs } = this.#options.limits
    const told = new Promise<void>((resolve) => {
      this.#ending.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const first = await Promise.race([exited.then(() => 'exited' as const), told.then(() => 'told' as const)])
    const { ended } = await endTree(tree, { graceMs, hurry: this.#killing.signal })
    await exited
    return first === 'exited' ? ended.length : 0
  }

  async #read(name: 'stdout' | 'stderr', stream: Readable): Promise<void> {
    try {
      for await (const chunk of stream) {
        await this.#options.onOutput(name, chunk as Uint8Array)
      }
    } catch {
      // The stream was closed under the reader: a descendant had kept it open.
    }
  }
}

/** Reads what is in the pipes; a descendant that was missed cannot hold them open for longer than a moment. */
async function finishReading(reading: Promise<unknown>, streams: readonly Readable[]): Promise<void> {
  const patience = new AbortController()
  const inTime = reading.then(() => patience.abort())
  await Promise.race([inTime, sleep(DRAIN_MS, patience.signal)])
  for (const stream of streams) stream.destroy()
  await inTime
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
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
