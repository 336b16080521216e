import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseDemoLine } from '../../workers/demo.ts'

const AGENT = fileURLToPath(new URL('../../dist/workers/demo-agent.js', import.meta.url))

let workspace: string
beforeEach(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'demo-'))
})
afterEach(() => rm(workspace, { recursive: true }))

type Agent = ChildProcessByStdio<Writable, Readable, Readable>

function start(env: Record<string, string>): Agent {
  return spawn(process.execPath, [AGENT], { cwd: workspace, env, stdio: ['pipe', 'pipe', 'pipe'] })
}

async function endOf(agent: Agent) {
  const [stdout, stderr] = await Promise.all([text(agent.stdout), text(agent.stderr), once(agent, 'close')])
  const events = stdout.split('\n').flatMap(parseDemoLine)
  return { events, stderr, exitCode: agent.exitCode, signal: agent.signalCode }
}

test('works visibly, leaves a note and answers', async () => {
  const agent = start({
    DEMO_AGENT_STEP_MS: '1',
    TINYTOWN_AGENT_NAME: 'ada',
    TINYTOWN_TASK_ID: 'task-7',
  })
  agent.stdin.end('# Your role\n\nYou are the writer.\n\n# Task\n\nSay hello\nand more')
  const { events, exitCode } = await endOf(agent)

  expect(exitCode).toBe(0)
  expect(events.filter(({ type }) => type === 'tool-started')).toEqual([
    { type: 'tool-started', id: 'tool_1', name: 'list', detail: '.' },
    { type: 'tool-started', id: 'tool_2', name: 'write', detail: 'hello-from-tinytown.md' },
    { type: 'tool-started', id: 'tool_3', name: 'read', detail: 'hello-from-tinytown.md' },
  ])
  expect(events.filter((event) => event.type === 'tool-finished' && event.ok)).toHaveLength(3)
  expect(events.slice(-2)).toEqual([
    { type: 'final', text: 'Wrote hello-from-tinytown.md (72 characters) for the task: Say hello' },
    { type: 'end', ok: true },
  ])
  expect(await readFile(join(workspace, 'hello-from-tinytown.md'), 'utf8')).toBe(
    '# Hello from Tinytown\n\n- Task: Say hello\n- Agent: ada\n- Task id: task-7\n',
  )
})

test('fails on an empty prompt', async () => {
  const agent = start({})
  agent.stdin.end(' \n')
  expect(await endOf(agent)).toEqual({
    events: [],
    stderr: 'demo agent: the prompt is empty\n',
    exitCode: 1,
    signal: null,
  })
})

test('fails on a step time that is none', async () => {
  const agent = start({ DEMO_AGENT_STEP_MS: 'soon' })
  agent.stdin.end('Say hello')
  const { exitCode, stderr, events } = await endOf(agent)
  expect(exitCode).toBe(1)
  expect(stderr).toContain('Expected DEMO_AGENT_STEP_MS to be milliseconds, got soon')
  expect(events.some(({ type }) => type === 'end')).toBe(false)
})

test('exits at once on SIGTERM', async () => {
  const agent = start({ DEMO_AGENT_STEP_MS: '60000' })
  agent.stdin.end('Say hello')
  agent.stdout.once('readable', () => agent.kill('SIGTERM'))
  expect(await endOf(agent)).toMatchObject({ exitCode: 143, signal: null })
})
