import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gitExclude } from '../config/git.ts'
import { DATA_LINES } from '../server/data-files.ts'

/** What is in `.tt` belongs to this machine. A folder that cannot be written has other troubles, which others tell. */
export function keepStateOutOfGit(root: string): void {
  const folder = join(root, '.tt')
  if (!existsSync(folder) || existsSync(join(folder, '.gitignore'))) return
  try {
    writeFileSync(join(folder, '.gitignore'), '*\n', { flag: 'wx' })
  } catch {
    // Another process wrote it, or nobody may.
  }
}

/** Keeps the data of the town's redis-server out of git, in the file that the repository shares with nobody. */
export function keepDataOutOfGit(root: string): void {
  const exclude = gitExclude(root)
  if (exclude === null || exclude.prefix.includes('\n')) return
  const wanted = notIgnored(textOf(join(root, '.gitignore')), DATA_LINES)
  const text = textOf(exclude.file)
  const missing = notIgnored(
    text,
    wanted.map((line) => exclude.prefix + line.slice(1)),
  )
  if (missing.length === 0) return
  const gap = text === '' || text.endsWith('\n') ? '' : '\n'
  try {
    mkdirSync(dirname(exclude.file), { recursive: true })
    appendFileSync(exclude.file, `${gap}${missing.join('\n')}\n`)
  } catch {
    // A repository that this user may only read.
  }
}

/** Those of the lines that the text of a .gitignore does not have, with or without their slashes at either end. */
export function notIgnored(text: string, lines: readonly string[]): string[] {
  const bare = (line: string) => line.trim().replace(/^\/|\/$/g, '')
  const known = text.split(/\r?\n/).map(bare)
  return lines.filter((line) => !known.includes(bare(line)))
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
