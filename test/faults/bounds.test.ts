import { mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { encodeMessage, newMessage } from '../../src/domain/message.ts'
import { listDeadLetters } from '../../src/store/dead-letters.ts'
import { readOutput } from '../../src/store/output.ts'
import { getTask } from '../../src/store/tasks.ts'
import { makeTown, startProgram, type TestTown, useClosers } from '../rig/daemon.ts'
import { useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign, ended, push } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const PRINTER = fileURLToPath(new URL('../rig/printing-program.mjs', import.meta.url))
const MB = 1_000_000

const onClose = useClosers()
const faultyTown = useFaultyTown(onClose)

const table = (kind: string, bytes: number, output = 'text') =>
  `[agent_clis.printer]\ncommand = ${JSON.stringify(`${process.execPath} ${PRINTER} ${kind} ${bytes}`)}
output = "${output}"\npass_env = ["PRINTED_TOKEN"]\n`

/** A town whose CLI prints. */
async function printing(...what: Parameters<typeof table>): Promise<TestTown> {
  const town = await makeTown(table(...what), { PRINTED_TOKEN: 'ghp_16C7e42F292c6912E7710c838347Ae178B4a' })
  onClose(() => town.close())
  return town
}

const logOf = (town: TestTown, id: string) => join(town.root, '.tt', 'logs', `${id}.log`)

/** The most memory that a process ever had, in bytes. */
async function peakBytes(pid: number): Promise<number> {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) * 1024
}

describe('a CLI that prints without end', () => {
  // Where /proc tells the most memory that a process ever had.
  it.runIf(process.platform === 'linux')(
    '31: of 1 GB without a line end that are no UTF-8, memory holds a part, the log all, and the result the end',
    async () => {
      const town = await printing('garbage', 1000 * MB)
      const worker = await town.worker('--cli', 'printer', '--output-limit', '0', '--lease-ms', '2000')
      const before = await peakBytes(worker.pid)
      const peer = await town.worker('--cli', 'printer', '--name', 'peer')
      const id = await assign(town, 'x')
      const printed = 1000 * MB + '\nthe answer\n'.length
      const logged = async () => (await stat(logOf(town, id)).catch(() => null))?.size === printed
      await until(logged, 'the log has all of it', 50_000)
      const task = await ended(town, id)
      expect(task).toMatchObject({ state: 'completed', resultTruncated: true, attempts: 1 })
      expect(task.result).toMatch(/\nthe answer$/)
      expect(task.result?.slice(0, 500)).toContain(
        `[… cut here: this is the end of what was printed; the log file is ${hostname()}:${logOf(town, id)}]`,
      )
      expect(Buffer.byteLength(task.result ?? '')).toBeLessThanOrEqual(1 << 20)
      expect((await peakBytes(worker.pid)) - before).toBeLessThan(250 * MB)
      // Nobody took it for dead, itself included.
      for (const { stderr } of [worker, peer]) expect(stderr()).not.toMatch(/is dead|took|registers again/)
    },
  )

  it('31: is ended when that is more than --output-limit, says so, and its log stays below it', async () => {
    const town = await printing('endless', 0)
    await town.worker('--cli', 'printer', '--output-limit', '3MB', '--kill-grace', '500ms')
    const id = await assign(town, 'x')
    expect(await ended(town, id)).toMatchObject({
      state: 'failed',
      reason: 'output-limit',
      result: expect.stringContaining('The run printed more than 3 MB and was ended (--output-limit)'),
    })
    const log = await readFile(logOf(town, id), 'utf8')
    expect(Buffer.byteLength(log)).toBe(3 * MB)
    expect(log).toMatch(
      /\n\[tinytown-worker: cut here: a log file holds at most 3 MB \(--output-limit\)\]\n$/,
    )
  })

  it('31: an event of 20 MB is not read, and the run is judged by the others', async () => {
    const town = await printing('event', 20 * MB, 'codex')
    await town.worker('--cli', 'printer')
    const task = await ended(town, await assign(town, 'x'))
    expect(task).toMatchObject({ state: 'completed', result: 'the answer' })
    const shown = await readOutput(await town.redis(), town.keys.agent((await agentOf(town)).id).output)
    expect(shown.map(({ text }) => text).join('\n')).toMatch(
      /^! a line of more than \d+ characters was not read$/m,
    )
  })
})

describe('a result that is longer than a record holds', () => {
  it('is whole on disk, without secrets and for its owner alone; the record names the file', async () => {
    const town = await printing('answer', 3 * MB, 'codex')
    await town.worker('--cli', 'printer')
    const id = await assign(town, 'x')
    const task = await ended(town, id)
    const path = join(town.root, '.tt', 'tasks', `${id}.result.md`)
    const note = `[… cut here: this result has 3 MB; all of it is in ${hostname()}:${path}]`
    expect(task).toMatchObject({ state: 'completed', resultTruncated: true })
    expect(task.result?.endsWith(note)).toBe(true)
    expect(Buffer.byteLength(task.result ?? '')).toBeLessThanOrEqual(1 << 20)
    const whole = await readFile(path, 'utf8')
    expect(whole === `[redacted] ${'ä'.repeat(1.5 * MB)}`).toBe(true)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const shown = await town.cli('task', id)
    expect(shown.stdout).toContain(note)
    expect(shown.stdout).toContain('Result (cut)')
  })
})

describe('a disk that is full', () => {
  // A limit on the size of files stands for it: the system answers EFBIG instead of ENOSPC.
  const NO_ROOM = 'ulimit -f 100; exec "$@"'

  it('34: costs the log and the whole result, not the run', async () => {
    const { town, byShell } = await faultyTown({ table: table('answer', 3 * MB, 'codex') })
    const worker = byShell(NO_ROOM, '--cli', 'printer')
    await worker.says(/starting -> idle/)
    const id = await assign(town, 'x')
    const task = await ended(town, id)
    expect(task).toMatchObject({ state: 'completed', attempts: 1, resultTruncated: true })
    expect(task.result).toContain(`this result has 3 MB; the log file is ${hostname()}:${logOf(town, id)}]`)
    expect(worker.stderr().match(/the log file .* cannot be written: EFBIG/g)).toHaveLength(1)
    expect(worker.stderr().match(/the whole result cannot be kept in .*: EFBIG/g)).toHaveLength(1)
    expect(await readdir(join(town.root, '.tt', 'tasks'))).toEqual([])
  })

  it('34: a prompt that cannot be written holds the task, which is not burnt', async () => {
    const { town, agents, byShell } = await faultyTown({ table: 'prompt = "file"' })
    const worker = byShell(NO_ROOM, '--cli', 'fake')
    await worker.says(/starting -> idle/)
    const id = await assign(town, 'x'.repeat(MB))
    await worker.says(
      /the prompt cannot be written: EFBIG.*room on its disk.*tasks stay queued, next look in/,
    )
    const lastError = expect.stringContaining('EFBIG')
    await until(async () => (await agentOf(town)).state === 'error', 'the agent says error')
    expect(await agentOf(town)).toMatchObject({ lastError })
    await until(() => (worker.stderr().match(/task given back/g)?.length ?? 0) > 1, 'it is tried again')
    worker.signal('SIGTERM')
    expect(await worker.exit).toBe(0)
    const task = await getTask(await town.redis(), town.keys, id)
    expect(task?.state).toBe('assigned')
    expect(task?.attempts ?? 0).toBe(0)
    expect(agents.started).toBe(0)
    expect(worker.stderr().match(/tasks stay queued/g)).toHaveLength(1)
    expect(await readdir(join(town.root, '.tt', 'tasks'))).toEqual([])
  })

  // Only Linux has /dev/full.
  const onLinux = it.runIf(process.platform === 'linux')
  onLinux.each(['json', 'pretty'])('34: does not end a worker whose own log is there: %s', async (format) => {
    const { town, agents, byShell } = await faultyTown()
    const worker = byShell('exec "$@" 2>/dev/full', '--cli', 'fake', '--log-format', format)
    await until(async () => (await agentOf(town).catch(() => null))?.state === 'idle', 'the worker is idle')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await run.stdout('done')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'done' })
    worker.signal('SIGTERM')
    expect(await worker.exit).toBe(0)
  })

  onLinux('34: ends a command whose output goes there with 70 and a sentence', async () => {
    const command = startProgram(['--help'], { cwd: '/', shell: 'exec "$@" >/dev/full' })
    expect(await command.exit).toBe(70)
    expect(command.stderr()).toMatch(
      /^tinytown-worker: The output cannot be written: ENOSPC.*\n {2}→ make room where it goes\n$/,
    )
  })
})

describe('a message of 10 MB', () => {
  it('21: that is none is kept aside whole, with its reason; one that is none of a run is cut; the next one runs', async () => {
    const { town, agents, server } = await faultyTown()
    const worker = await town.worker('--cli', 'fake')
    const { id: agentId } = await agentOf(town)
    const { inbox, notes } = town.keys.agent(agentId)
    const big = 'ä'.repeat(5 * MB)
    await server.redis.rpush(inbox, `{"type": "${big}`)
    await push(town, { type: 'informational', summary: big })
    await worker.says(/informational message kept for the next prompt/)
    const [letter] = await listDeadLetters(server.redis, town.keys)
    expect(letter).toMatchObject({ agentId, reason: 'bad-task', detail: expect.stringContaining('JSON') })
    expect(letter?.message === `{"type": "${big}`).toBe(true)
    expect(await server.redis.llen(notes)).toBe(1)
    expect(Buffer.byteLength((await server.redis.lindex(notes, 0)) ?? '')).toBeLessThanOrEqual(32 * 1024)

    const body = { type: 'task', description: `do it ${big}` } as const
    const createdAt = new Date().toISOString()
    const message = newMessage({ from: SUPERVISOR_ID, to: agentId, body, createdAt })
    await server.redis.rpush(inbox, encodeMessage(message))
    const run = await agents.next()
    // The text of a task is never cut.
    expect(run.hello.prompt.endsWith(body.description)).toBe(true)
    await run.stdout('done')
    await run.exit(0)
    expect(await ended(town, message.id)).toMatchObject({ state: 'completed', result: 'done' })
    expect(await server.redis.llen(notes)).toBe(0)
  })
})

describe('what months of runs leave', () => {
  it('goes by age, but for the log of the run in hand and what is not ours; the log of Redis is rotated', async () => {
    const town = await printing('endless', 0)
    const [logs, tasks] = [join(town.root, '.tt', 'logs'), join(town.root, '.tt', 'tasks')]
    for (const folder of [logs, tasks]) await mkdir(folder, { recursive: true })
    const old = async (path: string) => {
      await writeFile(path, 'x')
      await utimes(path, 0, 0)
    }
    const id = newId()
    for (const path of [`${logs}/${id}.log`, `${tasks}/${id}.result.md`, `${logs}/peer.log`]) await old(path)
    // A worker that lives makes the log of its last run young.
    await symlink(`${id}.log`, join(logs, 'worker-9.log'))
    const serverLog = join(town.root, '.tt', 'redis.log')
    await writeFile(serverLog, 'x'.repeat(9 * MB))
    const worker = await town.worker('--cli', 'printer', '--output-limit', '0')
    await worker.says(/removed 2 old log\(s\) and result\(s\), 2 B/)
    expect((await readdir(logs)).sort()).toEqual(['peer.log'])
    expect(await readdir(tasks)).toEqual([])
    expect((await stat(`${serverLog}.1`)).size).toBeGreaterThanOrEqual(9 * MB)
    await (await town.redis()).bgsave()
    await until(async () => (await stat(serverLog)).size > 0, 'redis-server writes its new log')

    const task = await assign(town, 'x')
    await until(async () => (await stat(logOf(town, task)).catch(() => null))?.size, 'the run prints')
    const peer = await town.worker('--cli', 'printer', '--name', 'peer', '--log-keep-size', '1')
    expect(peer.stderr()).not.toMatch(/removed/)
    expect((await readdir(logs)).sort()).toEqual([`${task}.log`, 'peer.log', 'worker-1.log'].sort())
  })
})
