import { mkdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Makes folders, outer ones first. Not with `recursive`: where the system answers ENOENT for a new folder, as below /proc, that
 * never ends (Node.js 20).
 */
export function makeFolders(...paths: readonly string[]): void {
  for (const path of paths) {
    try {
      mkdirSync(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/**
 * Makes the log file of an agent young, where an earlier `tt spawn` of this name left one: `tt recover` then judges by its
 * time, not by the heartbeat, and takes the agent for dead after 120 s. None is made.
 */
export function touchLog(townRoot: string, agentName: string): void {
  const now = new Date()
  try {
    utimesSync(join(townRoot, '.tt', 'logs', `${agentName}.log`), now, now)
  } catch {
    // There is none, or it is not ours to touch: then the heartbeat counts, or nothing can be done.
  }
}
