import { createWriteStream, statSync, type WriteStream } from 'node:fs'
import { dirname } from 'node:path'
import { formatSize } from '../base/size.ts'
import { messageOf } from '../domain/errors.ts'
import { makeFolders } from './folder.ts'

interface LogFileOptions {
  readonly path: string
  /** The longest file, in bytes; 0 = no limit. */
  readonly maxBytes: number
  /** Called once, when the file cannot be written any more. */
  readonly onFailed: (detail: string) => void
}

/**
 * The log file of a task, which its attempts share. It never grows beyond its limit: what comes then is left out, with a line
 * that says so. An attempt that finds less than half of the room begins the file anew. A file that cannot be written is told once.
 */
export class LogFile {
  readonly #options: LogFileOptions
  readonly #file: WriteStream | null
  /** What the file takes before its note on the cut. */
  #room = Number.POSITIVE_INFINITY
  #full = false

  constructor(options: LogFileOptions) {
    this.#options = options
    this.#file = this.#open()
  }

  /** Writes. The promise, when there is one, settles when the file can take more. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    const file = this.#file
    if (!file || file.destroyed || this.#full) return undefined
    if (file.write(this.#fitting(chunk))) return undefined
    return new Promise((resolve) => {
      const done = () => {
        file.off('drain', done)
        file.off('close', done)
        resolve()
      }
      file.once('drain', done)
      file.once('close', done)
    })
  }

  async close(): Promise<void> {
    const file = this.#file
    if (file && !file.destroyed) await new Promise<void>((resolve) => file.end(() => resolve()))
  }

  #fitting(chunk: Uint8Array): Uint8Array {
    this.#room -= chunk.length
    if (this.#room >= 0) return chunk
    this.#full = true
    return Buffer.concat([chunk.subarray(0, Math.max(0, chunk.length + this.#room)), this.#note('cut here')])
  }

  #note(what: string): Buffer {
    const limit = formatSize(this.#options.maxBytes)
    return Buffer.from(`\n[tinytown-worker: ${what}: a log file holds at most ${limit} (--output-limit)]\n`)
  }

  #open(): WriteStream | null {
    const { path, maxBytes, onFailed } = this.#options
    try {
      makeFolders(dirname(dirname(path)), dirname(path))
    } catch (error) {
      onFailed(messageOf(error))
      return null
    }
    const found = maxBytes > 0 ? sizeOf(path) : 0
    const anew = found > maxBytes / 2
    const file = createWriteStream(path, { flags: anew ? 'w' : 'a', mode: 0o640 })
    file.on('error', (error) => onFailed(messageOf(error)))
    const gone = this.#note('what earlier attempts wrote is gone')
    if (anew) file.write(gone)
    if (maxBytes > 0) this.#room = maxBytes - (anew ? gone.length : found) - this.#note('cut here').length
    return file
  }
}

function sizeOf(path: string): number {
  try {
    const found = statSync(path)
    return found.isFile() ? found.size : 0
  } catch {
    return 0
  }
}
