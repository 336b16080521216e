import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf, WorkerError } from '../domain/errors.ts'

/** When the file is rotated, in bytes, and how many older ones stay. */
const LONGEST_BYTES = 10_000_000
const OLDER = 5

/** A log file that never holds more than so much: at the limit it becomes `<path>.1`, what was that `<path>.2`, and so on. */
export class LogFile {
  readonly #path: string
  readonly #longestBytes: number

  /** Throws `config` when the file cannot be written. */
  constructor(path: string, longestBytes = LONGEST_BYTES) {
    this.#path = path
    this.#longestBytes = longestBytes
    try {
      mkdirSync(dirname(path), { recursive: true })
      append(path, '')
    } catch (error) {
      const remedy = 'Name another file with --log-file, or leave it out: the log goes to stderr in any case'
      const sentence = `The log file ${path} cannot be written: ${messageOf(error)}`
      throw new WorkerError('config', sentence, { remedy, cause: error })
    }
  }

  /** Adds a line. One that cannot be written, as on a full disk, is lost: the work goes on without it. */
  write(line: string): void {
    try {
      if (sizeOf(this.#path) + Buffer.byteLength(line) > this.#longestBytes) this.#rotate()
      append(this.#path, line)
    } catch {
      // It is on stderr too; the next line is tried again.
    }
  }

  #rotate(): void {
    for (let number = OLDER - 1; number >= 0; number--) {
      const older = number === 0 ? this.#path : `${this.#path}.${number}`
      if (sizeOf(older) > 0) renameSync(older, `${this.#path}.${number + 1}`)
    }
  }
}

/** Opened for each line: whoever moves or deletes the file needs to tell nobody. */
function append(path: string, line: string): void {
  appendFileSync(path, line, { mode: 0o600 })
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
