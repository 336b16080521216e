import { appendFileSync, existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { profiles } from '../../../workers/index.ts'
import { nearest } from '../../base/text.ts'
import { readTownFile, TOWN_FILE } from '../../config/file.ts'
import { gitRoot } from '../../config/git.ts'
import * as schema from '../../config/schemas.ts'
import { settingOf } from '../../config/settings.ts'
import { locateTown, townName } from '../../config/town.ts'
import { townFileText } from '../../config/town-file-text.ts'
import { messageOf, WorkerError } from '../../domain/errors.ts'
import { DATA_LINES, refuseForeignData } from '../../server/data-files.ts'
import { makeFolder } from '../../server/folder.ts'
import { defaultSocketPath } from '../../server/socket-path.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag } from '../flags.ts'
import { notIgnored } from '../keep-out-of-git.ts'

/** Makes a town folder. */
export const init: Command = {
  name: 'init [dir]',
  describe: 'Make a town: tinytown.toml and the folder .tt; what is there already stays as it is',
  settings: [],
  flags: {
    name: {
      type: 'string',
      requiresArg: true,
      describe: 'The name of the town [default: git repository and branch, else the name of the folder]',
    },
    cli: { type: 'string', requiresArg: true, describe: 'The CLI of workers that are told no other' },
    ...jsonFlag,
  },
  build: (yargs) => yargs.positional('dir', { type: 'string', describe: 'The folder [default: this one]' }),
  examples: [['init --name shop --cli codex', 'a town in this folder']],
  run: runInit,
}

async function runInit({ flags, terminal }: Invocation): Promise<number> {
  const name = flagValue(flags, 'name', schema.townName)
  const cli = flagValue(flags, 'cli', schema.text)
  if (cli !== undefined) checkCli(cli)
  const folder = resolve(flags.dir === undefined ? '.' : String(flags.dir))
  const made = await writing(folder, () => makeTown(folder, { name, cli }))
  if (flags.json === true) terminal.json(made)
  else {
    terminal.line(`Town ${made.name} in ${made.folder}`)
    for (const path of made.created) terminal.line(`  made      ${path}`)
    for (const [path, lines] of Object.entries(made.added))
      terminal.line(`  added to  ${path}: ${lines.join(' ')}`)
    for (const path of made.kept) terminal.line(`  kept      ${path}`)
    if (made.ignored.length > 0)
      terminal.note(`${made.ignored.join(' and ')} not written: ${TOWN_FILE} was there already`)
    terminal.progress(`Next: tinytown-worker${cli ? '' : ' --cli codex'}`)
  }
  return EXIT.done
}

function checkCli(cli: string): void {
  const known = profiles.map(({ id }) => id)
  if (known.includes(cli)) return
  const meant = nearest(cli, known)
  throw new WorkerError(
    'usage',
    `Expected cli to be one of ${known.join(', ')}, got ${JSON.stringify(cli)} (--cli)${meant ? `. Did you mean ${meant}?` : ''}`,
    { remedy: `Another CLI gets a table [agent_clis.${cli}] in ${TOWN_FILE}: run init without --cli first` },
  )
}

/** What was done, paths relative to the town folder. */
interface Made {
  readonly name: string
  readonly folder: string
  readonly created: string[]
  readonly kept: string[]
  /** Lines that were added to files. */
  readonly added: Record<string, string[]>
  /** Flags that came to nothing. */
  readonly ignored: string[]
}

async function makeTown(
  folder: string,
  wanted: { name: string | undefined; cli: string | undefined },
): Promise<Made> {
  await makeFolder(folder)
  const root = realpathSync(folder)
  const place = locateTown({
    cwd: root,
    explicit: { value: root, source: { layer: 'flag', name: 'dir' } },
  })
  const file =
    place.file === null
      ? null
      : readTownFile(
          place.file,
          profiles.map(({ id }) => id),
        )
  if (loadContext({ town: root }, {}).target.kind === 'local') await refuseForeignData({ root }, MOVE_DATA)
  const nameThere = schema.townName.safeParse(file?.values.name)
  const name = townName(nameThere.success ? nameThere.data : file ? undefined : wanted.name, place)
  const made: Made = { name, folder: root, created: [], kept: [], added: {}, ignored: [] }
  const text = townFileText({ name, cli: wanted.cli, socketPath: socketIn(root) })
  writeNew(made, TOWN_FILE, text)
  if (file) {
    if (wanted.name !== undefined && wanted.name !== name) made.ignored.push('--name')
    if (wanted.cli !== undefined && wanted.cli !== file.values.default_cli) made.ignored.push('--cli')
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
