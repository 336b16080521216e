import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { WorkerError } from '../domain/errors.ts'
import { TOWN_FILE } from './file.ts'
import { isFile, isFolder, isTaken, upwards } from './folders.ts'
import { gitNames, gitRoot } from './git.ts'
import { expected, shown } from './problem.ts'
import type { Given, Resolved, Source } from './resolve.ts'
import { brokenTownNameRule, derivedTownName } from './town-name.ts'

/** A town folder. */
export interface TownPlace {
  /** Absolute, without symbolic links. */
  readonly root: string
  /** The path of its tinytown.toml, or null. */
  readonly file: string | null
  /** The name that the folder's town was given when it was made; null when none was derived yet. */
  readonly rememberedName: string | null
  /** `<repository>-<branch>`, usable as a town name; null outside of git. */
  readonly nameFromGit: string | null
}

/**
 * Finds the town folder: `explicit`, relative to `cwd`; else the nearest folder upwards with a tinytown.toml; else the root of
 * the git work tree; else `cwd`. Throws `usage` (a flag) or `config` when the explicit folder does not exist, `config` when the
 * tinytown.toml there is no file.
 */
export function locateTown({ cwd, explicit }: { cwd: string; explicit: Given | null }): TownPlace {
  const root = explicit === null ? searchTown(realpathSync(cwd)) : existingFolder('town', cwd, explicit)
  const names = gitNames(root)
  return {
    root,
    file: townFileIn(root),
    rememberedName: readName(root),
    nameFromGit: names === null ? null : derivedTownName(names),
  }
}

/** The tinytown.toml of a folder; null without one. Throws `config` where something else has its name. */
function townFileIn(root: string): string | null {
  const path = join(root, TOWN_FILE)
  if (isFile(path)) return path
  if (!isTaken(path)) return null
  const found = isFolder(path) ? 'a folder' : 'something else, or a link to nothing'
  throw new WorkerError('config', expected(path, 'a file', found), {
    remedy: 'Remove it or give it another name; tinytown-worker init writes a new one',
  })
}

function searchTown(cwd: string): string {
  return upwards(cwd).find((folder) => isFile(join(folder, TOWN_FILE))) ?? gitRoot(cwd) ?? cwd
}

/** The file of a town without tinytown.toml that keeps its name: another branch is no other town. */
const NAME_FILE = join('.tt', 'town')

function readName(root: string): string | null {
  try {
    const name = readFileSync(join(root, NAME_FILE), 'utf8').trim()
    return brokenTownNameRule(name) === null ? name : null
  } catch {
    return null
  }
}

/** Keeps the derived name of a town, once. Where it cannot be kept, it is derived again. */
export function rememberName(root: string, name: string): void {
  try {
    writeFileSync(join(root, NAME_FILE), `${name}\n`, { flag: 'wx' })
  } catch {
    // It is there already, there is no `.tt`, or it cannot be written.
  }
}

/**
 * The name of the town: the one that was set, else the one it had before, else that of repository and branch, else that of the
 * folder.
 */
export function townName(explicit: string | undefined, place: TownPlace): string {
  return explicit ?? place.rememberedName ?? place.nameFromGit ?? derivedTownName([basename(place.root)])
}

/**
 * The folder in which the CLI works: the setting, relative to the town folder when the file says it and to `cwd` otherwise;
 * without one the town folder. Throws `usage` (a flag) or `config` when it does not exist.
 */
export function locateWorkdir(
  { settings, sources }: Pick<Resolved, 'settings' | 'sources'>,
  { cwd, root }: { cwd: string; root: string },
): string {
  if (settings.workdir === undefined) return root
  const source = sources.workdir
  return existingFolder('workdir', source.layer === 'file' ? root : cwd, { value: settings.workdir, source })
}

function existingFolder(
  key: string,
  base: string,
  { value, source }: { value: unknown; source: Source },
): string {
  const folder = resolve(base, String(value))
  if (isFolder(folder)) return realpathSync(folder)
  const message = expected(source.written ?? key, 'a folder that exists', shown(folder), source.name)
  throw new WorkerError(source.layer === 'flag' ? 'usage' : 'config', message, {
    remedy: `Make it first: mkdir -p ${folder}`,
  })
}
