import type { RecordFormat } from '../domain/record-format.ts'
import { describeSettings } from './describe.ts'

/** What a new tinytown.toml says. */
export interface NewTownFile {
  readonly name: string
  /** The CLI of workers that are told no other. */
  readonly cli: string | undefined
  /** Null: the town folder lies too deep for a socket in it, so the place is left to the worker. */
  readonly socketPath: string | null
  /** The Redis to use; without it the town has a redis-server of its own. */
  readonly redisUrl?: string | undefined
  /** The port of the redis-server in `~/.tt` that all towns of this user share, for a town that uses it. */
  readonly centralPort?: number | undefined
  /** Whether that server keeps an append-only file. */
  readonly redisPersist?: boolean | undefined
  readonly recordFormat?: RecordFormat | undefined
}

/** The settings that a new file shows as comments, by their keys there. */
const EXAMPLES = [
  'worker.name',
  'worker.role',
  'worker.workdir',
  'worker.task_timeout',
  'worker.stall_timeout',
  'worker.max_rounds',
]

const CENTRAL = `# The redis-server in ~/.tt that all towns of this user share; its password stands in ~/.tt/config.toml.
use_central_redis = true
`
// What `tt` reads here: it takes neither of them from ~/.tt/config.toml.
const centralLines = (port: number) => ['use_socket = false', `port = ${port}`]

/** The text of a new tinytown.toml, in the keys of upstream: `tt` reads it as well. */
export function townFileText({ name, cli, recordFormat, centralPort, ...redis }: NewTownFile): string {
  return `# The settings of this town. Flags and environment variables come before it: tinytown-worker --help
name = ${JSON.stringify(name)}
${cli === undefined ? '# default_cli = "codex"' : `default_cli = ${JSON.stringify(cli)}`}
${recordFormat === undefined ? '' : `record_format = ${JSON.stringify(recordFormat)}\n`}${centralPort === undefined ? '' : CENTRAL}
[redis]
${(centralPort === undefined ? redisLines(redis) : centralLines(centralPort)).join('\n')}

# [worker]
${exampleLines().join('\n')}

# A coding CLI of your own: tinytown-worker --cli mine
# [agent_clis.mine]
# name = "My agent"
# command = "my-agent --print"   # run without a shell
# prompt = "stdin"               # or argument, file
# output = "text"                # or codex, claude: the form of what it prints
# timeout_secs = 1800
# pass_env = ["MY_API_KEY"]
`
}

function redisLines({ socketPath, redisUrl, redisPersist }: Omit<NewTownFile, 'name' | 'cli'>): string[] {
  if (redisUrl !== undefined) return [`url = ${JSON.stringify(redisUrl)}`]
  return [
    "# A redis-server of the town's own on a unix socket. For a Redis that runs elsewhere set REDIS_URL.",
    'use_socket = true',
    socketPath === null
      ? '# socket_path: this folder lies too deep for a socket in it, a shorter path is used'
      : `socket_path = ${JSON.stringify(socketPath)}`,
    ...(redisPersist === undefined ? [] : [`persist = ${redisPersist}`]),
  ]
}

function exampleLines(): string[] {
  const rows = describeSettings().filter(({ toml }) => EXAMPLES.includes(toml))
  const lines = rows.map(({ toml, default: fallback, doc }) => {
    const value = /^\d+$/.test(fallback) ? fallback : JSON.stringify(/\s/.test(fallback) ? '' : fallback)
    return { text: `# ${toml.replace('worker.', '')} = ${value}`, doc }
  })
  const width = Math.max(...lines.map(({ text }) => text.length))
  return lines.map(({ text, doc }) => `${text.padEnd(width)}   # ${doc}`)
}
