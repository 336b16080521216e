import { lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync } from 'node:fs'
import { basename, join } from 'node:path'

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

/** The prompt file of a run, with a name of its own: the guard of an earlier run may still have that run's file to remove. */
export function promptPathOf(townRoot: string, { taskId, runId }: { taskId: string; runId: string }): string {
  return join(townRoot, '.tt', 'tasks', `${taskId}.${runId}.prompt.md`)
}

/** Removes the prompt files that earlier runs of the task left, where the machine died under them. */
export function removePrompts(townRoot: string, taskId: string): void {
  const folder = join(townRoot, '.tt', 'tasks')
  for (const name of readdirSync(folder))
    if (name.startsWith(`${taskId}.`) && name.endsWith('.prompt.md')) rmSync(join(folder, name))
}

/**
 * Makes the agent's log file show the log of the task in hand: `tt status --deep` shows its end. A file that an earlier
 * `tt spawn` of this name left stays as it is.
 */
export function linkLog(townRoot: string, agentName: string, logPath: string): void {
  const path = join(townRoot, '.tt', 'logs', `${agentName}.log`)
  try {
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile()) return
    rmSync(path, { force: true })
    symlinkSync(basename(logPath), path)
  } catch {
    // It is for those who look with tt; a run does not depend on it.
  }
}

/**
 * Makes a log file young, that of an agent or of a task, where there is one: `tt recover` judges an agent by its time then, not by
 * the heartbeat, and takes it for dead after 120 s.
 */
export function touchLog(townRoot: string, name: string): void {
  const now = new Date()
  try {
    utimesSync(join(townRoot, '.tt', 'logs', `${name}.log`), now, now)
  } catch {
    // There is none, or it is not ours to touch: then the heartbeat counts, or nothing can be done.
  }
}
