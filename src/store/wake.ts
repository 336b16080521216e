import type { Redis } from 'ioredis'
import type { Lease } from './lease.ts'

/**
 * Hears what is said to an agent's worker, on a connection of its own: `onWake` is called at every word, and after every
 * reconnect, as one may have been missed. Returns what ends it.
 */
export async function hearWakes(subscriber: Redis, lease: Lease, onWake: () => void): Promise<() => void> {
  const { wake } = lease.agent
  const onMessage = (channel: string) => {
    if (channel === wake) onWake()
  }
  // One listener for each agent of this process.
  subscriber.setMaxListeners(0)
  subscriber.on('message', onMessage)
  subscriber.on('ready', onWake)
  await subscriber.subscribe(wake)
  return () => {
    subscriber.off('message', onMessage)
    subscriber.off('ready', onWake)
    // Nobody waits for it: the server may be gone.
    subscriber.unsubscribe(wake).catch(() => undefined)
  }
}
