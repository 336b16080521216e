import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AgentState } from '../../src/domain/agent.ts'
import type { Beat } from '../../src/store/lease.ts'
import { Control } from '../../src/worker/control.ts'
import { touchLog } from '../../src/worker/folder.ts'
import { keepHeartbeat } from '../../src/worker/heartbeat.ts'
import { Lifecycle } from '../../src/worker/lifecycle.ts'
import { useClosers } from '../rig/daemon.ts'

const onClose = useClosers()

/** The beats of a worker at work, until the record has said these states in turn. */
async function beatsWhile(states: readonly AgentState[]): Promise<{ beats: Beat[]; touched: number }> {
  const lifecycle = new Lifecycle(() => undefined)
  lifecycle.enter({ name: 'working', taskId: 't', cancel: new AbortController() })
  const end = new AbortController()
  const beats: Beat[] = []
  let touched = 0
  await keepHeartbeat({
    async pulse(beat) {
      const state = states[beats.push(beat) - 1] ?? 'working'
      if (beats.length === states.length) end.abort()
      return { kind: 'ok', state, stopRequested: false, task: 'running' }
    },
    leaseMs: 30_000,
    lifecycle,
    control: new Control(),
    touch: () => {
      touched += 1
    },
    signal: end.signal,
  })
  return { beats, touched }
}

describe('the heartbeat during a run', () => {
  it('puts a state that somebody wrote right with its next beat, not with its next sign of life', async () => {
    const { beats, touched } = await beatsWhile(['working', 'stopped', 'working', 'working'])
    expect(beats.map(({ alive }) => alive)).toEqual([true, false, true, false])
    expect(touched).toBe(2)
  })

  it.each<AgentState>(['paused', 'draining'])('leaves %s as it is', async (state) => {
    const { beats } = await beatsWhile(['working', state, state])
    expect(beats.map(({ alive }) => alive)).toEqual([true, false, false])
  })
})

describe('touchLog', () => {
  it('makes the log file of the agent young and leaves others as they are', async () => {
    const root = await mkdtemp(join(tmpdir(), 'tw-touch-'))
    onClose(() => rm(root, { recursive: true }))
    const logs = join(root, '.tt', 'logs')
    await mkdir(logs, { recursive: true })
    for (const name of ['worker-1.log', 'worker-2.log']) {
      await writeFile(join(logs, name), 'old\n')
      await utimes(join(logs, name), 0, 0)
    }
    touchLog(root, 'worker-1')
    expect((await stat(join(logs, 'worker-1.log'))).mtimeMs).toBeGreaterThan(Date.now() - 60_000)
    expect((await stat(join(logs, 'worker-2.log'))).mtimeMs).toBe(0)
  })

  it('makes no file', async () => {
    const root = await mkdtemp(join(tmpdir(), 'tw-touch-'))
    onClose(() => rm(root, { recursive: true }))
    touchLog(root, 'worker-1')
    expect(await readdir(root)).toEqual([])
  })
})
