import { sleep } from '../base/clock.ts'
import { messageOf } from '../domain/errors.ts'
import { holdMs } from '../reliability/retry-policy.ts'
import { isLasting } from '../store/connection.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { LoopTools } from './loop.ts'
import type { Trouble } from './run.ts'

/** What stands in the way of the worker when Redis refuses a command until somebody puts it right; null for any other error. */
export function troubleOfRefusal(error: unknown): Trouble | null {
  if (!isLasting(error)) return null
  return { reason: 'config', detail: `Redis refuses what the worker needs: ${messageOf(error)}` }
}

/** Says once what is broken, and waits longer from try to try. */
export async function standBroken(
  { by, trouble, tries }: { by: 'look' | 'start'; trouble: Trouble; tries: number },
  { lifecycle, emit, once, control }: Pick<LoopTools, 'lifecycle' | 'emit' | 'once' | 'control'>,
): Promise<void> {
  const retryMs = holdMs(trouble, tries)
  lifecycle.enter({ name: 'broken', by, tries }, trouble.reason)
  if (tries === 1) emit({ type: 'surroundings-broken', ...trouble, retryMs })
  if (!once) await sleep(retryMs, control.draining)
}

/** Says in the record what is broken, where Redis takes that. */
export async function tellBroken(
  { detail }: Trouble,
  { sayBroken }: Pick<LoopTools, 'sayBroken'>,
): Promise<void> {
  try {
    await sayBroken(detail)
  } catch (error) {
    if (!isLasting(error)) throw error
  }
}

export type RefusedTools = Pick<LoopTools, 'lifecycle' | 'emit' | 'once' | 'control' | 'sayBroken'>

/**
 * Repeats a write that has to be made before the worker goes on, as long as Redis refuses it: the agent is in error meanwhile. Throws
 * the refusal when the worker is to end, and any other failure.
 */
export async function whileRefused<T>(write: () => Promise<T>, tools: RefusedTools): Promise<T> {
  const { lifecycle, control, emit, once } = tools
  const before: Lifecycle['phase'] = lifecycle.phase
  for (let tries = 1; ; tries += 1) {
    try {
      const done = await write()
      if (tries > 1) {
        lifecycle.enter(before)
        emit({ type: 'surroundings-mended' })
      }
      return done
    } catch (error) {
      const trouble = troubleOfRefusal(error)
      if (trouble === null || once || control.draining.aborted) throw error
      if (tries === 1) await tellBroken(trouble, tools)
      await standBroken({ by: 'start', trouble, tries }, tools)
    }
  }
}
