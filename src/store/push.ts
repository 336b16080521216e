import type { Redis } from 'ioredis'
import { runScript } from './script.ts'
import { push as pushScript } from './scripts/push.ts'

/** Where a text goes, and whom to wake. */
export interface Push {
  readonly end: 'head' | 'tail'
  /** A channel, and what to say on it. */
  readonly wake?: readonly [channel: string, word: string]
}

/** Pushes a text to a list once, also when the reply gets lost and it is sent again. Returns how long the list is then. */
export async function pushOnce(
  redis: Redis,
  list: string,
  text: string,
  { end, wake }: Push,
): Promise<number> {
  return Number(await runScript(redis, pushScript, [list], [text, end, ...(wake ?? ['', ''])]))
}
