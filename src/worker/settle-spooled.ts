import type { KeptWhy, Spooled } from '../reliability/spool.ts'
import { isPassing } from '../store/connection.ts'
import { replyErrorCode } from '../store/script.ts'
import { settleUnsettled } from './settle.ts'
import { decodeUnsettled } from './unsettled.ts'
import type { AttemptTools } from './work.ts'

/**
 * Settles what an earlier worker of this agent could not, before anything is claimed. A task that is not this agent's to settle any
 * more is left alone, and its result kept aside.
 */
export async function settleSpooled(tools: AttemptTools): Promise<void> {
  const { spool } = tools
  const { results, unreadable } = await spool.list()
  for (const name of unreadable) await spool.keep(name, 'unreadable')
  for (const result of results) {
    const why = await settleOne(result, tools)
    if (why === null) await spool.remove(result)
    else await spool.keep(result, why)
  }
}

/** Why the result is to be kept aside; null: Redis has it. */
async function settleOne({ text }: Spooled, tools: AttemptTools): Promise<KeptWhy | null> {
  const read = decodeUnsettled(text, tools.lease.agentId)
  if (read === null) return 'unreadable'
  try {
    const settled = await settleUnsettled(read, tools)
    return settled.kind === 'left' ? settled.why : null
  } catch (error) {
    if (replyErrorCode(error) === null || isPassing(error)) throw error
    return 'refused'
  }
}
