import { appendFileSync, existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { readCentralFile } from '../config/central-file.ts'
import { TOWN_FILE } from '../config/file.ts'
import { gitRoot } from '../config/git.ts'
import { CENTRAL_PORT } from '../config/redis-target.ts'
import * as schema from '../config/schemas.ts'
import { settingOf } from '../config/settings.ts'
import { townName } from '../config/town.ts'
import { type NewTownFile, townFileText } from '../config/town-file-text.ts'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { DATA_LINES, refuseForeignData } from '../server/data-files.ts'
import { makeFolder } from '../server/folder.ts'
import { defaultSocketPath } from '../server/socket-path.ts'
import { contextOf } from './context.ts'
import { notIgnored } from './keep-out-of-git.ts'

/** What was done, paths relative to the town folder. */
export interface Made {
  readonly name: string
  readonly folder: string
  readonly created: string[]
  readonly kept: string[]
  /** Lines that were added to files. */
  readonly added: Record<string, string[]>
  /** Flags that came to nothing, because tinytown.toml was there already. */
  readonly ignored: string[]
}

/** What a new town should be; what its tinytown.toml says already stays. */
export interface WantedTown extends Omit<NewTownFile, 'name' | 'socketPath' | 'centralPort'> {
  readonly name: string | undefined
  /** Use the redis-server in `~/.tt` that all towns of this user share. */
  readonly central?: boolean | undefined
}

/**
 * Makes the folder of a town: tinytown.toml, `.tt` with its folders, and the lines that keep both out of git. What is there
 * already stays as it is. Throws `config` when it cannot be written or holds the data of another Redis.
 */
export async function makeTown(
  folder: string,
  wanted: WantedTown,
  builtInClis: readonly string[] | null,
): Promise<Made> {
  return await writing(folder, () => make(folder, wanted, builtInClis))
}

async function make(
  folder: string,
  wanted: WantedTown,
  builtInClis: readonly string[] | null,
): Promise<Made> {
  await makeFolder(folder)
  const root = realpathSync(folder)
  const { place, file, target } = contextOf({ flags: { town: root }, env: {}, builtInClis })
  const isElsewhere = wanted.redisUrl !== undefined || wanted.central === true
  const hasServer = target.server?.kind === 'town' && (file !== null || !isElsewhere)
  if (hasServer) await refuseForeignData({ root }, MOVE_DATA)
  const nameThere = schema.townName.safeParse(file?.values.name)
  const name = townName(nameThere.success ? nameThere.data : file ? undefined : wanted.name, place)
  const made: Made = { name, folder: root, created: [], kept: [], added: {}, ignored: [] }
  const centralPort = wanted.central ? (readCentralFile(homedir()).port ?? CENTRAL_PORT) : undefined
  const text = townFileText({ ...wanted, name, socketPath: socketIn(root), centralPort })
  writeNew(made, TOWN_FILE, text)
  if (file) {
    if (wanted.name !== undefined && wanted.name !== name) made.ignored.push('--name')
    if (wanted.cli !== undefined && wanted.cli !== file.values.default_cli) made.ignored.push('--cli')
    if (wanted.central && file.values.use_central_redis !== true) made.ignored.push('--central')
  }
  for (const part of ['agents', 'logs', 'tasks']) await makePart(made, join('.tt', part))
  writeNew(made, join('.tt', '.gitignore'), '*\n')
  ignoreData(made, gitRoot(root) !== null)
  return made
}

const MOVE_DATA =
  'Move it away, or make the town in another folder; one that uses another Redis says so in its tinytown.toml first'

/** Where the socket lies, as the file says it; null when the folder is too deep for it. */
function socketIn(root: string): string | null {
  const path = String(settingOf('redisSocket').default)
  return defaultSocketPath(root) === resolve(root, path) ? path : null
}

function writeNew({ folder, created, kept }: Made, path: string, text: string): void {
  const isNew = !existsSync(join(folder, path))
  if (isNew) writeFileSync(join(folder, path), text, { flag: 'wx' })
  ;(isNew ? created : kept).push(path)
}

async function makePart({ folder, created, kept }: Made, path: string): Promise<void> {
  const isNew = !existsSync(join(folder, path))
  await makeFolder(join(folder, path))
  ;(isNew ? created : kept).push(`${path}/`)
}

/** Keeps the data of Redis, which lies beside tinytown.toml as with tt, out of git, where there is git or a .gitignore. */
function ignoreData(made: Made, inGit: boolean): void {
  const path = join(made.folder, '.gitignore')
  const there = existsSync(path)
  if (!there && !inGit) return
  const text = there ? readFileSync(path, 'utf8') : ''
  const missing = notIgnored(text, DATA_LINES)
  if (missing.length === 0) return
  const gap = text === '' || text.endsWith('\n') ? '' : '\n'
  appendFileSync(path, `${gap}${missing.join('\n')}\n`)
  if (there) made.added['.gitignore'] = missing
  else made.created.push('.gitignore')
}

async function writing<T>(folder: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (error instanceof WorkerError) throw error
    const { path = folder } = error as NodeJS.ErrnoException
    throw new WorkerError('config', `Cannot make the town in ${folder}: ${messageOf(error)}`, {
      remedy: `Make ${relative(process.cwd(), path) || path} writable, or choose another folder`,
      cause: error,
    })
  }
}
