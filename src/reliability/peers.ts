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
  /** Nobody takes itself for dead. */
  readonly self: Id
  readonly look: () => Promise<PeerLook>
  readonly recover: (agentId: Id) => Promise<Recovered | null>
  readonly onRecovered: (recovered: Recovered) => void
  /** A look or a recovery failed: Redis is away, or refused it. */
  readonly onFailed: (error: unknown) => void
  readonly signal: AbortSignal
}

/**
 * Looks after the other workers of the town until `signal` aborts: what a dead one had in hand goes back to its inbox. A look that
 * failed is made again at its next time; whoever is dead has other peers, too.
 */
export async function lookAfterPeers({
  self,
  look,
  recover,
  onRecovered,
  onFailed,
  signal,
}: PeerTools): Promise<void> {
  const failed = (error: unknown) => {
    if (!signal.aborted) onFailed(error)
  }
  let waitMs = backoffMs(LOOK, 1)
  while (await sleep(waitMs, signal)) {
    waitMs = backoffMs(LOOK, 1)
    const found = await unlessAborted(look(), signal).catch(failed)
    if (!found) continue
    if (found.againMs !== null) waitMs = Math.min(waitMs, found.againMs + LATER_MS)
    for (const agentId of found.dead) {
      if (agentId === self) continue
      // One that cannot be recovered does not keep the others from it.
      const recovered = await unlessAborted(recover(agentId), signal).catch(failed)
      if (recovered) onRecovered(recovered)
    }
  }
}
