import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { claude } from '../../workers/claude.ts'
import { codex } from '../../workers/codex.ts'
import { type ModelScript, startModelServer } from '../rig/model-server.ts'
import { localModel, type RealCli, realCli } from '../rig/real-clis.ts'
import { reasonOf } from './transcript.ts'

const profiles = { codex, claude }
/** Far beyond the second that a run takes. */
const LIMIT_MS = 60_000

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'real-clis-'))
  await mkdir(join(folder, 'home'))
  await mkdir(join(folder, 'workspace'))
})
afterEach(() => rm(folder, { recursive: true, maxRetries: 5 }))

/** Runs the real CLI as its profile says, against a model that follows `script`. */
async function run(name: RealCli, script: ModelScript) {
  const profile = profiles[name]
  const server = await startModelServer(script)
  try {
    const local = localModel(name, server.url, join(folder, 'home'))
    const cli = spawn(realCli(name).path, [...profile.command.args, ...local.args], {
      cwd: join(folder, 'workspace'),
      env: { PATH: process.env.PATH, ...profile.env.set, ...local.env },
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: LIMIT_MS,
    })
    cli.stdin.end('Write hello.txt')
    const [stdout] = await Promise.all([text(cli.stdout), once(cli, 'close')])
    const events = stdout.split('\n').flatMap((line) => profile.parseLine?.(line) ?? [])
    return { exitCode: cli.exitCode, events, steps: server.requests.filter(({ step }) => step).length }
  } finally {
    await server.close()
  }
}

describe.each(['codex', 'claude'] as const)('the real %s', (name) => {
  test('is the version that its parser is tested with', () => {
    expect(profiles[name].version?.tested).toContain(realCli(name).version)
  })

  test('uses its shell tool and answers', { timeout: LIMIT_MS }, async () => {
    const { exitCode, events, steps } = await run(name, [
      { kind: 'run', command: 'echo hi > hello.txt' },
      { kind: 'say', text: 'Wrote hello.txt' },
    ])
    expect(await readFile(join(folder, 'workspace', 'hello.txt'), 'utf8')).toBe('hi\n')
    expect(exitCode).toBe(0)
    expect(steps).toBe(2)
    expect(events).toContainEqual({ type: 'message', text: 'Wrote hello.txt' })
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'usage',
        usage: expect.objectContaining({ inputTokens: 20, outputTokens: 10 }),
      }),
    )
    expect(events.filter(({ type }) => type === 'tool-started')).toHaveLength(1)
    expect(events.at(-1)).toEqual({ type: 'end', ok: true })
  })

  test.each([
    [401, 'auth'],
    [429, 'rate-limit'],
    [503, 'overloaded'],
  ] as const)('tells of a model server that answers %d', { timeout: LIMIT_MS }, async (status, reason) => {
    const { exitCode, events } = await run(name, [{ kind: 'fail', status }])
    expect(exitCode).toBe(1)
    const error = events.find((event) => event.type === 'error')
    expect(error && reasonOf(profiles[name], error)).toBe(reason)
    expect(events.at(-1)).toEqual({ type: 'end', ok: false })
  })
})
