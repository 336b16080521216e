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

interface Broken {
  readonly by: 'look' | 'start'
  readonly trouble: Trouble
  readonly tries: number
  /** Aborts when somebody wants it to look again at once. */
  readonly asked: AbortSignal
}

/** Says once what is broken, and waits longer from try to try. True: somebody has asked to look again before that. */
export async function standBroken(
  { by, trouble, tries, asked }: Broken,
  tools: Pick<LoopTools, 'lifecycle' | 'emit' | 'once' | 'control'>,
): Promise<boolean> {
  const retryMs = holdMs(trouble, tries)
  tools.lifecycle.enter({ name: 'broken', by, tries }, trouble.reason)
  if (tries === 1) tools.emit({ type: 'surroundings-broken', ...trouble, retryMs })
  return !tools.once && (await standBy(retryMs, asked, tools))
}

/** Waits. True: somebody has asked to look again before that. */
export async function standBy(
  ms: number,
  asked: AbortSignal,
  { control, emit }: Pick<LoopTools, 'control' | 'emit'>,
): Promise<boolean> {
  await sleep(ms, control.draining, asked)
  if (!asked.aborted || control.draining.aborted) return false
  emit({ type: 'asked-to-look' })
  return true
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

export type RefusedTools = Pick<
  LoopTools,
  'lifecycle' | 'emit' | 'once' | 'control' | 'lookBell' | 'sayBroken'
>

/**
 * Repeats a write that has to be made before the worker goes on, as long as Redis refuses it: the agent is in error meanwhile. Throws
 * the refusal when the worker is to end, and any other failure.
 */
export async function whileRefused<T>(write: () => Promise<T>, tools: RefusedTools): Promise<T> {
  const { lifecycle, control, emit, once } = tools
  const before: Lifecycle['phase'] = lifecycle.phase
  for (let [tries, isTold] = [1, false]; ; tries += 1) {
    const asked = tools.lookBell.next
    try {
      const done = await write()
      if (isTold) {
        lifecycle.enter(before)
        emit({ type: 'surroundings-mended' })
      }
      return done
    } catch (error) {
      const trouble = troubleOfRefusal(error)
      if (trouble === null || once || control.draining.aborted) throw error
      if (!isTold) await tellBroken(trouble, tools)
      isTold = true
      if (await standBroken({ by: 'start', trouble, tries, asked }, tools)) tries = 0
    }
  }
}
