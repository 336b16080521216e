// npm run soak: daemons that work while everything around them is broken again and again, and whether every promise held.
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { tableOf } from './figures.ts'
import { readOptions, USAGE } from './options.ts'
import { soak } from './soak.ts'

const options = readOptions(process.argv.slice(2), process.env)
if (options === '') {
  console.log(USAGE)
  process.exit(0)
}
if (typeof options === 'string') {
  console.error(`${options}\n\n${USAGE}`)
  process.exit(2)
}
if (process.platform !== 'linux') {
  console.error('The soak reads /proc to see what is left: it runs on Linux only.')
  process.exit(2)
}

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())

const [redis = ''] = /v=\S+/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' })) ?? []
const about = {
  seed: options.seed,
  minutes: options.minutes,
  agents: options.agents,
  machine: `${cpus().length} cores, Node.js ${process.versions.node}, Redis ${redis.slice(2)}, appendonly yes, appendfsync always`,
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
say(violations.length === 0 ? 'Nothing is wrong.' : `\n${violations.length} violations:`)
for (const violation of violations) say(`- ${violation}`)
if (folders.length > 0) say(`Kept: ${folders.join(' ')}`)
process.exitCode = violations.length > 0 ? 1 : 0
