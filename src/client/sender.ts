import { parseId } from '../domain/ids.ts'
import type { Redis } from '../store/connection.ts'
import type { TownKeys } from '../store/keys.ts'
import { findMailbox, lookForMailbox, type Mailbox, SUPERVISOR_MAILBOX } from './find.ts'

/** Who sends, as far as it is told. */
export interface SenderHints {
  /** Asked for by name or id. */
  readonly from: string | undefined
  /** TINYTOWN_AGENT_ID and TINYTOWN_AGENT_NAME: the agent in whose run this happens. */
  readonly agentId: string | undefined
  readonly agentName: string | undefined
}

/**
 * Who sends, by the rule of `tt send`: who was asked for (an id needs no record), else the agent that the environment tells,
 * else the supervisor. `ignored` is a name of the environment that is no agent here. Throws `not-found` for a name that was
 * asked for and does not mean one agent.
 */
export async function findSender(
  redis: Redis,
  town: TownKeys,
  { from, agentId, agentName }: SenderHints,
): Promise<{ sender: Mailbox; ignored?: string }> {
  const id = parseId(from ?? agentId ?? '')
  if (id) return { sender: (await lookForMailbox(redis, town, id)) ?? { id, name: id, agent: null } }
  if (from !== undefined) return { sender: await findMailbox(redis, town, from) }
  const named = agentName ? await lookForMailbox(redis, town, agentName) : null
  if (named) return { sender: named }
  return { sender: SUPERVISOR_MAILBOX, ...(agentName ? { ignored: agentName } : {}) }
}
