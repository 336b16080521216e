import { constants } from 'node:fs'
import { access, realpath } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { WorkerError } from '../domain/errors.ts'

export interface RedisVersion {
  major: number
  minor: number
  /** As the binary prints it: `7.0.15`. */
  text: string
}

export interface RedisBinary {
  path: string
  version: RedisVersion
}

/** A redis-server that was found and is not used. */
export interface RejectedBinary {
  path: string
  reason: string
}

export interface RedisSearch {
  found: RedisBinary | null
  rejected: RejectedBinary[]
}

export interface SearchPlaces {
  env: NodeJS.ProcessEnv
  home: string
}

// Tinytown refuses to talk to anything older than 7.0 (its connectivity floor).
const OLDEST_MAJOR = 7
const VERSION_TIMEOUT_MS = 5000
// Where a distribution replaced Redis, the same server under the same protocol is called valkey-server.
const NAMES = ['redis-server', 'valkey-server']

/**
 * Looks for a usable redis-server: `~/.tt/bin/redis-server` (where Tinytown puts its own), then every folder of PATH. A binary
 * that does not run or is older than 7.0 is passed over and listed in `rejected`. Never throws.
 */
export async function findRedisServer(places: SearchPlaces): Promise<RedisSearch> {
  const rejected: RejectedBinary[] = []
  const seen = new Set<string>()
  for (const path of candidates(places)) {
    const real = await executable(path)
    if (real === null || seen.has(real)) continue
    seen.add(real)
    const checked = await checkBinary(path)
    if ('version' in checked) return { found: checked, rejected }
    rejected.push(checked)
  }
  return { found: null, rejected }
}

/** Like `findRedisServer`, but throws `redis-missing` that names what was looked at when none is usable. */
export async function requireRedisServer(places: SearchPlaces): Promise<RedisBinary> {
  const { found, rejected } = await findRedisServer(places)
  if (found) return found
  throw new WorkerError('redis-missing', `${describeSearch(rejected)}.`, {
    remedy:
      'Run `tinytown-worker bootstrap` to install one, or set REDIS_URL to a Redis that runs elsewhere.',
  })
}

/** One sentence, without its full stop: what is missing and which binaries were passed over, with reasons. */
export function describeSearch(rejected: readonly RejectedBinary[]): string {
  const looked = `No redis-server ${OLDEST_MAJOR}.0 or newer in ~/.tt/bin or PATH`
  if (rejected.length === 0) return looked
  return `${looked}; not used: ${rejected.map(({ path, reason }) => `${path} (${reason})`).join(', ')}`
}

function candidates({ env, home }: SearchPlaces): string[] {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const onPath = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)))
  return [join(home, '.tt', 'bin', 'redis-server'), ...onPath]
}

/** The file behind `path` when it can be executed, else null. */
async function executable(path: string): Promise<string | null> {
  try {
    await access(path, constants.X_OK)
    return await realpath(path)
  } catch {
    return null
  }
}

async function checkBinary(path: string): Promise<RedisBinary | RejectedBinary> {
  const result = await execa(path, ['--version'], {
    reject: false,
    stdin: 'ignore',
    timeout: VERSION_TIMEOUT_MS,
  })
  if (result.failed) return { path, reason: `does not run: ${result.shortMessage}` }
  const version = parseVersion(result.stdout)
  if (!version) return { path, reason: `prints no version: ${JSON.stringify(result.stdout.slice(0, 80))}` }
  if (version.major < OLDEST_MAJOR) {
    return { path, reason: `version ${version.text} is older than ${OLDEST_MAJOR}.0` }
  }
  return { path, version }
}

/** Reads `Redis server v=7.0.15 sha=…`, also Valkey's line, which differs in the first word only. */
export function parseVersion(line: string): RedisVersion | null {
  const match = /\bv=((\d+)\.(\d+)\S*)/.exec(line)
  if (!match) return null
  return { major: Number(match[2]), minor: Number(match[3]), text: match[1] ?? '' }
}
