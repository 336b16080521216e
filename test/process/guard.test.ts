import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { RUN_VARIABLE } from '../../src/process/environment.ts'
import { guardCommand } from '../../src/process/guard.ts'
import { marked } from '../../src/process/run-mark.ts'
import { findProgram } from '../../src/process/which.ts'
import { census, guards, isAlive } from '../rig/census.ts'
import { useClosers } from '../rig/daemon.ts'
import { until } from '../rig/until.ts'
import { environmentFor, exitedEnd, useChildren } from './children.ts'

const rig = useChildren()
const onClose = useClosers()
const STAY = 'while :; do sleep 0.05; done'

/** What /bin/sh is on one system or another. */
const SHELLS = ['/bin/sh', '/bin/bash', '/bin/busybox'].filter((shell) => existsSync(shell))

/** A guard in the hand of the test: the end of its stdin is the death of the daemon. */
function startGuard(shell: string, runId: string, graceMs = 200, promptPath?: string) {
  const { args, env } = guardCommand({ runId, graceMs, promptPath })
  const guard = spawn(shell, args, {
    // Under this name it is a POSIX shell.
    argv0: 'sh',
    env: env as NodeJS.ProcessEnv,
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  onClose(async () => guard.kill('SIGKILL'))
  return guard
}

/** Starts a process group that is no child of an AgentProcess, with the environment of a run. */
function startRun(code: string, runId: string): ChildProcess {
  const env = { ...environmentFor(rig.current.taskId), [RUN_VARIABLE]: runId }
  const run = spawn('sh', ['-c', code], { cwd: rig.current.folder, env, detached: true, stdio: 'ignore' })
  onClose(async () => run.kill('SIGKILL'))
  return run
}

async function pidsOf(...names: string[]): Promise<number[]> {
  const texts = await Promise.all(names.map((name) => rig.sign(name)))
  return texts.map(Number)
}

describe.each(SHELLS)('the guard of a run, in %s', (shell) => {
  it('ends all of the run when the daemon is gone, and then itself', async () => {
    const runId = newId()
    const deaf = `trap "" TERM; ${STAY}`
    const run = startRun(
      `trap "" TERM
      sh -c 'echo $$ > child; ${deaf}' &
      env -i PATH="$PATH" sh -c 'echo $$ > bare; ${deaf}' &
      setsid sh -c 'echo $$ > other; ${deaf}' &
      (setsid nohup sh -c 'echo $$ > orphan; ${deaf}' >/dev/null 2>&1 &)
      echo $$ > root; ${STAY}`,
      runId,
    )
    const pids = await pidsOf('root', 'child', 'bare', 'other', 'orphan')
    const guard = startGuard(shell, runId)
    guard.stdin?.end(`${run.pid}\n`)
    await once(guard, 'exit')
    expect(pids.filter(isAlive)).toEqual([])
    expect(census({ runId })).toEqual([])
  })

  it('2: knows by its limit what cleared its environment: a redis-server that became a daemon', async () => {
    const runId = newId()
    const { program, args } = marked(
      { program: '/bin/sh', args: ['-c', await daemonize()], stdin: null, promptFile: null },
      runId,
    )
    const env = { ...environmentFor(rig.current.taskId), [RUN_VARIABLE]: runId }
    const run = spawn(program, args, { cwd: rig.current.folder, env, detached: true, stdio: 'ignore' })
    const pid = Number(await rig.sign('daemon.pid'))
    onClose(async () => killIfAlive(pid))
    const guard = startGuard(shell, runId)
    guard.stdin?.end(`${run.pid}\n`)
    await once(guard, 'exit')
    expect(isAlive(pid)).toBe(false)
  })

  it('asks before it kills, also one that is stopped', async () => {
    const runId = newId()
    const run = startRun(`trap 'echo asked > asked; exit' TERM; echo $$ > root; ${STAY}`, runId)
    const [pid = 0] = await pidsOf('root')
    process.kill(-pid, 'SIGSTOP')
    const guard = startGuard(shell, runId, 3000)
    guard.stdin?.end(`${run.pid}\n`)
    await once(guard, 'exit')
    expect(await rig.sign('asked')).toBe('asked\n')
    expect(isAlive(pid)).toBe(false)
  })

  it('knows a run without its group by the mark, and leaves every other process alone', async () => {
    const [runId, otherRun] = [newId(), newId()]
    startRun(`echo $$ > mine; ${STAY}`, runId)
    startRun(`echo $$ > another; ${STAY}`, otherRun)
    const [mine = 0, another = 0] = await pidsOf('mine', 'another')
    const guard = startGuard(shell, runId)
    guard.stdin?.end()
    await once(guard, 'exit')
    expect([isAlive(mine), isAlive(another)]).toEqual([false, true])
    process.kill(-another, 'SIGKILL')
    await until(() => census({ runId: otherRun }).length === 0, 'the other run is gone')
  })

  it('removes the prompt file when the run is over', async () => {
    const runId = newId()
    const promptPath = join(rig.current.folder, '-the $prompt.md')
    writeFileSync(promptPath, 'x')
    // The file is there as long as the run, which takes its time to end.
    const run = startRun(`trap 'ls > seen; exit' TERM; echo $$ > root; ${STAY}`, runId)
    await rig.sign('root')
    const guard = startGuard(shell, runId, 3000, promptPath)
    guard.stdin?.end(`${run.pid}\n`)
    await once(guard, 'exit')
    expect(await rig.sign('seen')).toContain('prompt.md')
    expect(existsSync(promptPath)).toBe(false)
  })

  it('waits as long as the daemon lives, whatever is sent to it', async () => {
    const runId = newId()
    const run = startRun(`echo $$ > root; ${STAY}`, runId)
    const [pid = 0] = await pidsOf('root')
    const guard = startGuard(shell, runId)
    guard.stdin?.write(`${run.pid}\n`)
    await until(() => ignoresTerm(guard.pid ?? 0), 'the guard is up')
    for (const signal of ['SIGSTOP', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGCONT'] as const) guard.kill(signal)
    await until(() => /State:\s+S/.test(statusOf(guard.pid ?? 0)), 'the guard waits')
    expect([isAlive(pid), guards(runId).length]).toEqual([true, 1])
    guard.stdin?.end()
    await once(guard, 'exit')
    expect(isAlive(pid)).toBe(false)
  })
})

it('12: is not needed for what cleared its environment while the daemon lives', async () => {
  const child = rig.start({ program: '/bin/sh', args: ['-c', `${await daemonize()}; echo over`] })
  const pid = Number(await rig.sign('daemon.pid'))
  onClose(async () => killIfAlive(pid))
  const end = exitedEnd(await child.result)
  expect(end).toMatchObject({ exitCode: 0 })
  expect(end.leftovers).toBeGreaterThan(0)
  expect(isAlive(pid)).toBe(false)
})

it('is there while the run is, tells nothing of its environment, and is gone with it', async () => {
  const marks = environmentFor(rig.current.taskId)
  const env = { ...marks, SECRET_TOKEN: 'do not tell' }
  const runId = marks[RUN_VARIABLE] ?? ''
  const child = rig.start({ program: 'sh', args: ['-c', `echo $$ > root; ${STAY}`] }, { env })
  await rig.sign('root')
  const [guard, ...more] = guards(runId)
  expect(more).toEqual([])
  const shown = readFileSync(`/proc/${guard?.pid}/environ`, 'utf8') + guard?.command
  expect(shown).not.toContain('do not tell')
  expect(shown).not.toContain(`\0${RUN_VARIABLE}`)
  expect(guard?.command).not.toMatch(/tinytown/i)
  child.end('cancelled')
  await child.result
  expect(guards(runId)).toEqual([])
})

it('is gone as well when the run could not be started', async () => {
  const env = environmentFor(rig.current.taskId)
  await rig.start({ program: '/no/such/program' }, { env }).result
  expect(guards(env[RUN_VARIABLE])).toEqual([])
})

/** Starts a redis-server that leaves the group, its parents and its environment behind, and waits for it. */
async function daemonize(): Promise<string> {
  const server = await findProgram('redis-server', { path: process.env.PATH, cwd: '/' })
  const files = "--unixsocket './daemon.sock' --pidfile \"$PWD/daemon.pid\" --save ''"
  return `${server} --port 0 ${files} --daemonize yes >/dev/null; until [ -s daemon.pid ]; do sleep 0.02; done`
}

function killIfAlive(pid: number): void {
  if (isAlive(pid)) process.kill(pid, 'SIGKILL')
}

function statusOf(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, 'utf8')
}

/** The shell has come to its traps. */
function ignoresTerm(pid: number): boolean {
  const mask = /SigIgn:\s+([0-9a-f]+)/.exec(statusOf(pid))?.[1] ?? '0'
  return (BigInt(`0x${mask}`) & (1n << 14n)) !== 0n
}
