import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { expect, it } from 'vitest'
import { findProgram } from '../../src/process/which.ts'
import { startProgram, useClosers } from '../rig/daemon.ts'
import { startModelServer } from '../rig/model-server.ts'
import { localModel, realCli } from '../rig/real-clis.ts'

const onClose = useClosers()

/** Starts the demo with a folder for temporary files of its own, and without the real CLIs. */
async function startDemo(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const tmp = await mkdtemp(join(tmpdir(), 'tw-demo-'))
  onClose(() => rm(tmp, { recursive: true, force: true }))
  const env = {
    ...more,
    PATH: [await onlyRedis(), more.PATH].filter(Boolean).join(delimiter),
    TMPDIR: tmp,
    REDIS_URL: 'redis://127.0.0.1:1/0',
    DEMO_AGENT_STEP_MS: '300',
  }
  const demo = startProgram(['demo', ...args], { cwd: tmp, env })
  onClose(async () => demo.signal('SIGKILL'))
  return { demo, tmp }
}

/** A folder for PATH with redis-server in it and no coding CLI, whatever is installed on this machine. */
async function onlyRedis(): Promise<string> {
  const bin = await mkdtemp(join(tmpdir(), 'tw-bin-'))
  onClose(() => rm(bin, { recursive: true, force: true }))
  const server = await findProgram('redis-server', { path: process.env.PATH, cwd: bin })
  if (server === null) throw new Error('redis-server is not in PATH; npm test installs it')
  await symlink(server, join(bin, 'redis-server'))
  return bin
}

/** The command lines of the processes that name the folder. */
async function processesNaming(folder: string): Promise<string[]> {
  const lines = await Promise.all(
    (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.filter((line) => line.includes(folder))
}

/** The process of the worker that the demo started. */
async function workerIn(folder: string): Promise<number> {
  for (const name of (await readdir('/proc')).filter((one) => /^\d+$/.test(one))) {
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    if (line.includes(folder) && line.includes('\0run\0')) {
      expect(line.split('\0').join(' ')).toContain('--task-timeout 5m --stall-timeout 2m')
      return Number(name)
    }
  }
  throw new Error('the demo has no worker')
}

it('shows the states, the output and the result of a real run and leaves nothing behind', async () => {
  const { demo, tmp } = await startDemo(['--cli', 'demo'])
  expect(await demo.exit).toBe(0)
  const shown = demo.stdout()
  const states = [...shown.matchAll(/^state +(.*)$/gm)].map(([, words]) => words)
  expect(states).toEqual(['starting -> idle', 'idle -> working', 'working -> idle', 'idle -> stopped'])
  expect(shown).toMatch(/│ \$ write: hello-from-tinytown\.md/)
  expect(shown).toMatch(/^task +completed in .*, 3 tool calls$/m)
  expect(shown).toMatch(/^result +Wrote hello-from-tinytown\.md/m)
  const folder = /^town +(\S+),/m.exec(shown)?.[1] ?? ''
  expect(existsSync(folder)).toBe(false)
  expect(await readdir(tmp)).toEqual([])
  expect(await processesNaming(tmp)).toEqual([])
})

it('uses a real CLI that is installed and logged in, without being told', async () => {
  const server = await startModelServer([
    { kind: 'run', command: 'echo "Hello from the model server." > hello-from-tinytown.md' },
    { kind: 'say', text: 'Greeted the town.' },
  ])
  onClose(() => server.close())
  const bin = await mkdtemp(join(tmpdir(), 'tw-bin-'))
  onClose(() => rm(bin, { recursive: true, force: true }))
  const home = join(bin, 'home')
  await mkdir(home)
  await symlink(await realpath(realCli('claude').path), join(bin, 'claude'))
  const PATH = [bin, '/usr/bin', '/bin'].join(delimiter)
  const { demo, tmp } = await startDemo([], { ...localModel('claude', server.url, home).env, PATH })
  expect(await demo.exit).toBe(0)
  const shown = demo.stdout()
  expect(shown).toMatch(/^codex +not installed$/m)
  expect(shown).toMatch(/^worker +demo-1 with claude$/m)
  expect(shown).toMatch(/^task +completed in .*, 1 tool calls?$/m)
  expect(shown).toMatch(/^result +Greeted the town\.$/m)
  expect(shown).toMatch(/│ Hello from the model server\.$/m)
  expect((await readdir(tmp)).filter((name) => name.startsWith('tinytown'))).toEqual([])
  expect(await processesNaming(tmp)).toEqual([])
})

it('leaves nothing behind after a Ctrl-C in the middle', async () => {
  const { demo, tmp } = await startDemo(['--cli', 'demo'])
  await demo.says(/idle -> working/)
  demo.signal('SIGINT')
  expect(await demo.exit).toBe(130)
  expect(await readdir(tmp)).toEqual([])
  expect(await processesNaming(tmp)).toEqual([])
})

it('ends when its worker is killed', async () => {
  const { demo, tmp } = await startDemo(['--cli', 'demo'])
  await demo.says(/^worker /m)
  process.kill(await workerIn(tmp), 'SIGKILL')
  expect(await demo.exit).toBe(70)
  expect(demo.stderr()).toMatch(/The worker ended early/)
  expect(await readdir(tmp)).toEqual([])
  expect(await processesNaming(tmp)).toEqual([])
})

it('ends with 78 and says how to go on when the CLI is not installed', async () => {
  const { demo, tmp } = await startDemo(['--cli', 'codex'])
  expect(await demo.exit).toBe(78)
  expect(demo.stderr()).toMatch(/codex is not installed .*npm install -g @openai\/codex/)
  expect(demo.stderr()).toMatch(/→ Without a model: tinytown-worker demo --cli demo/)
  expect(await processesNaming(tmp)).toEqual([])
})

it('refuses a CLI that nobody knows', async () => {
  const { demo, tmp } = await startDemo(['--cli', 'no-such-cli'])
  expect(await demo.exit).toBe(2)
  expect(demo.stderr()).toMatch(/Expected cli to be one of codex, claude, demo, got "no-such-cli"/)
  expect(await processesNaming(tmp)).toEqual([])
})
