import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { census, type Found, guards, isAlive } from '../rig/census.ts'
import { useClosers } from '../rig/daemon.ts'
import { assign, ended, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const endAll = async (found: readonly Found[]) => {
  for (const { pid } of found) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
}

/** A run whose tree does not listen to SIGTERM: itself, one in its group, one in a session of its own. */
async function stubbornRun(...args: string[]) {
  const { town, agents } = await scene()
  const daemon = await town.worker('--cli', 'fake', ...args)
  const id = await assign(town, 'x')
  const run = await agents.next()
  const { pid, env } = run.hello
  const runId = env.TINYTOWN_RUN_ID ?? ''
  onClose(() => endAll([...census({ runId }), ...guards(runId)]))
  await run.ignoreTerm()
  const near = await run.grandchild({ keepStdout: true, ignoreTerm: true, sameGroup: true })
  const far = await run.grandchild({ keepStdout: true, ignoreTerm: true })
  return { town, daemon, id, run, runId, pids: [pid, near, far] }
}

it('2: ends the tree of a run whose daemon was killed, also if no daemon starts again, and then itself', async () => {
  const { daemon, runId, pids } = await stubbornRun('--kill-grace', '1s')
  expect(census({ runId }).map(({ pid }) => pid)).toEqual(expect.arrayContaining(pids))
  expect(guards(runId)).toHaveLength(1)
  daemon.signal('SIGKILL')
  await daemon.exit
  // A process that is about to be gone has lost its environment already.
  await until(() => census({ runId }).length === 0 && !pids.some(isAlive), 'the tree is gone')
  await until(() => guards(runId).length === 0, 'the guard is gone')
})

it('leaves no prompt of a run whose daemon was killed', async () => {
  const { town, agents } = await scene({ table: 'prompt = "file"' })
  const daemon = await town.worker('--cli', 'fake')
  await assign(town, 'x')
  await agents.next()
  const prompts = () => readdir(join(town.root, '.tt', 'tasks'))
  expect(await prompts()).toHaveLength(1)
  daemon.signal('SIGKILL')
  await daemon.exit
  await until(async () => (await prompts()).length === 0, 'the prompt file is gone')
})

it('leaves no guard after a run, and its output does not wait for one', async () => {
  const { town, daemon, id, run, runId, pids } = await stubbornRun()
  await run.stdout('done')
  await run.exit(0)
  expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'done' })
  expect([guards(runId), pids.filter(isAlive)]).toEqual([[], []])
  daemon.signal('SIGTERM')
  expect(await daemon.exit).toBe(0)
})

it('leaves no guard when the daemon exits by its third signal', async () => {
  const { daemon, runId, pids } = await stubbornRun('--kill-grace', '60s')
  for (const said of [/draining/, /second signal|ending/i]) {
    daemon.signal('SIGTERM')
    await daemon.says(said)
  }
  daemon.signal('SIGTERM')
  expect(await daemon.exit).toBe(143)
  await until(() => census({ runId }).length === 0 && !pids.some(isAlive), 'the tree is gone')
  await until(() => guards(runId).length === 0, 'the guard is gone')
})

it('lets the run go on while the daemon is stopped', async () => {
  const { town, daemon, id, run, runId, pids } = await stubbornRun()
  daemon.signal('SIGSTOP')
  onClose(async () => daemon.signal('SIGCONT'))
  const state = async () => /\) (\w)/.exec(await readFile(`/proc/${daemon.pid}/stat`, 'utf8'))?.[1]
  await until(async () => (await state()) === 'T', 'the daemon is stopped')
  expect(guards(runId)).toHaveLength(1)
  expect(pids.filter(isAlive)).toEqual(pids)
  daemon.signal('SIGCONT')
  await run.stdout('done')
  await run.exit(0)
  expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'done' })
})
