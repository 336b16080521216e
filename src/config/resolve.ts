import { nearest } from '../base/text.ts'
import type { TownFile } from './file.ts'
import { expected, type Problem, placeIn, shown, throwProblems } from './problem.ts'
import { hasPassword, redactUrl } from './redis-url.ts'
import { SETTING_KEYS, type Setting, type SettingKey, type Settings, settingOf } from './settings.ts'
import { townNameWarning } from './town-name.ts'
import { NO_TOWN_SECRET, OTHER_NAME_REMEDY } from './town-secrets.ts'

/** Where a value came from. `name` is how messages name it: `--lease-ms`, `TINYTOWN_LEASE_MS`, `/town/tinytown.toml:4`. */
export interface Source {
  readonly layer: 'default' | 'file' | 'environment' | 'flag'
  readonly name: string
  /** How the file writes the key, as `worker.lease_ms`. */
  readonly written?: string
}

/** A value as it was given, before its schema. */
export interface Given {
  readonly value: unknown
  readonly source: Source
}

export interface Inputs {
  /** By the key of the setting; undefined = not given. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly file: TownFile | null
}

type Sources = Readonly<Record<SettingKey, Source>>

export interface Resolved {
  readonly settings: Settings
  readonly sources: Sources
  readonly warnings: readonly string[]
}

/**
 * Puts the settings together: defaults, overridden by tinytown.toml, by the environment, by flags. Throws one error that
 * tells everything that is wrong: `usage` when only flags are wrong, else `config`. A value that is overridden is not looked at.
 */
export function resolveSettings(inputs: Inputs): Resolved {
  const settings: Record<string, unknown> = {}
  const sources: Record<string, Source> = {}
  const problems: (Problem & { readonly source: Source })[] = []
  for (const key of SETTING_KEYS) {
    const given = givenValue(key, inputs) ?? { value: settingOf(key).default, source: DEFAULT_SOURCE }
    const result = readValue(key, given)
    if (result.ok) settings[key] = result.value
    else problems.push({ ...result.problem, source: given.source })
    sources[key] = given.source
  }
  throwProblems(problems.every(({ source }) => source.layer === 'flag') ? 'usage' : 'config', problems)
  const resolved = { settings: settings as Settings, sources: sources as Sources }
  return { ...resolved, warnings: warningsOf(resolved, inputs) }
}

const DEFAULT_SOURCE: Source = { layer: 'default', name: 'default' }

/** The value that counts for a setting, as it was given; null when nobody gave one. */
export function givenValue(key: SettingKey, { flags, env, file }: Inputs): Given | null {
  const setting = settingOf(key)
  const layers: Given[] = [
    {
      value: setting.flag === null ? undefined : flags[key],
      source: { layer: 'flag', name: `--${setting.flag}` },
    },
    { value: environmentValue(setting, env), source: { layer: 'environment', name: setting.env ?? '' } },
    ...setting.toml.map((path): Given => {
      const name = placeIn(file?.path ?? '', file?.lines[path])
      return { value: file?.values[path], source: { layer: 'file', name, written: path } }
    }),
  ]
  return layers.find(({ value }) => value !== undefined && !isBlankSecret(setting, value)) ?? null
}

function environmentValue(setting: Setting, env: Inputs['env']): string | undefined {
  const value = setting.env === null ? undefined : env[setting.env]
  return value === undefined || value.trim() === '' ? undefined : value
}

// `url = ""` in the file says "none" to upstream (Tinytown, config.rs).
function isBlankSecret(setting: Setting, value: unknown): boolean {
  return setting.secret === true && typeof value === 'string' && value.trim() === ''
}

type Read = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: Problem }

function readValue(key: SettingKey, { value, source }: Given): Read {
  const setting = settingOf(key)
  if (value === undefined) return { ok: true, value }
  const got = setting.secret ? shownSecret(value) : shown(value)
  if (setting.secret && source.layer === 'flag' && hasPassword(String(value))) {
    const message = expected(key, 'without a password', got, source.name)
    return {
      ok: false,
      problem: { message, remedy: `Set it as ${setting.env}: a process list shows flags.` },
    }
  }
  const parsed = setting.schema.safeParse(value)
  if (parsed.success) return { ok: true, value: parsed.data }
  const rule = parsed.error.issues[0]?.message ?? 'valid'
  const message = expected(source.written ?? key, rule, got, source.name)
  return {
    ok: false,
    problem: { message, ...(rule === NO_TOWN_SECRET ? { remedy: OTHER_NAME_REMEDY } : {}) },
  }
}

function shownSecret(value: unknown): string {
  const text = typeof value === 'string' ? value.trim() : ''
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? shown(redactUrl(text)) : '****'
}

function warningsOf({ settings, sources }: Omit<Resolved, 'warnings'>, { env, file }: Inputs): string[] {
  const warnings = [...(file?.warnings ?? []), ...unknownVariables(env)]
  const nameWarning = settings.townName === undefined ? null : townNameWarning(settings.townName)
  if (nameWarning !== null) warnings.push(`${nameWarning} (${sources.townName.name})`)
  if (settings.useCentralRedis && sources.redisUseSocket.layer === 'default') {
    warnings.push(
      `tt takes the socket of this town in spite of use_central_redis, unless redis.use_socket = false stands beside it (${sources.useCentralRedis.name})`,
    )
  }
  const elsewhere =
    settings.useCentralRedis || settings.redisSentinels.length + settings.redisCluster.length > 0
  const isSocket = settings.redisUrl === undefined && settings.redisUseSocket && !elsewhere
  if (isSocket && sources.redisHost.layer !== 'default') {
    const remedy = 'set redis.use_socket = false to use it'
    warnings.push(
      `redis.host is not used while redis.use_socket is true; ${remedy} (${sources.redisHost.name})`,
    )
  }
  return warnings
}

const PREFIX = 'TINYTOWN_'
// What this worker gives to the CLIs it runs, so that a CLI that starts a worker hands them on.
const GIVEN_TO_CHILDREN = ['AGENT_ID', 'AGENT_NAME', 'TASK_ID', 'TOWN'].map((word) => PREFIX + word)

function unknownVariables(env: Inputs['env']): string[] {
  const known = knownVariables()
  const names = new Set([...known.values(), ...GIVEN_TO_CHILDREN])
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith(PREFIX) || names.has(name)) return []
    const near = nearest(name.slice(PREFIX.length), [...known.keys()])
    return near === null ? [] : [`Unknown variable ${name}, did you mean ${known.get(near)}? (environment)`]
  })
}

/** The variables by the words that somebody may write after the prefix: their own, and the name of the flag. */
function knownVariables(): Map<string, string> {
  const known = new Map<string, string>()
  for (const { flag, env } of SETTING_KEYS.map(settingOf)) {
    if (env === null) continue
    if (flag !== null) known.set(flag.toUpperCase().replaceAll('-', '_'), env)
    known.set(env.replace(PREFIX, ''), env)
  }
  return known
}
