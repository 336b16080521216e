import { basename } from 'node:path'
import { profiles } from '../../workers/index.ts'
import { type Context, contextOf } from '../client/context.ts'
import { TOWN_FILE } from '../config/file.ts'

/** The flags of a command as they were given, by the key of their setting. */
export type Flags = Readonly<Record<string, unknown>>

/** Finds the town folder, reads its file and puts the settings together. Throws `usage` or `config`. */
export function loadContext(flags: Flags, env: NodeJS.ProcessEnv = process.env): Context {
  return contextOf({ flags, env, builtInClis: profiles.map(({ id }) => id) })
}

/** How messages name the town: `shop-main (/srv/shop/tinytown.toml)`. */
export function describeTown({ townName: name, place }: Context): string {
  return `${name} (${place.file ?? `${place.root}, no ${basename(TOWN_FILE)}`})`
}
