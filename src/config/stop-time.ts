import type { Settings } from './settings.ts'

/** For what comes after the end of the child tree: giving back, parting from Redis, the end of the process. */
const PARTING_MS = 25_000

/** How long an orderly stop takes at most, in milliseconds; whoever stops a worker waits so long before a kill. */
export function longestStopMs({
  drainTimeout,
  killGrace,
}: Pick<Settings, 'drainTimeout' | 'killGrace'>): number {
  return drainTimeout + killGrace + PARTING_MS
}
