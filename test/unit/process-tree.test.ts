import { describe, expect, it } from 'vitest'
import type { ProcessEntry } from '../../src/process/process-table.ts'
import { selectTree, type TreeTarget } from '../../src/process/process-tree.ts'

const SELF = 50
const entry = (pid: number, parent: number, more: Partial<ProcessEntry> = {}): ProcessEntry => ({
  pid,
  parent,
  group: pid,
  session: pid,
  startedAt: pid,
  zombie: false,
  ...more,
})

/** init, a shell, this process, and a root with the number 100. */
const MACHINE = [entry(1, 0), entry(40, 1), entry(SELF, 40), entry(60, 1)]
const ROOT = entry(100, SELF)
const TARGET: TreeTarget = { rootPid: 100, rootStartedAt: 100, groupId: 100, taskId: 'task' }

const select = (
  entries: ProcessEntry[],
  { target = TARGET, marked = [] as number[], known = new Map<number, number>() } = {},
) =>
  selectTree([...MACHINE, ...entries], target, {
    carries: (pid) => marked.includes(pid),
    self: { pid: SELF },
    known,
  }).map(({ pid }) => pid)

describe('which processes belong to a run', () => {
  it.each<[string, ProcessEntry[], number[]]>([
    ['the root alone', [ROOT], [100]],
    ['children and their children', [ROOT, entry(101, 100), entry(102, 101)], [100, 101, 102]],
    ['an orphan of the group', [entry(101, 1, { group: 100 })], [101]],
    ['an orphan of the session in a group of its own', [entry(101, 1, { session: 100 })], [101]],
    ['what came of an orphan', [entry(101, 1, { group: 100 }), entry(102, 101)], [101, 102]],
    ['no zombies', [{ ...ROOT, zombie: true }, entry(101, 100)], [101]],
    ['nobody else', [ROOT, entry(200, 60), entry(201, 1)], [100]],
  ])('takes %s', (_, entries, expected) => {
    expect(select(entries)).toEqual(expected)
  })

  it('finds what has left group, session and parents by its environment', () => {
    expect(select([ROOT, entry(300, 1), entry(301, 300)], { marked: [300] })).toEqual([100, 300, 301])
  })

  it('does not look at the environment of what is older than the run', () => {
    expect(select([ROOT], { marked: [60] })).toEqual([100])
  })

  it('keeps who was seen in the tree before, and nobody who has the number now', () => {
    const known = new Map([
      [300, 300],
      [301, 7],
    ])
    expect(select([entry(300, 1), entry(301, 1)], { known })).toEqual([300])
  })

  it('takes neither group nor session nor children of a number that is used again', () => {
    const other = entry(100, 60, { startedAt: 999 })
    const entries = [other, entry(101, 100, { startedAt: 999 }), entry(102, 1, { group: 100 })]
    expect(select(entries)).toEqual([])
  })

  it('finds what an earlier daemon left behind by the task alone', () => {
    const target = { taskId: 'task' }
    expect(select([entry(300, 1), entry(301, 300)], { target, marked: [300] })).toEqual([300, 301])
  })

  it('spares itself, its ancestors, its group and the first process, whatever they carry', () => {
    const sibling = entry(51, 60, { group: SELF })
    expect(select([sibling], { target: { taskId: 'task' }, marked: [1, 40, SELF, 51] })).toEqual([])
  })
})
