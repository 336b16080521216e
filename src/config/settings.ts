import type { z } from 'zod'
import { RECORD_FORMATS } from '../domain/record-format.ts'
import * as schema from './schemas.ts'

export type SettingGroup = 'worker' | 'town' | 'redis' | 'output' | 'results'

/** One setting: everything that flags, environment, file, `--help` and README know about it. */
export interface Setting {
  /** The flag without its dashes; null when there is none. */
  readonly flag: string | null
  readonly env: string | null
  /** The keys in tinytown.toml; the first that is there counts. */
  readonly toml: readonly string[]
  readonly schema: z.ZodType
  /** As a user would write it; it goes through the schema. Undefined = no value. */
  readonly default: string | number | boolean | readonly string[] | undefined
  /** What holds when there is no value, for `--help`. */
  readonly otherwise?: string
  /** One sentence for `--help` and the README. */
  readonly doc: string
  /** What stands for the value in `--help`; null for a switch. */
  readonly placeholder: string | null
  readonly group: SettingGroup
  /** The value appears in no message. */
  readonly secret?: true
  readonly hidden?: true
}

/** All settings. This table is the only place where a default is written. */
const SETTINGS = {
  cli: {
    flag: 'cli',
    env: 'TINYTOWN_AGENT_CLI',
    toml: ['worker.cli', 'default_cli'],
    schema: schema.text,
    default: undefined,
    doc: 'The coding-agent CLI that does the tasks, one of `tinytown-worker clis` or of [agent_clis] in tinytown.toml.',
    placeholder: 'CLI',
    group: 'worker',
  },
  name: {
    flag: 'name',
    env: 'TINYTOWN_AGENT_NAME',
    toml: ['worker.name'],
    schema: schema.agentName,
    default: 'worker-1',
    doc: 'The name of the agent, under which tasks are assigned to it.',
    placeholder: 'NAME',
    group: 'worker',
  },
  role: {
    flag: 'role',
    env: 'TINYTOWN_AGENT_ROLE',
    toml: ['worker.role'],
    schema: schema.label,
    default: undefined,
    doc: 'The role that the agent record shows, such as worker or reviewer.',
    placeholder: 'ROLE',
    group: 'worker',
  },
  count: {
    flag: 'count',
    env: 'TINYTOWN_COUNT',
    toml: ['worker.count'],
    schema: schema.wholeNumber(1),
    default: 1,
    doc: 'How many agents this process hosts: 4 makes worker-1 to worker-4, each with its own record, inbox and lease.',
    placeholder: 'N',
    group: 'worker',
  },
  claimBacklog: {
    flag: 'claim-backlog',
    env: 'TINYTOWN_CLAIM_BACKLOG',
    toml: ['worker.claim_backlog'],
    schema: schema.boolean,
    default: false,
    doc: 'When there is nothing in the inbox, take a task that fits the role from the backlog.',
    placeholder: null,
    group: 'worker',
  },
  maxRounds: {
    flag: 'max-rounds',
    env: 'TINYTOWN_AGENT_MAX_ROUNDS',
    toml: ['worker.max_rounds'],
    schema: schema.wholeNumber(0),
    default: 0,
    doc: 'Stop after this many tasks; 0 sets no limit.',
    placeholder: 'N',
    group: 'worker',
  },
  once: {
    flag: 'once',
    env: 'TINYTOWN_ONCE',
    toml: ['worker.once'],
    schema: schema.boolean,
    default: false,
    doc: 'Do what is in the inbox, then stop.',
    placeholder: null,
    group: 'worker',
  },
  workdir: {
    flag: 'workdir',
    env: 'TINYTOWN_WORKDIR',
    toml: ['worker.workdir'],
    schema: schema.text,
    default: undefined,
    otherwise: 'the town folder',
    doc: 'The folder in which the CLI works.',
    placeholder: 'DIR',
    group: 'worker',
  },
  taskTimeout: {
    flag: 'task-timeout',
    env: 'TINYTOWN_TASK_TIMEOUT',
    toml: ['worker.task_timeout'],
    schema: schema.positiveDuration,
    default: '1h',
    doc: 'End a run that takes longer than this.',
    placeholder: 'DURATION',
    group: 'worker',
  },
  stallTimeout: {
    flag: 'stall-timeout',
    env: 'TINYTOWN_STALL_TIMEOUT',
    toml: ['worker.stall_timeout'],
    schema: schema.duration,
    default: '15m',
    doc: 'End a run that is silent for longer than this; 0 turns it off.',
    placeholder: 'DURATION',
    group: 'worker',
  },
  killGrace: {
    flag: 'kill-grace',
    env: 'TINYTOWN_KILL_GRACE',
    toml: ['worker.kill_grace'],
    schema: schema.duration,
    default: '5s',
    doc: 'How long a run has between the request to end and the kill.',
    placeholder: 'DURATION',
    group: 'worker',
  },
  pauseSignal: {
    flag: 'pause-signal',
    env: 'TINYTOWN_PAUSE_SIGNAL',
    toml: ['worker.pause_signal'],
    schema: schema.oneOf(['SIGSTOP', 'SIGTSTP']),
    default: undefined,
    otherwise: 'the run goes on',
    doc: 'Stop the run in hand with this signal while the agent is interrupted; SIGTSTP only works with a CLI that handles it.',
    placeholder: 'SIGNAL',
    group: 'worker',
  },
  drainTimeout: {
    flag: 'drain-timeout',
    env: 'TINYTOWN_DRAIN_TIMEOUT',
    toml: ['worker.drain_timeout'],
    schema: schema.duration,
    default: '5m',
    doc: 'How long the run in hand may go on after the first SIGTERM.',
    placeholder: 'DURATION',
    group: 'worker',
  },
  leaseMs: {
    flag: 'lease-ms',
    env: 'TINYTOWN_LEASE_MS',
    toml: ['worker.lease_ms'],
    schema: schema.milliseconds(1000),
    default: 30_000,
    doc: 'How long, in milliseconds, a silent worker keeps its name and its tasks.',
    placeholder: 'MS',
    group: 'worker',
  },
  passEnv: {
    flag: 'pass-env',
    env: 'TINYTOWN_PASS_ENV',
    toml: ['worker.pass_env'],
    schema: schema.variableNames,
    default: [],
    doc: 'Environment variables that the CLI gets besides its own, as a comma list or by repeating the flag.',
    placeholder: 'NAME',
    group: 'worker',
  },
  town: {
    flag: 'town',
    env: 'TINYTOWN_TOWN_DIR',
    // The file is found in the town folder, so it cannot say where that is.
    toml: [],
    schema: schema.text,
    default: undefined,
    otherwise:
      'the nearest folder upwards with a tinytown.toml, else the git repository, else the current folder',
    doc: 'The town folder.',
    placeholder: 'DIR',
    group: 'town',
  },
  townName: {
    flag: 'town-name',
    env: 'TINYTOWN_TOWN_NAME',
    toml: ['name'],
    schema: schema.townName,
    default: undefined,
    otherwise: 'git repository and branch, else the name of the folder',
    doc: 'The name of the town, which is part of every Redis key.',
    placeholder: 'NAME',
    group: 'town',
  },
  recordFormat: {
    flag: 'record-format',
    env: 'TINYTOWN_RECORD_FORMAT',
    toml: ['record_format'],
    schema: schema.oneOf(RECORD_FORMATS),
    default: 'hash',
    doc: 'The form of new records: hash, as tt 0.10 reads them, or json, as the guide of Tinytown documents them.',
    placeholder: 'FORMAT',
    group: 'town',
  },
  redisUrl: {
    flag: 'redis-url',
    env: 'REDIS_URL',
    toml: ['redis.url'],
    schema: schema.redisUrl,
    default: undefined,
    otherwise: 'a redis-server of the town, on a unix socket',
    doc: 'The Redis to use, as redis://, rediss:// or unix://; one with a password only as REDIS_URL.',
    placeholder: 'URL',
    group: 'redis',
    secret: true,
  },
  redisPassword: {
    flag: null,
    env: 'TINYTOWN_REDIS_PASSWORD',
    toml: ['redis.password'],
    schema: schema.text,
    default: undefined,
    doc: 'The password for redis.host; a Redis URL brings its own.',
    placeholder: 'PASSWORD',
    group: 'redis',
    secret: true,
  },
  redisUseSocket: {
    flag: null,
    env: null,
    toml: ['redis.use_socket'],
    schema: schema.boolean,
    default: true,
    doc: 'Run a redis-server of the town on a unix socket; false uses redis.host and redis.port.',
    placeholder: null,
    group: 'redis',
  },
  redisSocket: {
    flag: null,
    env: null,
    toml: ['redis.socket_path'],
    schema: schema.text,
    default: '.tt/redis.sock',
    doc: "The unix socket of the town's redis-server, relative to the town folder.",
    placeholder: 'PATH',
    group: 'redis',
  },
  redisHost: {
    flag: null,
    env: null,
    toml: ['redis.host'],
    schema: schema.host,
    default: '127.0.0.1',
    doc: 'The host of Redis when redis.use_socket is false.',
    placeholder: 'HOST',
    group: 'redis',
  },
  redisPort: {
    flag: null,
    env: null,
    toml: ['redis.port'],
    schema: schema.wholeNumber(1, 65_535),
    default: 6379,
    doc: 'The port of Redis when redis.use_socket is false.',
    placeholder: 'PORT',
    group: 'redis',
  },
  redisTls: {
    flag: null,
    env: null,
    toml: ['redis.tls_enabled'],
    schema: schema.boolean,
    default: false,
    doc: 'Speak TLS with redis.host.',
    placeholder: null,
    group: 'redis',
  },
  redisPersist: {
    flag: null,
    env: null,
    toml: ['redis.persist'],
    schema: schema.boolean,
    default: false,
    doc: "Have the town's redis-server keep an append-only file.",
    placeholder: null,
    group: 'redis',
  },
  connectTimeout: {
    flag: 'connect-timeout',
    env: 'TINYTOWN_CONNECT_TIMEOUT',
    toml: ['worker.connect_timeout'],
    schema: schema.duration,
    default: '10s',
    doc: 'How long to try to reach Redis at the start.',
    placeholder: 'DURATION',
    group: 'redis',
  },
  logLevel: {
    flag: 'log-level',
    env: 'TINYTOWN_LOG_LEVEL',
    toml: ['worker.log_level'],
    schema: schema.oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal']),
    default: 'info',
    doc: 'The least important log lines to write: trace, debug, info, warn, error or fatal.',
    placeholder: 'LEVEL',
    group: 'output',
  },
  logFormat: {
    flag: 'log-format',
    env: 'TINYTOWN_LOG_FORMAT',
    toml: ['worker.log_format'],
    schema: schema.oneOf(['auto', 'pretty', 'json']),
    default: 'auto',
    doc: 'How log lines look: pretty, json, or auto, which is pretty on a terminal.',
    placeholder: 'FORMAT',
    group: 'output',
  },
  json: {
    flag: 'json',
    env: 'TINYTOWN_JSON',
    toml: ['worker.json'],
    schema: schema.boolean,
    default: false,
    doc: 'Print results as JSON.',
    placeholder: null,
    // A worker logs and prints no results; its JSON is `--log-format json`.
    group: 'results',
  },
} as const satisfies Record<string, Setting>

export type SettingKey = keyof typeof SETTINGS

type ValueOf<S extends Setting> = z.output<S['schema']> | (S['default'] extends undefined ? undefined : never)

/** The value of every setting. Durations are milliseconds. */
export type Settings = { readonly [K in SettingKey]: ValueOf<(typeof SETTINGS)[K]> }

/** The keys of all settings, in the order of the table. */
export const SETTING_KEYS = Object.keys(SETTINGS) as readonly SettingKey[]

/** The row of the table, in its general type. */
export function settingOf(key: SettingKey): Setting {
  return SETTINGS[key]
}
