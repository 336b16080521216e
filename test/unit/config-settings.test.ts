import { describe, expect, expectTypeOf, it } from 'vitest'
import { describeSettings, flagOptions, GROUP_TITLES } from '../../src/config/describe.ts'
import * as schemas from '../../src/config/schemas.ts'
import { SETTING_KEYS, type SettingGroup, type Settings, settingOf } from '../../src/config/settings.ts'

const rows = SETTING_KEYS.map((key) => ({ key, ...settingOf(key) }))
const groups = Object.keys(GROUP_TITLES) as SettingGroup[]

function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

describe('the table of settings', () => {
  it.each(rows.filter((row) => row.default !== undefined))(
    'takes the default of $key by its own schema',
    (row) => {
      expect(row.schema.safeParse(row.default).success).toBe(true)
    },
  )

  it.each(rows.filter((row) => row.flag !== null))(
    'names the flag of $key after the key',
    ({ key, flag }) => {
      expect(camelCase(flag ?? '')).toBe(key)
    },
  )

  it.each(rows)('gives every flag a variable, and $key a sentence', ({ flag, env, doc }) => {
    if (flag !== null) expect(env).not.toBeNull()
    expect(doc).toMatch(/^[A-Z].*\.$/)
  })

  it('gives every flag a key of the file, except for the folder in which the file is', () => {
    const without = rows.filter(({ flag, toml }) => flag !== null && toml.length === 0)
    expect(without.map(({ key }) => key)).toEqual(['town'])
  })

  it.each([
    ['flags', rows.map(({ flag }) => flag)],
    ['variables', rows.map(({ env }) => env)],
    ['keys of the file', rows.flatMap(({ toml }) => toml)],
  ])('has no two settings with the same %s', (_, names) => {
    const given = names.filter((name) => name !== null)
    expect(new Set(given).size).toBe(given.length)
  })

  it('has the variables of upstream', () => {
    expect(rows.map(({ env }) => env)).toEqual(
      expect.arrayContaining([
        'REDIS_URL',
        'TINYTOWN_TOWN_DIR',
        'TINYTOWN_TOWN_NAME',
        'TINYTOWN_AGENT_CLI',
        'TINYTOWN_AGENT_NAME',
        'TINYTOWN_AGENT_ROLE',
        'TINYTOWN_AGENT_MAX_ROUNDS',
        'TINYTOWN_REDIS_PASSWORD',
      ]),
    )
  })

  it('derives the types of the settings', () => {
    expectTypeOf<Settings['cli']>().toEqualTypeOf<string | undefined>()
    expectTypeOf<Settings['leaseMs']>().toEqualTypeOf<number>()
    expectTypeOf<Settings['once']>().toEqualTypeOf<boolean>()
    expectTypeOf<Settings['passEnv']>().toEqualTypeOf<readonly string[]>()
    expectTypeOf<Settings['logFormat']>().toEqualTypeOf<'auto' | 'pretty' | 'json'>()
  })
})

describe('schemas', () => {
  it.each([
    [schemas.duration, '30s', 30_000],
    [schemas.duration, '10m', 600_000],
    [schemas.duration, '90', 90_000],
    [schemas.duration, 90, 90_000],
    [schemas.duration, '0', 0],
    [schemas.duration, 1.5, 1500],
    [schemas.milliseconds(1000), '30000', 30_000],
    [schemas.milliseconds(1000), 30_000, 30_000],
    [schemas.boolean, 'Yes', true],
    [schemas.boolean, '0', false],
    [schemas.boolean, true, true],
    [schemas.variableNames, 'A_KEY, B_KEY,', ['A_KEY', 'B_KEY']],
    [schemas.variableNames, ['A_KEY', 'B_KEY,A_KEY'], ['A_KEY', 'B_KEY']],
    [schemas.agentName, 'a.b_c-1', 'a.b_c-1'],
    [schemas.label, 'team lead', 'team lead'],
    [schemas.townName, '{town}', '{town}'],
    [schemas.redisUrl, ' redis://:p%40ss@host:6379/2 ', 'redis://:p%40ss@host:6379/2'],
    [schemas.redisUrl, 'unix:///run/redis.sock', 'unix:///run/redis.sock'],
  ])('reads %#: %j', (schema, value, read) => {
    expect(schema.parse(value)).toEqual(read)
  })

  it.each([
    [schemas.duration, 'soon', 'a duration like 30s, 10m or 1h'],
    [schemas.duration, -5, 'a duration like 30s, 10m or 1h'],
    [schemas.duration, '30d', 'at most 24d'],
    [schemas.positiveDuration, '0', 'longer than 0s'],
    [schemas.milliseconds(1000), '5', 'at least 1000'],
    [schemas.milliseconds(1000), '1e4', 'a whole number'],
    [schemas.milliseconds(1000), 1500.5, 'a whole number'],
    [schemas.wholeNumber(0), ['1', '2'], 'a whole number'],
    [schemas.boolean, 'maybe', 'true or false'],
    [schemas.text, '  ', 'a text, not empty'],
    [schemas.text, 5, 'a text, not empty'],
    [schemas.agentName, 'a b', '1 to 64 letters, digits, ".", "_" or "-"'],
    [schemas.agentName, 'x'.repeat(65), '1 to 64 letters, digits, ".", "_" or "-"'],
    [schemas.agentName, 'Supervisor', "none of supervisor, conductor, whose mailbox is another's"],
    [schemas.label, 'two\nlines', 'one line of 1 to 64 characters'],
    [schemas.variableNames, 'A-B', 'names of environment variables like A_KEY,B_KEY'],
    [schemas.variableNames, [1], 'names of environment variables like A_KEY,B_KEY'],
    [schemas.host, 'a b', 'a host name or address'],
  ])('refuses %#: %j', (schema, value, rule) => {
    expect(schema.safeParse(value).error?.issues[0]?.message).toBe(rule)
  })

  it.each([
    'http://host',
    'host:6379',
    'redis://',
    'redis://:p',
    'redis://:%zz@host',
    'unix://',
    'redis://:a#b@host',
  ])('refuses the Redis URL %s', (url) => {
    expect(schemas.redisUrl.safeParse(url).success).toBe(false)
  })
})

describe('the descriptions', () => {
  it('has every flag once, in its group', () => {
    const flags = groups.flatMap((group) => Object.keys(flagOptions([group])))
    expect(flags.toSorted()).toEqual(rows.flatMap(({ flag }) => flag ?? []).toSorted())
  })

  it('describes a flag with a value, in the words of yargs and without a default', () => {
    expect(flagOptions(['worker'])['lease-ms']).toEqual({
      type: 'string',
      requiresArg: true,
      describe: 'How long, in milliseconds, a silent worker keeps its name and its tasks. [default: 30000]',
      group: 'Worker:',
      hidden: false,
    })
  })

  it('describes a switch', () => {
    expect(flagOptions(['results']).json).toEqual({
      type: 'boolean',
      requiresArg: false,
      describe: 'Print results as JSON.',
      group: 'Output:',
      hidden: false,
    })
  })

  it('describes a setting as a row', () => {
    expect(describeSettings().find(({ key }) => key === 'taskTimeout')).toEqual({
      key: 'taskTimeout',
      group: 'worker',
      flag: '--task-timeout DURATION',
      env: 'TINYTOWN_TASK_TIMEOUT',
      toml: 'worker.task_timeout',
      default: '1h',
      doc: 'End a run that takes longer than this.',
    })
  })
})
