import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

// The file that says that somebody stopped the server and wants it to stay so.
const markOf = (pidFile: string) => join(dirname(pidFile), 'redis.stopped')

/** Says that the server is stopped on purpose. Where nothing can be written, nobody is told. */
export async function markStopped(pidFile: string): Promise<void> {
  await writeFile(markOf(pidFile), '').catch(() => undefined)
}

/** The server runs, or is to run, again. */
export async function clearStopped(pidFile: string): Promise<void> {
  await rm(markOf(pidFile), { force: true }).catch(() => undefined)
}

export function isMarkedStopped(pidFile: string): boolean {
  return existsSync(markOf(pidFile))
}
