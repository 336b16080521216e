import type { Bell } from '../base/bell.ts'
import { sleep } from '../base/clock.ts'
import { unreachable } from '../base/unreachable.ts'
import { messageOf } from '../domain/errors.ts'
import type { Emit } from '../domain/worker-event.ts'
import { holdMs } from '../reliability/retry-policy.ts'
import type { Claim, Claimed, Poison } from '../store/inbox.ts'
import { replyErrorCode } from '../store/script.ts'
import type { Handled } from './attempt.ts'
import type { Control } from './control.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Trouble } from './run.ts'

const PAUSE_POLL_MS = 1000

export interface LoopTools {
  /** Says what is missing for a run, or null. */
  readonly inspect: () => Promise<Trouble | null>
  /** Throws what Redis refused for good. */
  readonly claim: () => Promise<Claim>
  readonly handle: (claimed: Claimed) => Promise<Handled>
  /** Puts a message aside with which too many workers died. */
  readonly putPoisonAside: (poison: Poison) => Promise<void>
  /** Looks for work beyond the inbox; true when there is something to claim now. */
  readonly fetchWork: () => Promise<boolean>
  /** Waits until there may be something to claim; `rung` ends the wait. */
  readonly wait: (rung: AbortSignal) => Promise<void>
  readonly sayBroken: (trouble: Trouble) => Promise<void>
  readonly sayIdle: () => Promise<void>
  readonly lifecycle: Lifecycle
  readonly control: Control
  /** Rings when somebody wants to be heard at once. */
  readonly bell: Bell
  readonly emit: Emit
  /** True: the loop ends when there is nothing to claim. */
  readonly once: boolean
  /** How many runs the loop makes at most; 0 = no limit. */
  readonly maxRounds: number
}

/** Why the loop ended. */
export type LoopEnd = 'drained' | 'empty' | 'paused' | 'rounds' | 'broken' | 'evicted' | 'restarted'

/** Claims and handles one message after another until it is told to drain. */
export async function runLoop(tools: LoopTools): Promise<LoopEnd> {
  let rounds = 0
  let held = 0
  while (!tools.control.draining.aborted) {
    if (tools.maxRounds > 0 && rounds >= tools.maxRounds) return 'rounds'
    if (!(await inOrder(tools))) {
      if (tools.once) return 'broken'
      continue
    }
    const rung = tools.bell.next
    const claim = await claimed(tools)
    if ('trouble' in claim) {
      held += 1
      if (held === 1) await tools.sayBroken(claim.trouble)
      await standBroken({ by: 'start', trouble: claim.trouble, tries: held }, tools)
      if (tools.once) return 'broken'
      continue
    }
    // A claim that raced the wish to end stays in flight; leaving gives it back to the head of the inbox.
    if (tools.control.draining.aborted) break
    if (claim.kind !== 'paused' && tools.lifecycle.phase.name === 'paused') {
      tools.lifecycle.enter({ name: 'idle' }, 'resumed')
      tools.emit({ type: 'resumed' })
    }
    if (claim.kind === 'message') {
      const handled = await tools.handle(claim)
      if (handled.kind === 'drain') tools.control.drain('shutdown message')
      if (handled.kind === 'ran') {
        rounds += 1
        if (held > 0) tools.emit({ type: 'surroundings-mended' })
        held = 0
      }
      if (handled.kind === 'held') {
        held += 1
        await standBroken({ by: 'start', trouble: handled.trouble, tries: held }, tools)
        if (tools.once) return 'broken'
      }
      continue
    }
    if (claim.kind === 'poison') {
      await tools.putPoisonAside(claim)
      continue
    }
    const end = await rest(claim, rung, tools)
    if (end) return end
  }
  return 'drained'
}

/** A key of the agent that holds something else than it should is trouble, not the end: somebody can put it right. */
async function claimed({ claim }: LoopTools): Promise<Claim | { readonly trouble: Trouble }> {
  try {
    return await claim()
  } catch (error) {
    if (replyErrorCode(error) !== 'WRONGTYPE') throw error
    return { trouble: { reason: 'config', detail: `The queue cannot be read: ${messageOf(error)}` } }
  }
}

/** Nothing was claimed: waits as fits, or says why the loop is over. */
async function rest(
  claim: Exclude<Claim, { kind: 'message' | 'poison' }>,
  rung: AbortSignal,
  tools: LoopTools,
): Promise<LoopEnd | null> {
  const { lifecycle, control, emit } = tools
  if (lifecycle.phase.name === 'broken' && claim.kind === 'empty') await mend(tools)
  switch (claim.kind) {
    case 'empty':
      if (await tools.fetchWork()) return null
      if (tools.once && claim.delayed === 0) return 'empty'
      await tools.wait(rung)
      return null
    case 'paused':
      if (lifecycle.phase.name !== 'paused') {
        lifecycle.enter({ name: 'paused' })
        emit({ type: 'paused' })
      }
      if (tools.once) return 'paused'
      await sleep(PAUSE_POLL_MS, control.draining, rung)
      return null
    case 'stopping':
      control.drain('stop requested')
      return null
    case 'evicted':
      emit({ type: 'evicted' })
      return 'evicted'
    case 'restarted':
      control.drain('tt restart has started another worker for this agent')
      return 'restarted'
    default:
      return unreachable(claim)
  }
}

/** Looks whether a run could start. While it could not, the agent says `error` and the tasks stay queued. */
async function inOrder(tools: LoopTools): Promise<boolean> {
  const { lifecycle } = tools
  const trouble = await tools.inspect()
  const { phase } = lifecycle
  if (!trouble) {
    if (phase.name === 'starting') {
      await tools.sayIdle()
      lifecycle.enter({ name: 'idle' })
    }
    // What only the start of a run showed is mended when a run has started.
    if (phase.name === 'broken' && phase.by === 'look') await mend(tools)
    return true
  }
  const tries = phase.name === 'broken' ? phase.tries + 1 : 1
  if (tries === 1) await tools.sayBroken(trouble)
  await standBroken({ by: 'look', trouble, tries }, tools)
  return false
}

async function mend({ emit, sayIdle, lifecycle }: LoopTools): Promise<void> {
  await sayIdle()
  lifecycle.enter({ name: 'idle' })
  emit({ type: 'surroundings-mended' })
}

/** Says once what is broken, and waits longer from try to try. */
async function standBroken(
  { by, trouble, tries }: { by: 'look' | 'start'; trouble: Trouble; tries: number },
  tools: LoopTools,
): Promise<void> {
  const retryMs = holdMs(trouble, tries)
  tools.lifecycle.enter({ name: 'broken', by, tries }, trouble.reason)
  if (tries === 1) tools.emit({ type: 'surroundings-broken', ...trouble, retryMs })
  if (!tools.once) await sleep(retryMs, tools.control.draining)
}
