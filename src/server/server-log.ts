import { open, rename, stat } from 'node:fs/promises'

/** At most so long, and one older file beside it. A server that saves once a minute writes 20 MB in a month. */
const LONGEST_BYTES = 8_000_000

/**
 * Puts the log of a redis-server aside as `<name>.1` when it has grown long. The server opens it anew for every line, so that it
 * needs no word about it. Nothing depends on a log: what cannot be done is left.
 */
export async function rotateServerLog(logFile: string, longestBytes = LONGEST_BYTES): Promise<void> {
  try {
    if ((await stat(logFile)).size <= longestBytes) return
    await rename(logFile, `${logFile}.1`)
    // Made by us: the server's own would be readable by others.
    await (await open(logFile, 'a', 0o600)).close()
  } catch {
    // There is none yet, or it is not ours.
  }
}
