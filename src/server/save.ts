import { WorkerError } from '../domain/errors.ts'
import type { ServerPlace } from './place.ts'
import { exchange } from './resp.ts'

/** As long as a town may take to be written to the disk. */
const SAVE_MS = 60_000

/**
 * Has the server write a snapshot now. Throws `redis-unreachable` when nobody answers, `redis-failed` when it could not be written.
 */
export async function saveLocalRedis(
  { endpoint, address }: ServerPlace,
  signal?: AbortSignal,
): Promise<void> {
  const reply = await exchange(endpoint, ['SAVE'], { timeoutMs: SAVE_MS, signal })
  if (reply.kind === 'reply' && reply.text === 'OK') return
  if (reply.kind === 'refused') {
    throw new WorkerError('redis-unreachable', `No redis-server runs at ${address}`, {
      remedy: 'Start it: tinytown-worker redis start',
    })
  }
  const answer = 'text' in reply ? reply.text : reply.kind
  throw new WorkerError('redis-failed', `The Redis at ${address} did not save: ${answer}`, {
    remedy: 'See its log; most often the disk is full or the folder is not writable',
  })
}
