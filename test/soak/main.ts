// npm run soak: daemons that work while everything around them is broken again and again, and whether every promise held.
import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { tableOf } from './figures.ts'
import { readOptions, USAGE } from './options.ts'
import { soak } from './soak.ts'

/** As sysexits.h has them. */
const [USAGE_ERROR, UNAVAILABLE, INTERRUPTED] = [64, 69, 130]

const options = readOptions(process.argv.slice(2), process.env)
if (options === '') {
  console.log(USAGE)
  process.exit(0)
}
if (typeof options === 'string') refuse(`${options}\n\n${USAGE}`, USAGE_ERROR)
if (process.platform !== 'linux')
  refuse('The soak reads /proc to see what is left: it runs on Linux only.', UNAVAILABLE)
const version = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
if (version.error)
  refuse('There is no redis-server in PATH: install it (apt-get install redis-server).', UNAVAILABLE)
const [, redis] = /v=(\S+)/.exec(version.stdout) ?? []

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())

const about = {
  seed: options.seed,
  minutes: options.minutes,
  agents: options.agents,
  machine: `${cpus().length} cores, Node.js ${process.versions.node}, Redis ${redis}, appendonly yes, appendfsync always`,
}
const say = (line: string) => {
  if (!options.json) console.log(line)
}
say(`Soak of ${about.minutes} min with ${about.agents} agents, --seed ${about.seed}; ${about.machine}`)

let lines = 0
const tell = (line: string) => {
  lines += 1
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
  else if (lines % 15 === 0) process.stderr.write(`${line}\n`)
}
const { figures, violations, folders } = await soak(options, { signal: stop.signal, tell })
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')

if (options.json) console.log(JSON.stringify({ ...about, figures, violations, folders }, null, 2))
say(tableOf(figures))
if (violations === null) say('Interrupted: nothing is judged.')
else say(violations.length === 0 ? 'Nothing is wrong.' : `\n${violations.length} violations:`)
for (const violation of violations ?? []) say(`- ${violation}`)
if (folders.length > 0) say(`Kept: ${folders.join(' ')}`)
if (violations === null) process.exitCode = INTERRUPTED
else if (violations.length > 0) process.exitCode = 1

function refuse(why: string, exitCode: number): never {
  console.error(why)
  process.exit(exitCode)
}
