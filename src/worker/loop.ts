import type { Bell } from '../base/bell.ts'
import { sleep } from '../base/clock.ts'
import { oneLine } from '../base/text.ts'
import { unreachable } from '../base/unreachable.ts'
import type { Emit } from '../domain/worker-event.ts'
import type { Circuit, RunEnd } from '../reliability/circuit.ts'
import type { Claim, Claimed, Poison } from '../store/inbox.ts'
import type { Control } from './control.ts'
import type { Lifecycle } from './lifecycle.ts'
import { standBroken, standBy, tellBroken, troubleOfRefusal } from './refused.ts'
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

/** What the loop counts: its runs, and the tries since something only the start of a run showed was in order, or somebody asked to look. */
interface Counts {
  rounds: number
  held: number
  /** It was told that something is broken, and not yet that it is mended. */
  isBroken: boolean
}

/** Claims and handles one message after another until it is told to drain. */
export async function runLoop(tools: LoopTools): Promise<LoopEnd> {
  const counts: Counts = { rounds: 0, held: 0, isBroken: false }
  while (!tools.control.draining.aborted) {
    tools.onTurn()
    const asked = tools.lookBell.next
    const end = await turn(counts, asked, tools).catch((error) => afterRefusal(error, counts, asked, tools))
    if (end) return end
  }
  return 'drained'
}

/** What Redis refuses is trouble, not the end, and not the fault of the message in hand: somebody can put it right. */
async function afterRefusal(
  error: unknown,
  counts: Counts,
  asked: AbortSignal,
  tools: LoopTools,
): Promise<LoopEnd | null> {
  const trouble = troubleOfRefusal(error)
  if (trouble === null) throw error
  if (tools.control.draining.aborted) return null
  if (counts.held === 0) await tellBroken(trouble, tools)
  return await hold(trouble, counts, asked, tools)
}

/** What only the start of a run or a refusal showed: the next one shows whether it is mended. */
async function hold(
  trouble: Trouble,
  counts: Counts,
  asked: AbortSignal,
  tools: LoopTools,
): Promise<LoopEnd | null> {
  counts.held += 1
  counts.isBroken = true
  if (await standBroken({ by: 'start', trouble, tries: counts.held, asked }, tools)) counts.held = 0
  return tools.once ? 'broken' : null
}

/** Claims one message and handles it, or rests. Returns why the loop is over, or null. */
async function turn(counts: Counts, asked: AbortSignal, tools: LoopTools): Promise<LoopEnd | null> {
  if (!(await inOrder(asked, tools))) return tools.once ? 'broken' : null
  const rung = tools.bell.next
  const claim = await tools.claim()
  // A claim that raced the wish to end stays in flight; leaving gives it back to the head of the inbox.
  if (tools.control.draining.aborted) return null
  if (claim.kind !== 'paused' && tools.lifecycle.phase.name === 'paused') {
    tools.lifecycle.enter({ name: 'idle' }, 'resumed')
    tools.emit({ type: 'resumed' })
  }
  if (claim.kind === 'message') return await done(await tools.handle(claim), counts, asked, tools)
  if (claim.kind === 'poison') {
    await tools.putPoisonAside(claim)
    return null
  }
  if (tools.lifecycle.phase.name === 'broken' && claim.kind === 'empty') {
    counts.held = 0
    counts.isBroken = false
    await mend(tools)
  }
  return await rest(claim, rung, tools)
}

/** Counts what came of a message. */
async function done(
  handled: Handled,
  counts: Counts,
  asked: AbortSignal,
  tools: LoopTools,
): Promise<LoopEnd | null> {
  if (handled.kind === 'drain') tools.control.drain('shutdown message')
  if (handled.kind === 'ran') {
    counts.rounds += 1
    if (counts.isBroken) tools.emit({ type: 'surroundings-mended' })
    counts.held = 0
    counts.isBroken = false
    if (tools.maxRounds > 0 && counts.rounds >= tools.maxRounds) return 'rounds'
    await learn(handled.end, asked, tools)
    if (tools.once && tools.circuit.state === 'open') return 'broken'
  }
  return handled.kind === 'held' ? await hold(handled.trouble, counts, asked, tools) : null
}

/** Nothing was claimed: waits as fits, or says why the loop is over. */
async function rest(
  claim: Exclude<Claim, { kind: 'message' | 'poison' }>,
  rung: AbortSignal,
  tools: LoopTools,
): Promise<LoopEnd | null> {
  const { lifecycle, control, emit } = tools
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
async function inOrder(asked: AbortSignal, tools: LoopTools): Promise<boolean> {
  const { lifecycle, circuit } = tools
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
  if (!once && (await standBy(waitMs, asked, tools))) circuit.stopWaiting()
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
