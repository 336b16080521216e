import { describe, expect, it } from 'vitest'
import { resolveSettings } from '../../src/config/resolve.ts'
import { SETTING_KEYS, type SettingKey, settingOf } from '../../src/config/settings.ts'
import { TOWN_SECRETS } from '../../src/config/town-secrets.ts'
import { WorkerError } from '../../src/domain/errors.ts'

interface Case {
  flags?: Record<string, unknown>
  env?: Record<string, string>
  values?: Record<string, unknown>
  fileWarnings?: string[]
}

function resolve({ flags = {}, env = {}, values, fileWarnings = [] }: Case) {
  const file = {
    path: '/t/tinytown.toml',
    values: values ?? {},
    lines: { name: 3, 'worker.lease_ms': 7 },
    agentClis: {},
    warnings: fileWarnings,
  }
  return resolveSettings({ flags, env, file: values === undefined ? null : file })
}

function errorOf(inputs: Case): WorkerError {
  try {
    resolve(inputs)
  } catch (error) {
    if (error instanceof WorkerError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

// One value of the right kind for every layer, so that each setting can be seen to follow the precedence.
const SAMPLES: Record<string, readonly [file: unknown, environment: string, flag: unknown]> = {
  cli: ['file', 'env', 'flag'],
  name: ['file', 'env', 'flag'],
  role: ['file', 'env', 'flag'],
  maxRounds: [1, '2', '3'],
  maxAttempts: [1, '2', '4'],
  retryDelay: ['1m', '2m', '3m'],
  circuitFailures: [1, '2', '0'],
  circuitDelay: ['1m', '2m', '3m'],
  delivery: ['exactly-once', 'at-least-once', 'at-most-once'],
  healthAddr: ['127.0.0.1:1', '2', '[::1]:3'],
  logFile: ['a.log', 'b.log', 'c.log'],
  outputLimit: ['1MB', '2MB', '64KiB'],
  logKeep: ['1d', '60d', '0'],
  logKeepSize: [1, '2GB', '3GB'],
  once: [true, 'false', true],
  workdir: ['file', 'env', 'flag'],
  taskTimeout: ['1m', '2m', '3m'],
  stallTimeout: ['1m', '2m', '3m'],
  killGrace: ['1m', '2m', '3m'],
  drainTimeout: ['1m', '2m', '3m'],
  connectTimeout: ['1m', '2m', '3m'],
  leaseMs: [1001, '1002', '1003'],
  passEnv: [['FILE'], 'ENV', ['FLAG']],
  redact: [['FILE'], 'ENV', ['FLAG']],
  town: [undefined, 'env', 'flag'],
  townName: ['file', 'env', 'flag'],
  redisUrl: ['redis://file', 'redis://env', 'redis://flag'],
  redisPassword: ['file', 'env', undefined],
  redisUseSocket: [false, '', undefined],
  redisSocket: ['file', '', undefined],
  redisHost: ['file', '', undefined],
  redisPort: [1, '', undefined],
  redisTls: [true, 'false', undefined],
  redisUsername: ['file', 'env', undefined],
  redisDatabase: [1, '', undefined],
  redisBind: ['0.0.0.0', '', undefined],
  redisTlsCaCert: ['file', 'env', undefined],
  redisTlsCert: ['file', 'env', undefined],
  redisTlsKey: ['file', 'env', undefined],
  redisTlsServerName: ['file', 'env', undefined],
  redisSentinels: [['file:1'], '', undefined],
  redisSentinelName: ['file', '', undefined],
  redisSentinelUsername: ['file', '', undefined],
  redisSentinelPassword: ['file', 'env', undefined],
  redisCluster: [['file:1'], '', undefined],
  useCentralRedis: [true, '', undefined],
  redisPersist: [true, '', undefined],
  logLevel: ['warn', 'error', 'fatal'],
  logFormat: ['json', 'pretty', 'auto'],
  recordFormat: ['json', 'hash', 'json'],
  pauseSignal: ['SIGSTOP', 'SIGTSTP', 'SIGSTOP'],
  count: [2, '3', '4'],
  namePool: [2, '3', '4'],
  redisStart: [false, 'true', undefined],
  claimBacklog: [true, 'true', true],
  json: [true, 'false', true],
}

const LAYERS = ['default', 'file', 'environment', 'flag'] as const

/** The layers that a setting has, lowest first. */
function layersOf(key: SettingKey): (typeof LAYERS)[number][] {
  const { flag, env, toml } = settingOf(key)
  const has = { default: true, file: toml.length > 0, environment: env !== null, flag: flag !== null }
  return LAYERS.filter((layer) => has[layer])
}

function sampleInputs(key: SettingKey, layers: readonly string[]): Case {
  const { env, toml } = settingOf(key)
  const [file, environment, flag] = SAMPLES[key] ?? []
  return {
    flags: layers.includes('flag') ? { [key]: flag } : {},
    env: layers.includes('environment') ? { [env ?? '']: environment ?? '' } : {},
    values: layers.includes('file') ? { [toml[0] ?? '']: file } : {},
  }
}

const pairs = SETTING_KEYS.flatMap((key) => {
  const layers = layersOf(key)
  return layers.flatMap((lower, at) => layers.slice(at + 1).map((higher) => [key, lower, higher] as const))
})

describe('precedence', () => {
  it.each(pairs)('of %s: %s gives way to %s', (key, lower, higher) => {
    const both = resolve(sampleInputs(key, [lower, higher]))
    const only = resolve(sampleInputs(key, [higher]))
    expect(both.sources[key].layer).toBe(higher)
    expect(both.settings[key]).toEqual(only.settings[key])
  })

  it('has the defaults when nothing is given', () => {
    const { settings, sources, warnings } = resolve({})
    expect(settings).toMatchObject({
      name: 'worker-1',
      leaseMs: 30_000,
      taskTimeout: 3_600_000,
      passEnv: [],
      once: false,
    })
    expect(settings.cli).toBeUndefined()
    expect(sources.leaseMs).toEqual({ layer: 'default', name: 'default' })
    expect(warnings).toEqual([])
  })

  it('takes worker.cli before the default_cli of upstream', () => {
    expect(resolve({ values: { default_cli: 'one' } }).settings.cli).toBe('one')
    const both = resolve({ values: { default_cli: 'one', 'worker.cli': 'two' } })
    expect(both.settings.cli).toBe('two')
    expect(both.sources.cli.written).toBe('worker.cli')
  })

  it('takes an empty variable for one that is not set', () => {
    const { settings } = resolve({ env: { TINYTOWN_LEASE_MS: '', REDIS_URL: '  ', TINYTOWN_AGENT_NAME: '' } })
    expect(settings).toMatchObject({ leaseMs: 30_000, name: 'worker-1', redisUrl: undefined })
  })

  it('takes an empty redis.url of the file for none', () => {
    expect(resolve({ values: { 'redis.url': '' } }).settings.redisUrl).toBeUndefined()
  })

  it('does not look at a value that is overridden', () => {
    expect(resolve({ flags: { leaseMs: '2000' }, env: { TINYTOWN_LEASE_MS: 'x' } }).settings.leaseMs).toBe(
      2000,
    )
  })
})

describe('errors', () => {
  it.each<[string, Case, string]>([
    ['usage', { flags: { leaseMs: '5' } }, 'Expected leaseMs to be at least 1000, got 5 (--lease-ms)'],
    [
      'config',
      { env: { TINYTOWN_LEASE_MS: '5' } },
      'Expected leaseMs to be at least 1000, got 5 (TINYTOWN_LEASE_MS)',
    ],
    [
      'config',
      { values: { 'worker.lease_ms': 5 } },
      'Expected worker.lease_ms to be at least 1000, got 5 (/t/tinytown.toml:7)',
    ],
    [
      'usage',
      { flags: { name: '' } },
      'Expected name to be 1 to 64 letters, digits, ".", "_" or "-", got "" (--name)',
    ],
    [
      'usage',
      { flags: { name: 'conductor' } },
      "Expected name to be none of supervisor, conductor, whose mailbox is another's, got conductor (--name)",
    ],
    [
      'usage',
      { flags: { leaseMs: ['2000', '3000'] } },
      'Expected leaseMs to be a whole number, got ["2000", "3000"] (--lease-ms)',
    ],
    [
      'config',
      { values: { name: 'my town' } },
      'Expected name to be a name without spaces, ":", and the pattern characters * ? [ ] { } \\, got my town (/t/tinytown.toml:3)',
    ],
    [
      'config',
      { values: { name: 'task' } },
      'Expected name to be none of agent, inbox, urgent, task, activity, stop, which tt migrate takes for old keys, got task (/t/tinytown.toml:3)',
    ],
    [
      'config',
      { env: { TINYTOWN_LOG_LEVEL: 'loud' } },
      'Expected logLevel to be one of trace, debug, info, warn, error, fatal, got loud (TINYTOWN_LOG_LEVEL)',
    ],
    [
      'config',
      { values: { 'worker.task_timeout': { minutes: 5 } } },
      'Expected worker.task_timeout to be a duration like 30s, 10m or 1h, got a table (/t/tinytown.toml)',
    ],
    [
      'config',
      { env: { REDIS_URL: 'http://cache:6379' } },
      'Expected redisUrl to be a URL like redis://host:6379, rediss://…, unix:///path, redis+sentinel://… or redis+cluster://…, with special characters of a password percent-encoded, got http://cache:6379 (REDIS_URL)',
    ],
  ])('are of the code %s and say: %#', (code, inputs, message) => {
    const error = errorOf(inputs)
    expect(error.message).toBe(message)
    expect(error.code).toBe(code)
  })

  it('are all told at once, as config when not only flags are wrong', () => {
    const error = errorOf({
      flags: { maxRounds: 'x' },
      env: { TINYTOWN_LEASE_MS: '5' },
      values: { 'redis.port': 0 },
    })
    expect(error.code).toBe('config')
    expect(error.message.split('\n')).toEqual([
      'Expected maxRounds to be a whole number, got x (--max-rounds)',
      'Expected leaseMs to be at least 1000, got 5 (TINYTOWN_LEASE_MS)',
      'Expected redis.port to be at least 1, got 0 (/t/tinytown.toml)',
    ])
  })

  it('refuses a password on the command line and says where it belongs', () => {
    const error = errorOf({ flags: { redisUrl: 'redis://:hunter2@host:6379' } })
    expect(error.code).toBe('usage')
    expect(error.message).toBe(
      'Expected redisUrl to be without a password, got redis://:****@host:6379 (--redis-url)',
    )
    expect(error.remedy).toBe('Set it as REDIS_URL: a process list shows flags.')
  })

  it('refuses to pass on the keys to the town, which are the secrets among the settings', () => {
    const secrets = SETTING_KEYS.map(settingOf).filter(({ secret }) => secret === true)
    expect(secrets.map(({ env }) => env).sort()).toEqual([...TOWN_SECRETS].sort())
    for (const name of TOWN_SECRETS) {
      const error = errorOf({ flags: { passEnv: ['A_KEY', name] } })
      expect(error.message).toMatch(/^Expected passEnv to be names other than REDIS_URL, .*\(--pass-env\)$/)
      expect(error.remedy).toMatch(/under another name/)
    }
  })

  it('takes a Redis URL without a password as a flag, and one with a password from the environment', () => {
    expect(resolve({ flags: { redisUrl: 'redis://host' } }).settings.redisUrl).toBe('redis://host')
    expect(resolve({ env: { REDIS_URL: 'redis://:pw@host' } }).settings.redisUrl).toBe('redis://:pw@host')
  })

  it.each<Case>([
    { flags: { redisUrl: 'redis://:hunter2@host' } },
    { flags: { redisUrl: 'redis://host?password=hunter2' } },
    { env: { REDIS_URL: 'http://me:hunter2@host' } },
    { env: { REDIS_URL: 'hunter2' } },
    { env: { REDIS_URL: 'redis://:hun#hunter2@host' } },
    { env: { TINYTOWN_REDIS_PASSWORD: 'hunter2\0' } },
    { values: { 'redis.password': ['hunter2'] } },
    { values: { 'redis.url': { password: 'hunter2' } } },
    { env: { TINYTOWN_PASS_ENV: 'A_KEY=hunter2' } },
    { values: { 'worker.lease_ms': 'redis://:hunter2@host' } },
  ])('keep secrets to themselves: %j', (inputs) => {
    const error = errorOf(inputs)
    expect(`${error.message}${error.remedy}`).not.toContain('hunter2')
  })
})

describe('warnings', () => {
  it.each([
    ['TINYTOWN_TASK_TIMEOT', 'TINYTOWN_TASK_TIMEOUT'],
    ['TINYTOWN_CLI', 'TINYTOWN_AGENT_CLI'],
    ['TINYTOWN_REDIS_URL', 'REDIS_URL'],
    ['TINYTOWN_AGENTNAME', 'TINYTOWN_AGENT_NAME'],
  ])('tell that %s is near %s', (name, near) => {
    const { warnings } = resolve({ env: { [name]: 'x' } })
    expect(warnings).toEqual([`Unknown variable ${name}, did you mean ${near}? (environment)`])
  })

  it('leave alone what a worker gives to its children and what is like nothing known', () => {
    const env = {
      TINYTOWN_AGENT_ID: 'a',
      TINYTOWN_AGENT_NAME: 'b',
      TINYTOWN_TASK_ID: 'c',
      TINYTOWN_TOWN: 'd',
      TINYTOWN_DASHBOARD: 'e',
      TOWN_NAME: 'f',
    }
    expect(resolve({ env }).warnings).toEqual([])
  })

  it('tell that the missions of a town are hidden', () => {
    expect(resolve({ values: { name: 'worker-main' } }).warnings).toEqual([
      'tt does not see the missions of a town whose name begins with work, watch, events, control or active: ' +
        'worker-main (/t/tinytown.toml:3)',
    ])
  })

  it('tell that a host is not used, and go after those of the file', () => {
    const { warnings } = resolve({ values: { 'redis.host': 'cache' }, fileWarnings: ['first'] })
    expect(warnings).toEqual([
      'first',
      'redis.host is not used while redis.use_socket is true; set redis.use_socket = false to use it ' +
        '(/t/tinytown.toml)',
    ])
    expect(resolve({ values: { 'redis.host': 'cache', 'redis.use_socket': false } }).warnings).toEqual([])
  })
})
