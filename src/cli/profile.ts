import { customProfile } from '../../workers/custom.ts'
import { profiles } from '../../workers/index.ts'
import { nearest } from '../base/text.ts'
import type { Context } from '../client/context.ts'
import { WorkerError } from '../domain/errors.ts'
import type { Profile } from '../process/profile.ts'

/** Every CLI that `--cli` may name here: the built-in ones, and those of [agent_clis] in tinytown.toml. */
export function availableProfiles({ file }: Pick<Context, 'file'>): Profile[] {
  const own = Object.values(file?.agentClis ?? {}).map((cli) => customProfile(cli, profiles))
  const names = new Set(own.map(({ id }) => id))
  return [...profiles.filter(({ id }) => !names.has(id)), ...own]
}

/** The profile of the CLI that the settings name. Throws `usage` or `config` when there is none of that name. */
export function chosenProfile(context: Context): Profile {
  const available = availableProfiles(context)
  const known = available.map(({ id }) => id)
  const { cli } = context.settings
  if (cli === undefined) {
    throw new WorkerError(
      'usage',
      `Expected a CLI, got none (--cli, TINYTOWN_AGENT_CLI or worker.cli in tinytown.toml)`,
      {
        remedy: `One of: ${known.join(', ')}`,
      },
    )
  }
  const profile = available.find(({ id }) => id === cli)
  if (profile) return profile
  const source = context.sources.cli
  const meant = nearest(cli, known)
  throw new WorkerError(
    source.layer === 'flag' ? 'usage' : 'config',
    `Expected ${source.written ?? 'cli'} to be one of ${known.join(', ')}, got ${JSON.stringify(cli)} (${source.name})`,
    {
      remedy: `${meant ? `Did you mean ${meant}? ` : ''}Another CLI gets a table [agent_clis.${cli}] in tinytown.toml`,
    },
  )
}
