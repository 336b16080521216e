import { sleep } from '../base/clock.ts'
import { deferred } from '../base/deferred.ts'
import { cutBytes } from '../base/text.ts'
import type { Emit } from '../domain/worker-event.ts'
import { LogFile } from './log-file.ts'

/** The readable output waits so long for more before it is sent: people do not see the difference, Redis does. */
const GATHER_MS = 100
/** The longest piece; a longer line is cut. */
const PIECE_BYTES = 4096
/** What may wait for a Redis that is slow or away. What comes beyond is counted and left out there, not in the file. */
const WAITING_BYTES = 256 * 1024
const PARTING_MS = 2000

export interface TranscriptOptions {
  readonly path: string
  /** The longest log file, in bytes; 0 = no limit. */
  readonly maxBytes: number
  /** Sends a piece of readable text, whole lines. */
  readonly send: (text: string) => Promise<void>
  readonly emit: Emit
  readonly taskId: string
}

/**
 * Where the output of a run goes as it comes: everything to a file, readable lines to a stream that others follow. Memory stays
 * bounded however much comes; a file that cannot be written is told once and does not end the run.
 */
export class Transcript {
  readonly #options: TranscriptOptions
  readonly #file: LogFile
  #lines: string[] = []
  #waiting = 0
  #left = 0
  #closed = false
  #wake = deferred()
  readonly #sending: Promise<void>

  constructor(options: TranscriptOptions) {
    this.#options = options
    const { path, maxBytes, emit } = options
    const onFailed = (detail: string) => emit({ type: 'log-file-failed', path, detail })
    this.#file = new LogFile({ path, maxBytes, onFailed })
    this.#sending = this.#send()
  }

  /** Writes to the file. The promise, when there is one, settles when the file can take more. */
  raw(chunk: Uint8Array): Promise<void> | undefined {
    return this.#file.write(chunk)
  }

  /** Adds readable text, one or more lines. */
  text(text: string): void {
    for (const line of text.split('\n')) {
      const { text: head, cut } = cutBytes(line, PIECE_BYTES - 8)
      const piece = cut ? `${head} […]` : head
      const bytes = Buffer.byteLength(piece) + 1
      if (this.#waiting + bytes > WAITING_BYTES) this.#left += 1
      else {
        this.#lines.push(piece)
        this.#waiting += bytes
      }
    }
    this.#wake.resolve()
  }

  /** Sends what waits, at most for a moment, and closes the file. */
  async close(): Promise<void> {
    this.#closed = true
    this.#wake.resolve()
    const patience = new AbortController()
    await Promise.race([this.#sending, sleep(PARTING_MS, patience.signal)])
    patience.abort()
    // Nothing more is sent after the end of the run; the file has it.
    this.#lines = []
    this.#left = 0
    await this.#file.close()
  }

  async #send(): Promise<void> {
    while (!this.#closed || this.#lines.length > 0 || this.#left > 0) {
      await this.#wake.promise
      this.#wake = deferred()
      if (!this.#closed) await sleep(GATHER_MS)
      for (let piece = this.#take(); piece !== null; piece = this.#take()) {
        this.#options.emit({ type: 'task-output', taskId: this.#options.taskId, text: piece })
        // A stream that cannot be written loses its copy of the output; the file has it.
        await this.#options.send(piece).catch(() => undefined)
      }
    }
  }

  /** The next piece: as many lines as fit. */
  #take(): string | null {
    if (this.#lines.length === 0) {
      if (this.#left === 0) return null
      const note = `[… ${this.#left} lines are only in the log file]`
      this.#left = 0
      return note
    }
    let bytes = 0
    let count = 0
    for (const line of this.#lines) {
      bytes += Buffer.byteLength(line) + 1
      if (count > 0 && bytes > PIECE_BYTES) break
      count += 1
    }
    const taken = this.#lines.splice(0, count)
    this.#waiting -= taken.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0)
    return taken.join('\n')
  }
}
