import type { Redis } from 'ioredis'
import type { AgentState } from '../domain/agent.ts'
import { decodeMessage } from '../domain/message.ts'
import type { AgentKeys } from './keys.ts'
import type { Lease } from './lease.ts'
import { pushRaw } from './mail.ts'

/** Said by `resumeAgent` to an agent in this state. */
const LOOK_WORD: AgentState = 'error'

/**
 * Hears what is said to an agent's worker, on a connection of its own. `onWake` is called at every word, and after every reconnect,
 * as one may have been missed; `onLook` when somebody wants a broken agent to look again at once. A broadcast is put into the agent's inbox as if it had been sent to it alone. Returns what ends it.
 */
export async function hearTown(
  subscriber: Redis,
  lease: Lease,
  tools: { onWake: () => void; onLook: () => void; onError: (error: unknown) => void },
): Promise<() => void> {
  const { wake } = lease.agent
  const broadcasts = [lease.town.broadcast, lease.town.guideBroadcast]
  const onMessage = (channel: string, word: string) => {
    if (channel === wake) {
      if (word === LOOK_WORD) tools.onLook()
      tools.onWake()
    } else if (broadcasts.includes(channel)) deliver(lease, word).catch(tools.onError)
  }
  // One listener for each agent of this process.
  subscriber.setMaxListeners(0)
  subscriber.on('message', onMessage)
  subscriber.on('ready', tools.onWake)
  await subscriber.subscribe(wake, ...broadcasts)
  return () => {
    subscriber.off('message', onMessage)
    subscriber.off('ready', tools.onWake)
    // Nobody waits for it: the server may be gone. Other agents of this process go on hearing the broadcasts.
    subscriber.unsubscribe(wake).catch(() => undefined)
  }
}

/** Whether somebody hears what is said to an agent's worker. Where Redis does not tell, it is taken for true. */
export async function isHeard(redis: Redis, { wake }: AgentKeys): Promise<boolean> {
  const [, listeners] = (await redis.pubsub('NUMSUB', wake).catch(() => [wake, 1])) as [string, number]
  return Number(listeners) > 0
}

async function deliver(lease: Lease, raw: string): Promise<void> {
  const decoded = decodeMessage(raw)
  if (decoded.ok && decoded.message.from === lease.agentId) return
  const priority = decoded.ok ? decoded.message.priority : 'normal'
  await pushRaw(lease.redis, lease.agent, { raw, priority })
}
