import { monotonicMs, sleep } from '../base/clock.ts'
import type { Id } from '../domain/ids.ts'
import type { Registered } from '../store/agents.ts'

/** How often a name is looked at whose holder may be dead. */
const LOOK_MS = 250
/** How much later than it said a lease may run out before it must have been renewed. */
const SLACK_MS = 1000

type Held = Extract<Registered, { kind: 'held' }>
type Taken = Extract<Registered, { kind: 'registered' }>

export interface NamePoolTools {
  readonly register: (name: string) => Promise<Registered>
  /** Whether the worker of an agent hears what is said to it. One that was killed does not, though its lease is still there. */
  readonly isHeard: (agentId: Id) => Promise<boolean>
  /** Told once of every name whose lease is waited for. */
  readonly onWait: (name: string, holder: Held) => void
  readonly signal: AbortSignal
  readonly now?: () => number
}

export type PoolEnd = (Taken & { readonly name: string }) | { readonly kind: 'all-held' }

/**
 * Registers under the first of `names` that no live worker has. A name whose holder is silent is waited for until its lease has run
 * out: going on to the next one would leave a dead worker's inbox to nobody. Throws `signal.reason` when aborted.
 */
export async function takeName(names: readonly string[], tools: NamePoolTools): Promise<PoolEnd> {
  const now = tools.now ?? monotonicMs
  const expected = new Map<string, number>()
  for (;;) {
    const found = await firstFree(names, tools, (name, holder) => {
      const since = expected.get(name)
      if (since !== undefined) return now() < since
      expected.set(name, now() + holder.expiresInMs + SLACK_MS)
      tools.onWait(name, holder)
      return true
    })
    if (found.kind !== 'silent') return found
    if (!(await sleep(Math.min(LOOK_MS, Math.max(0, found.expiresInMs) + 1), tools.signal)))
      throw tools.signal.reason
  }
}

/** `mayWait`: whether the lease of a silent holder can still run out; one that did not in time is renewed by somebody. */
async function firstFree(
  names: readonly string[],
  { register, isHeard, signal }: NamePoolTools,
  mayWait: (name: string, holder: Held) => boolean,
): Promise<PoolEnd | { readonly kind: 'silent'; readonly expiresInMs: number }> {
  for (const name of names) {
    signal.throwIfAborted()
    const registered = await register(name)
    if (registered.kind === 'registered') return { ...registered, name }
    if (await isHeard(registered.agentId)) continue
    if (mayWait(name, registered)) return { kind: 'silent', expiresInMs: registered.expiresInMs }
  }
  return { kind: 'all-held' }
}
