import { closeSync, constants, createWriteStream, fstatSync, ftruncateSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { formatSize } from '../base/size.ts'
import { messageOf } from '../domain/errors.ts'
import { makeFolders } from './folder.ts'
import { PatientStream } from './patient-stream.ts'

interface LogFileOptions {
  readonly path: string
  /** The longest file, in bytes; 0 = no limit. */
  readonly maxBytes: number
  /** Called once, when the file cannot be written any more. */
  readonly onFailed: (detail: string) => void
}

/**
 * The log file of a task, which its attempts share. It never grows beyond its limit: what comes then is left out, with a line
 * that says so. An attempt that finds less than half of the room begins the file anew. A file that cannot be written, or that takes nothing for
 * five seconds, is told once.
 */
export class LogFile {
  readonly #options: LogFileOptions
  readonly #file: PatientStream | null
  /** What the file takes before its note on the cut. */
  #room = Number.POSITIVE_INFINITY
  #full = false

  constructor(options: LogFileOptions) {
    this.#options = options
    this.#file = this.#open()
  }

  /** Writes. The promise, when there is one, settles when the file can take more. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    return this.#full ? undefined : this.#file?.write(this.#fitting(chunk))
  }

  async close(): Promise<void> {
    await this.#file?.end()
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

  #open(): PatientStream | null {
    const { path, maxBytes, onFailed } = this.#options
    try {
      makeFolders(dirname(dirname(path)), dirname(path))
      const { fd, size } = openRegular(path)
      const anew = maxBytes > 0 && size > maxBytes / 2
      if (anew) ftruncateSync(fd)
      const file = new PatientStream(createWriteStream(path, { fd }), onFailed)
      const gone = this.#note('what earlier attempts wrote is gone')
      if (anew) void file.write(gone)
      if (maxBytes > 0) this.#room = maxBytes - (anew ? gone.length : size) - this.#note('cut here').length
      return file
    } catch (error) {
      onFailed(messageOf(error))
      return null
    }
  }
}

/** Opens a file to write at its end. A run could put a pipe in its place, for the next attempt to wait at for ever. */
function openRegular(path: string): { fd: number; size: number } {
  const { O_WRONLY, O_CREAT, O_APPEND, O_NONBLOCK } = constants
  const fd = openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0o640)
  const found = fstatSync(fd)
  if (found.isFile()) return { fd, size: found.size }
  closeSync(fd)
  throw new Error('it is no regular file; remove it')
}
