import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { AgentProcess, type ProcessEnd, type ProcessOptions } from '../../src/process/agent-process.ts'
import type { Command } from '../../src/process/command.ts'
import { childEnvironment } from '../../src/process/environment.ts'
import { endTree } from '../../src/process/process-tree.ts'
import { census } from '../rig/census.ts'
import { until } from '../rig/until.ts'

export interface Child {
  readonly taskId: string
  /** A folder of the test's own, where its scripts and signs lie. */
  readonly folder: string
}

/** What a test asks for; everything else is a child that has all the time of the world. */
export interface Wish extends Partial<Omit<ProcessOptions, 'limits' | 'command'>> {
  readonly command?: Partial<Command>
  readonly limits?: Partial<ProcessOptions['limits']>
}

const LIMITS = { wallMs: 60_000, stallMs: 0, killGraceMs: 300, exitGraceMs: 60_000 }

/** Gives each test a task and a folder of its own, and asserts after each that no process of it is left. */
export function useChildren(): {
  current: Child
  script: (name: string, text: string) => Promise<string>
  sign: (name: string) => Promise<string>
  start: (command: Partial<Command>, wish?: Wish) => AgentProcess
} {
  const tasks: string[] = []
  const rig = {
    current: { taskId: '', folder: '' },
    /** Writes a script into the folder of the test and returns its path. */
    async script(name: string, text: string) {
      const path = join(rig.current.folder, name)
      await writeFile(path, text, { mode: 0o755 })
      return path
    },
    /** The text of a file that a child writes to say that it has come so far. */
    sign(name: string) {
      const path = join(rig.current.folder, name)
      return until(() => readOrNull(path), `a child wrote ${name}`)
    },
    start(command: Partial<Command>, wish: Wish = {}) {
      const { taskId, folder } = rig.current
      return new AgentProcess({
        cwd: folder,
        env: environmentFor(taskId),
        taskId,
        onOutput: () => undefined,
        ...wish,
        command: { program: process.execPath, args: [], stdin: null, promptFile: null, ...command },
        limits: { ...LIMITS, ...wish.limits },
      })
    },
  }
  beforeEach(async () => {
    rig.current = { taskId: newId(), folder: await mkdtemp(join(tmpdir(), 'tinytown-child-')) }
    tasks.push(rig.current.taskId)
  })
  afterEach(async () => {
    const { taskId, folder } = rig.current
    const left = census({ taskId })
    await endTree({ taskId }, { graceMs: 0 })
    await rm(folder, { recursive: true, force: true })
    expect(left, 'processes left behind').toEqual([])
  })
  afterAll(() => expect(tasks.flatMap((taskId) => census({ taskId }))).toEqual([]))
  return rig
}

export function environmentFor(taskId: string, agentId = 'agent-1'): Record<string, string> {
  const task = { agentId, agentName: 'worker-1', taskId, runId: newId(), town: 'test-town' }
  return childEnvironment(process.env, { pass: [], set: {}, task })
}

/** The end of a process that was started. */
export function exitedEnd(end: ProcessEnd): Extract<ProcessEnd, { kind: 'exited' }> {
  if (end.kind !== 'exited') throw new Error(`The process was not started: ${end.message}`)
  return end
}

/** Gathers what a child writes. */
export function gather(): { onOutput: ProcessOptions['onOutput']; bytes: (stream?: string) => Buffer } {
  const chunks: { stream: string; chunk: Buffer }[] = []
  return {
    onOutput: (stream, chunk) => void chunks.push({ stream, chunk: Buffer.from(chunk) }),
    bytes: (wanted = 'stdout') =>
      Buffer.concat(chunks.filter(({ stream }) => stream === wanted).map(({ chunk }) => chunk)),
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
