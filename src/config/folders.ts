import { lstatSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** `folder` and the folders above it, nearest first. */
export function upwards(folder: string): string[] {
  const above = dirname(folder)
  return above === folder ? [folder] : [folder, ...upwards(above)]
}

/** Whether there is a file at `path` that this user may look up. */
export function isFile(path: string): boolean {
  return statsOf(path)?.isFile() === true
}

/** Whether there is a folder at `path` that this user may look up. */
export function isFolder(path: string): boolean {
  return statsOf(path)?.isDirectory() === true
}

/** Whether anything has this name, also a link to nothing. */
export function isTaken(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch {
    return false
  }
}

function statsOf(path: string): Stats | null {
  try {
    return statSync(path)
  } catch {
    return null
  }
}
