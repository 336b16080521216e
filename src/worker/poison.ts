import { type Poison, putAsideMessage } from '../store/inbox.ts'
import type { AttemptTools } from './work.ts'

/** Puts a message aside that nobody reads any more: each worker that had it in hand died. */
export async function buryPoison(
  poison: Poison,
  { lease, write, emit }: Pick<AttemptTools, 'lease' | 'write' | 'emit'>,
): Promise<void> {
  const detail = `${poison.deaths} workers died with it in hand`
  const deadLetterId = await write(() => putAsideMessage(lease, poison, { reason: 'crashed', detail }))
  if (deadLetterId !== null) emit({ type: 'message-put-aside', deadLetterId, detail })
}
