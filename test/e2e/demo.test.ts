import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findProgram } from '../../src/process/which.ts'
import { startProgram, useClosers } from '../rig/daemon.ts'

const onClose = useClosers()

/** Starts the demo with a folder for temporary files of its own, and without the real CLIs. */
async function startDemo(...args: string[]) {
  const tmp = await mkdtemp(join(tmpdir(), 'tw-demo-'))
  onClose(() => rm(tmp, { recursive: true, force: true }))
  const env = {
    PATH: await onlyRedis(),
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

it('shows the states, the output and the result of a real run and leaves nothing behind', async () => {
  const { demo, tmp } = await startDemo('--cli', 'demo')
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

it('leaves nothing behind after a Ctrl-C in the middle', async () => {
  const { demo, tmp } = await startDemo('--cli', 'demo')
  await demo.says(/idle -> working/)
  demo.signal('SIGINT')
  expect(await demo.exit).toBe(130)
  expect(await readdir(tmp)).toEqual([])
  expect(await processesNaming(tmp)).toEqual([])
})

it('ends with 78 and says how to go on when the CLI is not installed', async () => {
  const { demo, tmp } = await startDemo('--cli', 'codex')
  expect(await demo.exit).toBe(78)
  expect(demo.stderr()).toMatch(/codex is not installed .*npm install -g @openai\/codex/)
  expect(demo.stderr()).toMatch(/→ Without a model: tinytown-worker demo --cli demo/)
  expect(await processesNaming(tmp)).toEqual([])
})

it('refuses a CLI that nobody knows', async () => {
  const { demo, tmp } = await startDemo('--cli', 'no-such-cli')
  expect(await demo.exit).toBe(2)
  expect(demo.stderr()).toMatch(/Expected cli to be one of codex, claude, demo, got "no-such-cli"/)
  expect(await processesNaming(tmp)).toEqual([])
})
