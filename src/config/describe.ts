import { SETTING_KEYS, type SettingGroup, type SettingKey, settingOf } from './settings.ts'

/** The headings of the groups in `--help` and README. */
export const GROUP_TITLES: Readonly<Record<SettingGroup, string>> = {
  worker: 'Worker:',
  town: 'Town:',
  redis: 'Redis:',
  output: 'Output:',
  results: 'Output:',
}

/** One flag, in the words of yargs; without a default, so that a flag that is not given stays undefined. A repeated one is a list. */
export interface FlagOption {
  readonly type: 'string' | 'boolean'
  readonly requiresArg: boolean
  readonly describe: string
  readonly group: string
  readonly hidden: boolean
}

/** The flags of some groups, by their names. yargs turns a name into the key of its setting: `lease-ms` into `leaseMs`. */
export function flagOptions(groups: readonly SettingGroup[]): Record<string, FlagOption> {
  const settings = SETTING_KEYS.map(settingOf).filter(({ group }) => groups.includes(group))
  const entries = settings.flatMap((setting) => {
    if (setting.flag === null) return []
    const isSwitch = setting.placeholder === null
    const fallback = setting.otherwise ?? defaultText(setting.default)
    const option: FlagOption = {
      type: isSwitch ? 'boolean' : 'string',
      requiresArg: !isSwitch,
      describe: isSwitch || fallback === '' ? setting.doc : `${setting.doc} [default: ${fallback}]`,
      group: GROUP_TITLES[setting.group],
      hidden: setting.hidden === true,
    }
    return [[setting.flag, option] as const]
  })
  return Object.fromEntries(entries)
}

/** One row of the README table. Texts are ready to print; what does not exist is an empty text. */
export interface SettingRow {
  readonly key: SettingKey
  readonly group: SettingGroup
  /** With its placeholder: `--lease-ms MS`. */
  readonly flag: string
  readonly env: string
  readonly toml: string
  readonly default: string
  readonly doc: string
}

/** All settings that are not hidden, as rows of a table. */
export function describeSettings(): SettingRow[] {
  return SETTING_KEYS.filter((key) => settingOf(key).hidden !== true).map((key) => {
    const setting = settingOf(key)
    return {
      key,
      group: setting.group,
      flag: setting.flag === null ? '' : `--${setting.flag} ${setting.placeholder ?? ''}`.trim(),
      env: setting.env ?? '',
      toml: setting.toml.join(', '),
      default: setting.otherwise ?? defaultText(setting.default),
      doc: setting.doc,
    }
  })
}

function defaultText(value: unknown): string {
  return value === undefined ? '' : String(value)
}
