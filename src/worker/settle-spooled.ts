import type { KeptWhy, Spooled } from '../reliability/spool.ts'
import { isLasting } from '../store/connection.ts'
import { settleUnsettled } from './settle.ts'
import { decodeUnsettled } from './unsettled.ts'
import type { AttemptTools } from './work.ts'

/**
 * Settles what an earlier worker of this agent could not, before anything is claimed. A task that is not this agent's to settle any
 * more is left alone, and its result kept aside. False: Redis refuses one, and the worker is to end before it takes it.
 */
export async function settleSpooled(tools: AttemptTools): Promise<boolean> {
  const { spool } = tools
  const { results, unreadable } = await spool.list()
  for (const name of unreadable) await spool.keep(name, 'unreadable')
  for (const result of results) {
    const why = await settleOne(result, tools)
    if (why === 'refused') return false
    if (why === null) await spool.remove(result)
    else await spool.keep(result, why)
  }
  return true
}

/** Why the result is to be kept aside; null: Redis has it. */
async function settleOne({ text }: Spooled, tools: AttemptTools): Promise<KeptWhy | 'refused' | null> {
  const read = decodeUnsettled(text, tools.lease.agentId)
  if (read === null) return 'unreadable'
  try {
    const settled = await settleUnsettled(read, tools)
    return settled.kind === 'left' ? settled.why : null
  } catch (error) {
    if (isLasting(error)) return 'refused'
    throw error
  }
}
