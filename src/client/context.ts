import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { readCentralFile } from '../config/central-file.ts'
import { readTownFile, type TownFile } from '../config/file.ts'
import { type RedisTarget, redisTarget } from '../config/redis-target.ts'
import { givenValue, type Inputs, type Resolved, resolveSettings } from '../config/resolve.ts'
import { locateTown, type TownPlace, townName } from '../config/town.ts'
import { WorkerError } from '../domain/errors.ts'
import { defaultSocketPath } from '../server/socket-path.ts'

/** Everything that is known before Redis is asked. */
export interface Context extends Resolved {
  readonly place: TownPlace
  readonly file: TownFile | null
  readonly townName: string
  readonly target: RedisTarget
}

/** Where the settings come from: flags by the key of their setting, the environment, and who reads the [agent_clis] tables. */
export interface ContextInputs extends Omit<Inputs, 'file'> {
  /** The CLIs whose [agent_clis] table needs no command; null for somebody who runs none and takes the tables as they are. */
  readonly builtInClis: readonly string[] | null
}

/** Finds the town folder, reads its file and puts the settings together. Throws `usage` or `config`. */
export function contextOf({ flags, env, builtInClis }: ContextInputs): Context {
  const explicit = givenValue('town', { flags, env, file: null })
  const place = locateTown({ cwd: process.cwd(), explicit })
  const file = place.file ? readTownFile(place.file, builtInClis) : null
  const resolved = resolveSettings({ flags, env, file })
  return {
    ...resolved,
    place,
    file,
    townName: townName(resolved.settings.townName, place),
    target: redisTarget(resolved, {
      root: place.root,
      defaultSocket: defaultSocketPath(place.root),
      central: () => readCentralFile(homedir()),
    }),
  }
}

/** Throws `not-found` with `remedy` where there is no town: asking for one does not make it. */
export function requireTown({ target, place }: Context, remedy: string): void {
  if (target.server === null || place.file !== null || existsSync(join(place.root, '.tt'))) return
  throw new WorkerError('not-found', `There is no town in ${place.root}: neither tinytown.toml nor .tt`, {
    remedy,
  })
}
