import { unlessAborted } from '../base/abort.ts'
import { type Backoff, backoffMs } from '../base/backoff.ts'
import { sleep } from '../base/clock.ts'
import type { Id } from '../domain/ids.ts'
import type { PeerLook, Recovered } from '../store/peers.ts'

/** Every look is one script; between 1.5 and 2 s, so that workers that started together do not look together. */
const LOOK: Backoff = { firstMs: 2000, factor: 1, maxMs: 2000, jitter: 0.25 }
/** A clock of the server and one of ours may tick apart. */
const LATER_MS = 20

export interface PeerTools {
  readonly look: () => Promise<PeerLook>
  readonly recover: (agentId: Id) => Promise<Recovered | null>
  readonly onRecovered: (recovered: Recovered) => void
  readonly signal: AbortSignal
}

/**
 * Looks after the other workers of the town until `signal` aborts: what a dead one had in hand goes back to its inbox. A look that
 * failed is made again at its next time; whoever is dead has other peers, too.
 */
export async function lookAfterPeers({ look, recover, onRecovered, signal }: PeerTools): Promise<void> {
  let waitMs = backoffMs(LOOK, 1)
  while (await sleep(waitMs, signal)) {
    waitMs = backoffMs(LOOK, 1)
    try {
      const { dead, againMs } = await unlessAborted(look(), signal)
      if (againMs !== null) waitMs = Math.min(waitMs, againMs + LATER_MS)
      for (const agentId of dead) {
        const recovered = await unlessAborted(recover(agentId), signal)
        if (recovered) onRecovered(recovered)
      }
    } catch {
      // Redis is away, or refuses it: those who work tell of it.
    }
  }
}
