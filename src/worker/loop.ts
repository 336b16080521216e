import type { Bell } from '../base/bell.ts'
import { sleep } from '../base/clock.ts'
import { oneLine } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import { messageOf } from '../domain/errors.ts'
import type { Emit } from '../domain/worker-event.ts'
import type { Circuit, RunEnd } from '../reliability/circuit.ts'
import { holdMs } from '../reliability/retry-policy.ts'
import type { Claim, Claimed, Poison } from '../store/inbox.ts'
import { replyErrorCode } from '../store/script.ts'
import type { Control } from './control.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { Trouble } from './run.ts'
import type { Handled } from './work.ts'

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
  /** Both say in the record how the circuit stands as well. */
  readonly sayBroken: (detail: string) => Promise<void>
  readonly sayIdle: (why?: string) => Promise<void>
  readonly circuit: Circuit
  readonly lifecycle: Lifecycle
  readonly control: Control
  /** Rings when somebody wants to be heard at once. */
  readonly bell: Bell
  /** Rings when somebody wants a broken agent to look again at once. */
  readonly lookBell: Bell
  readonly emit: Emit
  /** Called at each turn of the loop: whoever counts them sees when it is wedged. */
  readonly onTurn: () => void
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
  let broken = false
  while (!tools.control.draining.aborted) {
    tools.onTurn()
    if (!(await inOrder(tools))) {
      if (tools.once) return 'broken'
      continue
    }
    const rung = tools.bell.next
    const asked = tools.lookBell.next
    const claim = await claimed(tools)
    if ('trouble' in claim) {
      held += 1
      broken = true
      if (held === 1) await tools.sayBroken(claim.trouble.detail)
      if (await standBroken({ by: 'start', trouble: claim.trouble, tries: held, asked }, tools)) held = 0
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
        if (broken) tools.emit({ type: 'surroundings-mended' })
        held = 0
        broken = false
        if (tools.maxRounds > 0 && rounds >= tools.maxRounds) return 'rounds'
        await learn(handled.end, asked, tools)
        if (tools.once && tools.circuit.state === 'open') return 'broken'
      }
      if (handled.kind === 'held') {
        held += 1
        broken = true
        if (await standBroken({ by: 'start', trouble: handled.trouble, tries: held, asked }, tools)) held = 0
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

/** Looks whether a run could start and is worth it. While not, the agent says `error` and the tasks stay queued. */
async function inOrder(tools: LoopTools): Promise<boolean> {
  const { lifecycle, circuit } = tools
  const asked = tools.lookBell.next
  if (circuit.waitMs > 0) {
    await standOpen(asked, tools)
    return false
  }
  const trouble = await tools.inspect()
  const { phase } = lifecycle
  if (trouble) {
    const tries = phase.name === 'broken' && phase.by !== 'circuit' ? phase.tries + 1 : 1
    if (tries === 1) await tools.sayBroken(trouble.detail)
    if (await standBroken({ by: 'look', trouble, tries, asked }, tools))
      lifecycle.enter({ name: 'broken', by: 'look', tries: 0 })
    return false
  }
  // What only the start of a run showed is mended when a run has started.
  if (phase.name === 'broken' && phase.by === 'look') await mend(tools)
  if (circuit.halfOpen()) {
    // First the phase: a beat that was sent meanwhile would write `error` again, and none follows for seconds.
    lifecycle.enter({ name: 'idle' }, 'half-open')
    await tools.sayIdle('the circuit is half-open: the next task shows whether the CLI works again')
    tools.emit({ type: 'circuit-half-open' })
  } else if (phase.name === 'starting') {
    await tools.sayIdle()
    lifecycle.enter({ name: 'idle' })
  }
  return true
}

/** Has the circuit learn from a run, and tells what that made of it. */
async function learn(end: RunEnd, asked: AbortSignal, tools: LoopTools): Promise<void> {
  const { circuit, sayIdle, emit } = tools
  const before = circuit.state
  await circuit.record(end)
  if (circuit.state === before) return
  if (circuit.state === 'open') return await standOpen(asked, tools)
  await sayIdle('the circuit is closed again')
  emit({ type: 'circuit-closed' })
}

/** Says once why the circuit is open, and waits until a task may be tried, or until somebody asks for it. */
async function standOpen(asked: AbortSignal, tools: LoopTools): Promise<void> {
  const { circuit, lifecycle, once } = tools
  const { waitMs, row } = circuit
  const { phase } = lifecycle
  if (!(phase.name === 'broken' && phase.by === 'circuit')) {
    const next = once ? {} : { retryMs: waitMs }
    const at = once ? '' : `, one task is tried at ${new Date(Date.now() + waitMs).toISOString()}`
    await tools.sayBroken(`The circuit is open${at}: ${rowSentence(row)}`)
    lifecycle.enter({ name: 'broken', by: 'circuit' }, 'circuit open')
    tools.emit({ type: 'circuit-opened', detail: rowSentence(row), ...next })
  }
  if (once || !(await standBy(waitMs, asked, tools))) return
  circuit.stopWaiting()
}

/** Waits. True: somebody has asked to look again before that. */
async function standBy(ms: number, asked: AbortSignal, { control, emit }: LoopTools): Promise<boolean> {
  await sleep(ms, control.draining, asked)
  if (!asked.aborted || control.draining.aborted) return false
  emit({ type: 'asked-to-look' })
  return true
}

function rowSentence({ failures, last }: Circuit['row']): string {
  const tasks = failures === 1 ? '1 task' : `${failures} different tasks in a row`
  return `${tasks} failed${last ? `, the last one with ${last.reason}: ${oneLine(last.detail)}` : ''}`
}

async function mend({ emit, sayIdle, lifecycle }: LoopTools): Promise<void> {
  await sayIdle()
  lifecycle.enter({ name: 'idle' })
  emit({ type: 'surroundings-mended' })
}

interface Broken {
  readonly by: 'look' | 'start'
  readonly trouble: Trouble
  readonly tries: number
  /** Aborts when somebody wants it to look again at once. */
  readonly asked: AbortSignal
}

/** Says once what is broken, and waits longer from try to try. True: somebody has asked to look again before that. */
async function standBroken({ by, trouble, tries, asked }: Broken, tools: LoopTools): Promise<boolean> {
  const retryMs = holdMs(trouble, tries)
  tools.lifecycle.enter({ name: 'broken', by, tries }, trouble.reason)
  if (tries === 1) tools.emit({ type: 'surroundings-broken', ...trouble, retryMs })
  return !tools.once && (await standBy(retryMs, asked, tools))
}
