import { mkdir, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findAgent } from '../../src/store/agents.ts'
import { findTask } from '../../src/store/tasks.ts'
import { makeTown, type TestTown, useClosers } from '../rig/daemon.ts'
import { type ModelServer, type ModelStep, startModelServer } from '../rig/model-server.ts'
import { localModel, type RealCli, realCli } from '../rig/real-clis.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()

/** A town with a worker that runs the real CLI against a model server of ours. */
async function realTown(
  cli: RealCli,
  script: readonly ModelStep[],
): Promise<{ town: TestTown; server: ModelServer }> {
  const server = await startModelServer([...script])
  onClose(() => server.close())
  const home = await mkdtemp(join(tmpdir(), 'tw-home-'))
  onClose(() => rm(home, { recursive: true, force: true }))
  await mkdir(home, { recursive: true })
  const model = localModel(cli, server.url, home)
  const env = Object.entries(model.env).map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
  const toml = `[agent_clis.${cli}]\nargs = ${JSON.stringify(model.args)}\n[agent_clis.${cli}.env]\n${env.join('\n')}\n`
  const town = await makeTown(toml, { PATH: dirname(realCli(cli).path) + delimiter + process.env.PATH })
  onClose(() => town.close())
  return { town, server }
}

async function onlyTask(town: TestTown, line: string) {
  const { id } = JSON.parse(line) as { id: string }
  return await findTask(await town.redis(), town.keys, id)
}

describe.each(['codex', 'claude'] as const)('the real %s', (cli) => {
  const { version } = realCli(cli)

  it(`(${version}) edits a file in the workspace and its last message becomes the result`, async () => {
    const { town } = await realTown(cli, [
      { kind: 'run', command: 'echo "written by the agent" > proof.txt' },
      { kind: 'say', text: 'All done: wrote proof.txt' },
    ])
    await town.worker('--cli', cli)
    const assigned = await town.cli('assign', 'worker-1', 'Write proof.txt', '--wait', '--json')
    expect(assigned.exit).toBe(0)
    expect(await readFile(join(town.root, 'proof.txt'), 'utf8')).toBe('written by the agent\n')
    const task = await onlyTask(town, assigned.stdout)
    expect(task).toMatchObject({
      state: 'completed',
      result: 'All done: wrote proof.txt',
      toolCalls: 1,
      exitCode: 0,
      cli,
      cliVersion: version,
    })
    expect(task.sessionId).toMatch(/^[0-9a-f-]{36}$/)
    expect(task.inputTokens).toBeGreaterThan(0)
    expect(task.outputTokens).toBeGreaterThan(0)
    const logs = await town.cli('logs', task.id)
    expect(logs.stdout).toContain('proof.txt')
    expect(logs.stdout).toContain('All done: wrote proof.txt')
    expect((await findAgent(await town.redis(), town.keys, 'worker-1')).state).toBe('idle')
  })

  it('gets the whole prompt, also a long one', async () => {
    const { town, server } = await realTown(cli, [{ kind: 'say', text: 'read it' }])
    await town.worker('--cli', cli)
    const text = `first words ${'lorem ipsum '.repeat(8000)} last words`
    const assigned = await town.cliWith({ input: text }, 'assign', 'worker-1', '-', '--wait', '--json')
    expect(assigned.exit).toBe(0)
    expect(JSON.stringify(server.requests)).toContain(text)
  })

  it('whose key is refused holds the task, and the agent says why', async () => {
    const { town } = await realTown(cli, [{ kind: 'fail', status: 401 }])
    const daemon = await town.worker('--cli', cli)
    const assigned = await town.cli('assign', 'worker-1', 'x', '--json')
    await daemon.says(/working -> error \(auth\)/)
    expect(await town.cli('wait', 'worker-1')).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/auth: /),
    })
    // The next probe may run it at this moment.
    await until(async () => {
      const { state, attempts } = await onlyTask(town, assigned.stdout)
      return state === 'assigned' && attempts === 0
    }, 'the task waits, uncounted')
  })

  it('is ended with its tool when the task takes too long', async () => {
    const { town } = await realTown(cli, [{ kind: 'run', command: 'sleep 300' }])
    await town.worker('--cli', cli, '--task-timeout', '5s', '--kill-grace', '2s')
    const assigned = await town.cli('assign', 'worker-1', 'x', '--wait', '--json')
    expect(assigned.exit).toBe(1)
    expect(await onlyTask(town, assigned.stdout)).toMatchObject({ state: 'failed', reason: 'timeout' })
    expect(await processesOf(town.root)).toEqual([])
  })
})

/** The ids of the processes that work in a folder. */
async function processesOf(root: string): Promise<string[]> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '')
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const ours = command.includes('redis-server') || command.includes('cli/main.js')
    if (cwd === root && !ours) found.push(`${pid} ${command.replaceAll('\0', ' ')}`)
  }
  return found
}
