import { monotonicMs, sleep } from '../base/clock.ts'
import { AGENT_VARIABLE, RUN_VARIABLE, TASK_VARIABLE } from './environment.ts'
import { kill, type ProcessEntry, type ProcessTable, systemTable, type TreeSignal } from './process-table.ts'

/** By what the processes of a run are known. With `taskId` alone: what an earlier daemon left behind. */
export interface TreeTarget {
  readonly rootPid?: number
  /** When the root was started, as the process table tells; guards against a pid that is used again. */
  readonly rootStartedAt?: number
  readonly groupId?: number
  readonly taskId: string
  /** Narrows the search by task to the children of one agent. */
  readonly agentId?: string
  /** Narrows it to one run: a stale worker must not end the run of the one that took its task over. */
  readonly runId?: string
}

/** Pids that were ended, and pids that did not go away: of another user, or stuck in the kernel. */
export interface TreeEnd {
  readonly ended: readonly number[]
  readonly survived: readonly number[]
}

export interface EndTreeOptions {
  /** From SIGTERM to SIGKILL, in milliseconds. */
  readonly graceMs: number
  /** Aborts to kill at once. */
  readonly hurry?: AbortSignal
  readonly table?: ProcessTable
}

/** The processes that must never be signalled. */
export interface Self {
  readonly pid: number
}

type Known = ReadonlyMap<number, number>

const RESCAN_MS = 500
const KILL_ROUNDS = 10
const KILL_WAIT_MS = 100

/** Finds every process of the tree that lives, by one look at the process table. */
export async function findTree(target: TreeTarget, table = systemTable()): Promise<ProcessEntry[]> {
  return selectTree(await table.list(), target, { carries: table.carries, self: process, known: new Map() })
}

/**
 * Picks the processes of a tree: the root, its group, its session, those marked with the task in their environment, those
 * known from before, and all descendants of these. Never this process, its ancestors, its group, or pid 1.
 */
export function selectTree(
  entries: readonly ProcessEntry[],
  target: TreeTarget,
  { carries, self, known }: { carries: ProcessTable['carries']; self: Self; known: Known },
): ProcessEntry[] {
  const spared = sparedBy(entries, self)
  const others = entries.filter((entry) => !spared(entry))
  const { rootPid, rootStartedAt: since } = target
  const root = entries.find(({ pid }) => pid === rootPid)
  // The number is used again: neither the group nor the session of that name is ours.
  const reused = since !== undefined && root !== undefined && root.startedAt !== since
  const marks = marksOf(target)
  const isOurs = (entry: ProcessEntry) =>
    known.get(entry.pid) === entry.startedAt ||
    (!reused && isNamed(entry, target)) ||
    ((since === undefined || entry.startedAt >= since) && carries(entry.pid, marks))
  return withDescendants(others.filter(isOurs), others).filter(({ zombie }) => !zombie)
}

/** Signals the whole tree: its group at one stroke, as it may be forking, then each one that is elsewhere. */
export async function signalTree(
  target: TreeTarget,
  entries: readonly ProcessEntry[],
  { signal, table = systemTable() }: { signal: TreeSignal; table?: ProcessTable },
): Promise<void> {
  const { groupId } = target
  const inGroup = (entry: ProcessEntry) => groupId !== undefined && groupId > 1 && entry.group === groupId
  if (groupId !== undefined && entries.some(inGroup)) kill(-groupId, signal)
  await table.signal(
    entries.filter((entry) => !inGroup(entry)),
    signal,
  )
}

/**
 * Ends a tree: SIGTERM, SIGKILL to what is left after the grace, and again to what was forked in between, until nothing is
 * left. Bounded: a process that SIGKILL does not end is told in `survived`.
 */
export async function endTree(
  target: TreeTarget,
  { graceMs, hurry, table = systemTable() }: EndTreeOptions,
): Promise<TreeEnd> {
  const known = new Map<number, number>()
  const scan = async () => {
    const found = selectTree(await table.list(), target, { carries: table.carries, self: process, known })
    for (const { pid, startedAt } of found) known.set(pid, startedAt)
    return found
  }
  const deadline = monotonicMs() + graceMs
  const asked = new Map<number, number>()
  let left = await scan()
  while (left.length > 0 && monotonicMs() < deadline && !hurry?.aborted) {
    const fresh = left.filter(({ pid, startedAt }) => asked.get(pid) !== startedAt)
    for (const { pid, startedAt } of fresh) asked.set(pid, startedAt)
    await signalTree(target, fresh, { signal: 'SIGTERM', table })
    await untilGone(left, { deadline: Math.min(deadline, monotonicMs() + RESCAN_MS), hurry, table })
    left = await scan()
  }
  for (let round = 0; left.length > 0 && round < KILL_ROUNDS; round += 1) {
    await signalTree(target, left, { signal: 'SIGKILL', table })
    await untilGone(left, { deadline: monotonicMs() + KILL_WAIT_MS, table })
    left = await scan()
  }
  const survived = left.map(({ pid }) => pid)
  return { ended: [...known.keys()].filter((pid) => !survived.includes(pid)), survived }
}

function marksOf({ taskId, agentId, runId }: TreeTarget): string[] {
  if (runId !== undefined) return [`${RUN_VARIABLE}=${runId}`]
  const marks = [`${TASK_VARIABLE}=${taskId}`]
  return agentId === undefined ? marks : [...marks, `${AGENT_VARIABLE}=${agentId}`]
}

function isNamed({ pid, group, session }: ProcessEntry, { rootPid, groupId }: TreeTarget): boolean {
  if (rootPid !== undefined && (pid === rootPid || session === rootPid)) return true
  return groupId !== undefined && group === groupId
}

function sparedBy(entries: readonly ProcessEntry[], self: Self): (entry: ProcessEntry) => boolean {
  const byPid = new Map(entries.map((entry) => [entry.pid, entry]))
  const own = byPid.get(self.pid)
  const spared = new Set([0, 1, self.pid])
  for (let at = own; at && !spared.has(at.parent); at = byPid.get(at.parent)) spared.add(at.parent)
  return ({ pid, group }) => spared.has(pid) || group === own?.group
}

function withDescendants(seeds: readonly ProcessEntry[], entries: readonly ProcessEntry[]): ProcessEntry[] {
  const found = new Set(seeds)
  // A set goes on to what is added while it is walked through.
  for (const { pid } of found) {
    for (const entry of entries) if (entry.parent === pid) found.add(entry)
  }
  return [...found]
}

interface Wait {
  readonly deadline: number
  readonly hurry?: AbortSignal | undefined
  readonly table: ProcessTable
}

async function untilGone(entries: readonly ProcessEntry[], { deadline, hurry, table }: Wait): Promise<void> {
  const started = new Map(entries.map(({ pid, startedAt }) => [pid, startedAt]))
  for (;;) {
    const there = await table.look([...started.keys()])
    const alive = there.some(({ pid, startedAt, zombie }) => !zombie && started.get(pid) === startedAt)
    const leftMs = deadline - monotonicMs()
    if (!alive || leftMs <= 0) return
    if (!(await sleep(Math.min(table.pollMs, leftMs), hurry))) return
  }
}
