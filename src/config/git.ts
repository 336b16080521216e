import { readFileSync } from 'node:fs'
import { basename, join, relative, resolve, sep } from 'node:path'
import { isFile, upwards } from './folders.ts'

/** The root of the git work tree that holds `folder`, or null. */
export function gitRoot(folder: string): string | null {
  return upwards(folder).find((candidate) => gitFolder(candidate) !== null) ?? null
}

/** The names of the repository's folder and of its branch (of a detached HEAD the short hash); null outside of git. */
export function gitNames(folder: string): readonly string[] | null {
  const root = gitRoot(folder)
  if (root === null) return null
  const branch = branchOf(root)
  return branch === null ? [basename(root)] : [basename(root), branch]
}

/**
 * The repository's own file of ignored paths, which is shared with nobody, and the beginning of `folder`'s paths in it, with a slash
 * at either end; null outside of git.
 */
export function gitExclude(folder: string): { file: string; prefix: string } | null {
  const root = gitRoot(folder)
  if (root === null) return null
  const own = gitFolder(root) ?? ''
  // A worktree shares it with its repository.
  const common = resolve(own, readText(join(own, 'commondir')))
  const parts = relative(root, folder).split(sep).filter(Boolean)
  const prefix = ['', ...parts.map((part) => part.replace(/[\\*?[\]]/g, '\\$&')), ''].join('/')
  return { file: join(common, 'info', 'exclude'), prefix }
}

function branchOf(root: string): string | null {
  const head = readText(join(gitFolder(root) ?? '', 'HEAD'))
  const branch = /^ref: refs\/(?:heads\/)?(.+)$/.exec(head)?.[1]
  // With the reftable format HEAD is only a placeholder of this name; the branch stands in a binary table.
  if (branch !== undefined) return branch === '.invalid' ? null : branch
  return /^[0-9a-f]{40,}$/.test(head) ? head.slice(0, 7) : null
}

/** The folder with HEAD: `.git` itself, or where the file `.git` of a worktree or submodule points. */
function gitFolder(root: string): string | null {
  const dot = join(root, '.git')
  const pointer = /^gitdir: (.+)$/.exec(readText(dot))?.[1]
  const folder = pointer === undefined ? dot : resolve(root, pointer)
  return isFile(join(folder, 'HEAD')) ? folder : null
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
