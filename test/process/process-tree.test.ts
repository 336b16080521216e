import { describe, expect, it } from 'vitest'
import { monotonicMs } from '../../src/base/clock.ts'
import { type ProcessTable, procTable, psTable } from '../../src/process/process-table.ts'
import { endTree, findTree } from '../../src/process/process-tree.ts'
import { census, isAlive } from '../rig/census.ts'
import { until } from '../rig/until.ts'
import { environmentFor, useChildren } from './children.ts'

const rig = useChildren()
const sh = (code: string) => ({ program: 'sh', args: ['-c', code] })

/** A root, a child, and one in a session of its own; all of them ignore SIGTERM when told to. */
async function startTree(trap: string) {
  const child = rig.start(
    sh(`${trap}
      sh -c '${trap} echo $$ > a; while :; do sleep 0.05; done' &
      setsid sh -c '${trap} echo $$ > b; while :; do sleep 0.05; done' &
      echo $$ > root; while :; do sleep 0.05; done`),
  )
  const [rootPid, a, b] = (await Promise.all(['root', 'a', 'b'].map((name) => rig.sign(name)))).map(Number)
  if (!rootPid || !a || !b) throw new Error('The tree did not come up')
  return { child, rootPid, pids: [rootPid, a, b] }
}

describe.each<[string, ProcessTable]>([
  ['/proc', procTable],
  ['ps and tree-kill', psTable],
])('with %s', (_, table) => {
  it('finds a tree with its other sessions', async () => {
    const { child, rootPid, pids } = await startTree('')
    const target = { rootPid, groupId: rootPid, taskId: rig.current.taskId }
    const found = (await findTree(target, table)).map(({ pid }) => pid)
    for (const pid of pids) expect(found).toContain(pid)
    expect(found).not.toContain(process.pid)
    child.end('cancelled')
    await child.result
  })

  it('ends a tree on request', async () => {
    const { child, rootPid, pids } = await startTree('')
    const target = { rootPid, groupId: rootPid, taskId: rig.current.taskId }
    const { ended, survived } = await endTree(target, { graceMs: 10_000, table })
    expect(survived).toEqual([])
    for (const pid of pids) expect(ended).toContain(pid)
    expect(pids.filter(isAlive)).toEqual([])
    await child.result
  })

  it('kills a tree that ignores the request', async () => {
    const { child, rootPid, pids } = await startTree('trap "" TERM;')
    const target = { rootPid, groupId: rootPid, taskId: rig.current.taskId }
    const { survived } = await endTree(target, { graceMs: 200, table })
    expect(survived).toEqual([])
    expect(pids.filter(isAlive)).toEqual([])
    await child.result
  })

  it('does not wait for the grace when hurried', async () => {
    const { child, rootPid } = await startTree('trap "" TERM;')
    const target = { rootPid, groupId: rootPid, taskId: rig.current.taskId }
    const begun = monotonicMs()
    const hurry = AbortSignal.timeout(50)
    const { survived } = await endTree(target, { graceMs: 60_000, hurry, table })
    expect(survived).toEqual([])
    expect(monotonicMs() - begun).toBeLessThan(10_000)
    await child.result
  })

  it('leaves alone a process that has the number of one that is gone', async () => {
    const child = rig.start(sh('echo $$ > root; sleep 1000'), { env: { PATH: process.env.PATH ?? '' } })
    const rootPid = Number(await rig.sign('root'))
    const target = { rootPid, rootStartedAt: 1, groupId: rootPid, taskId: rig.current.taskId }
    expect(await endTree(target, { graceMs: 100, table })).toEqual({ ended: [], survived: [] })
    expect(isAlive(rootPid)).toBe(true)
    child.end('cancelled')
    await child.result
  })
})

it('ends what an earlier daemon left behind, known by the task alone', async () => {
  const { taskId } = rig.current
  const code = `
    const { spawn } = require('node:child_process')
    spawn('sh', ['-c', 'trap "" TERM; echo $$ > orphan; while :; do sleep 0.05; done'], { detached: true, stdio: 'ignore' }).unref()`
  const { execa } = await import('execa')
  await execa(process.execPath, ['-e', code], { cwd: rig.current.folder, env: environmentFor(taskId) })
  const orphan = Number(await rig.sign('orphan'))
  const { ended, survived } = await endTree({ taskId }, { graceMs: 100 })
  expect(ended).toContain(orphan)
  expect(survived).toEqual([])
})

it('ends what is forked while it ends', async () => {
  const code = 'while :; do setsid sleep 1000 </dev/null >/dev/null 2>&1 & sleep 0.001; done'
  const child = rig.start(sh(`trap "" TERM; echo up > up; ${code}`))
  await rig.sign('up')
  await until(() => census(rig.current).length > 20, 'a good many are there')
  child.end('cancelled')
  await child.result
  expect(census(rig.current)).toEqual([])
})
