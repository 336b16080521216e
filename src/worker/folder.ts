import { mkdirSync } from 'node:fs'

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
