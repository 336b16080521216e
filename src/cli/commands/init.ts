import { resolve } from 'node:path'
import { profiles } from '../../../workers/index.ts'
import { nearest } from '../../base/text.ts'
import { makeTown } from '../../client/make-town.ts'
import { TOWN_FILE } from '../../config/file.ts'
import * as schema from '../../config/schemas.ts'
import { WorkerError } from '../../domain/errors.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag } from '../flags.ts'

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
    central: {
      type: 'boolean',
      describe: 'Use the redis-server in ~/.tt that all towns of this user share, instead of one of its own',
    },
    ...jsonFlag,
  },
  build: (yargs) => yargs.positional('dir', { type: 'string', describe: 'The folder [default: this one]' }),
  examples: [['init --name shop --cli codex', 'a town in this folder']],
  run: runInit,
}

const TT_PASSWORD =
  'For tt set TINYTOWN_REDIS_PASSWORD: it does not take the password of the central server from ~/.tt/config.toml'

const KNOWN_CLIS = profiles.map(({ id }) => id)

async function runInit({ flags, terminal }: Invocation): Promise<number> {
  const name = flagValue(flags, 'name', schema.townName)
  const cli = flagValue(flags, 'cli', schema.text)
  if (cli !== undefined) checkCli(cli)
  const folder = resolve(flags.dir === undefined ? '.' : String(flags.dir))
  const central = flags.central === true ? true : undefined
  const made = await makeTown(folder, { name, cli, central }, KNOWN_CLIS)
  if (flags.json === true) terminal.json(made)
  else {
    terminal.line(`Town ${made.name} in ${made.folder}`)
    for (const path of made.created) terminal.line(`  made      ${path}`)
    for (const [path, lines] of Object.entries(made.added))
      terminal.line(`  added to  ${path}: ${lines.join(' ')}`)
    for (const path of made.kept) terminal.line(`  kept      ${path}`)
    if (made.ignored.length > 0)
      terminal.note(`${made.ignored.join(' and ')} not written: ${TOWN_FILE} was there already`)
    if (central) terminal.note(TT_PASSWORD)
    terminal.progress(`Next: tinytown-worker${cli ? '' : ' --cli codex'}`)
  }
  return EXIT.done
}

function checkCli(cli: string): void {
  if (KNOWN_CLIS.includes(cli)) return
  const meant = nearest(cli, KNOWN_CLIS)
  throw new WorkerError(
    'usage',
    `Expected cli to be one of ${KNOWN_CLIS.join(', ')}, got ${JSON.stringify(cli)} (--cli)${meant ? `. Did you mean ${meant}?` : ''}`,
    { remedy: `Another CLI gets a table [agent_clis.${cli}] in ${TOWN_FILE}: run init without --cli first` },
  )
}
