import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import type { TownKeys } from '../../src/store/keys.ts'

/** Keys in which something waits or is held; what was done stays in the others. */
export async function keysLeft(redis: Redis, town: TownKeys): Promise<string[]> {
  const queues = Object.entries(town.agent('*')).filter(([name]) => HOLDS.includes(name))
  const kept = await Promise.all(queues.map(([, pattern]) => redis.keys(pattern)))
  const shared = await Promise.all([town.watched, town.backlog].map((key) => redis.keys(key)))
  return [...kept, ...shared].flat()
}

const HOLDS = [
  'inbox',
  'urgent',
  'stop',
  'lease',
  'inFlight',
  'delayed',
  'spareUrgent',
  'spareInbox',
] satisfies (keyof ReturnType<TownKeys['agent']>)[] as string[]

/** The files of the town that are no record of what was done: prompts, spooled results, locks. */
export function filesLeft(root: string): string[] {
  return filesOf(root).filter(
    (name) => !/^(\.gitignore|logs\/[^/]+\.log|tasks\/[^/]+\.result\.md|spool\/kept\/.*)$/.test(name),
  )
}

/** The results that were kept aside because their task had another end. */
export function resultsKept(root: string): string[] {
  return filesOf(root).filter((name) => name.startsWith('spool/kept/'))
}

function filesOf(root: string): string[] {
  const entries = readdirSync(join(root, '.tt'), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name).slice(join(root, '.tt/').length))
}

export interface Process {
  readonly pid: number
  readonly command: string
}

/** Every process that has to do with the folder: by its environment, its command line or where it stands. Linux. */
export function processesOf(root: string): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    try {
      if (/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))) return []
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').join(' ').trim()
      const environ = readFileSync(`/proc/${pid}/environ`, 'latin1')
      const signs = [command, environ, readlinkSync(`/proc/${pid}/cwd`)]
      return signs.some((sign) => sign.includes(root)) ? [{ pid, command: command.slice(0, 160) }] : []
    } catch {
      // It is gone, or another user's.
      return []
    }
  })
}
