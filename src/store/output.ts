import type { Redis } from 'ioredis'
import type { Id } from '../domain/ids.ts'
import { type Entry, fieldOf, nextEntries } from './events.ts'

/** About as many pieces of output are kept per agent; a piece has 4 KiB at most. */
const MAX_ENTRIES = 2000
const KEEP_SECONDS = 7 * 24 * 3600

/** A piece of what a CLI said, readable text of one or more whole lines. */
export interface OutputPiece {
  readonly at: string
  readonly taskId: Id
  readonly text: string
}

/** Appends a piece to an agent's output. The oldest pieces go, and all of it a week after the last one. */
export async function appendOutput(redis: Redis, stream: string, taskId: Id, text: string): Promise<void> {
  const batch = redis.pipeline()
  batch.xadd(stream, 'MAXLEN', '~', MAX_ENTRIES, '*', 'task_id', taskId, 'text', text)
  batch.expire(stream, KEEP_SECONDS)
  await batch.exec()
}

/** Everything of an agent's output that is kept, oldest first; only one task's when told which. */
export async function readOutput(redis: Redis, stream: string, taskId?: Id): Promise<OutputPiece[]> {
  const entries = (await redis.xrange(stream, '-', '+')) as Entry[]
  return pieces(entries, taskId)
}

/** Waits at most `blockMs` for output after `from`. Returns it with the place to go on from. */
export async function nextOutput(
  redis: Redis,
  stream: string,
  from: string,
  blockMs: number,
): Promise<{ next: string; pieces: OutputPiece[] }> {
  const entries = await nextEntries(redis, stream, from, blockMs)
  return { next: entries.at(-1)?.[0] ?? from, pieces: pieces(entries) }
}

/** The pieces that entries of an agent's output hold; only one task's when told which. */
export function pieces(entries: readonly Entry[], taskId?: Id): OutputPiece[] {
  return entries
    .map(([at, fields]) => ({ at, taskId: fieldOf(fields, 'task_id'), text: fieldOf(fields, 'text') }))
    .filter((piece) => taskId === undefined || piece.taskId === taskId)
}
