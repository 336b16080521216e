import { delimiter, dirname, resolve } from 'node:path'
import type { Context } from '../client/context.ts'
import { givenValue } from '../config/resolve.ts'
import { SETTING_KEYS, type SettingKey, settingOf } from '../config/settings.ts'
import type { Variables } from '../service/environment-file.ts'
import type { Flags } from './context.ts'

/** What the unit says itself, and what is no setting of a worker. */
const LEFT_OUT: readonly SettingKey[] = ['name', 'town', 'json']
const PATHS: readonly SettingKey[] = ['workdir', 'logFile', 'redisTlsCaCert', 'redisTlsCert', 'redisTlsKey']

/**
 * The variables that make a worker elsewhere what it would be here: PATH, so that it finds the same programs, the town folder,
 * and every setting that stands in a flag or in the environment. What tinytown.toml says is read there.
 */
export function serviceVariables(
  { place }: Pick<Context, 'place'>,
  { flags, env }: { flags: Flags; env: NodeJS.ProcessEnv },
): Variables {
  const given = SETTING_KEYS.flatMap((key) => {
    const { env: variable } = settingOf(key)
    const value = LEFT_OUT.includes(key) ? undefined : givenValue(key, { flags, env, file: null })?.value
    return variable === null || value === undefined ? [] : [[variable, textOf(key, value)] as const]
  })
  return {
    PATH: pathWithNode(env.PATH ?? ''),
    TINYTOWN_TOWN_DIR: place.root,
    ...Object.fromEntries(given),
  }
}

function textOf(key: SettingKey, value: unknown): string {
  const text = Array.isArray(value) ? value.join(',') : String(value)
  return PATHS.includes(key) ? resolve(text) : text
}

/** CLIs that npm installed are found beside Node.js, and run by the one that is found first. */
function pathWithNode(path: string): string {
  const folders = path.split(delimiter).filter((folder) => folder.startsWith('/'))
  return [...new Set([...folders, dirname(process.execPath)])].join(delimiter)
}
