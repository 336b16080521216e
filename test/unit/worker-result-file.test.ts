import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../src/domain/outcome.ts'
import { MAX_RESULT_BYTES } from '../../src/domain/result.ts'
import type { WorkerEvent } from '../../src/domain/worker-event.ts'
import { boundResult } from '../../src/worker/result-file.ts'
import { useClosers } from '../rig/daemon.ts'

const onClose = useClosers()
const LOG = '/town/.tt/logs/t.log'
const facts = { toolCalls: 0, durationMs: 1 }

type Completed = Extract<Outcome, { kind: 'completed' }>
const completed = (result: string, more: Partial<Completed> = {}): Completed => ({
  kind: 'completed',
  result,
  truncated: false,
  facts,
  ...more,
})

async function bound(outcome: Outcome, { logPath = LOG, prepare = (_: string) => {} } = {}) {
  const root = await mkdtemp(join(tmpdir(), 'tw-result-'))
  onClose(() => rm(root, { recursive: true }))
  mkdirSync(join(root, '.tt'))
  const resultPath = join(root, '.tt', 'tasks', 't.result.md')
  prepare(resultPath)
  const events: WorkerEvent[] = []
  const made = await boundResult(outcome, { resultPath, logPath, emit: (event) => void events.push(event) })
  const { result = '', truncated } = made.kind === 'completed' ? made : {}
  return { made, result, truncated, resultPath, events }
}

describe('a result that fits into its record', () => {
  it.each([
    ['a short one', completed('Done.')],
    ['one of exactly that size', completed('x'.repeat(MAX_RESULT_BYTES))],
    ['a failure', { kind: 'failed', reason: 'exit', detail: 'x', facts } as const],
  ])('stays as it is, and no file is made: %s', async (_, outcome) => {
    const { made, resultPath } = await bound(outcome)
    expect(made).toEqual(outcome)
    expect(existsSync(resultPath)).toBe(false)
  })
})

describe('a result that is too long for its record', () => {
  it('is kept whole in a file of its owner, and cut with a note that names it', async () => {
    const whole = `The answer ${'ä'.repeat(600_000)}`
    const { result, truncated, resultPath } = await bound(completed(whole))
    expect(readFileSync(resultPath, 'utf8')).toBe(whole)
    expect(statSync(resultPath).mode & 0o777).toBe(0o600)
    const note = `\n\n[… cut here: this result has 1.2 MB; all of it is in ${hostname()}:${resultPath}]`
    expect(result.endsWith(note)).toBe(true)
    expect(result.slice(0, -note.length)).toBe(whole.slice(0, result.length - note.length))
    expect(Buffer.byteLength(result)).toBeLessThanOrEqual(MAX_RESULT_BYTES)
    expect(Buffer.byteLength(result)).toBeGreaterThan(MAX_RESULT_BYTES - 2)
    expect(truncated).toBe(true)
  })

  it('keeps its end where that is what counts, with the note before it', async () => {
    const whole = `${'ä'.repeat(600_000)} the end`
    const { result, resultPath } = await bound(completed(whole, { part: 'end' }))
    expect(readFileSync(resultPath, 'utf8')).toBe(whole)
    expect(result).toMatch(/^\[… cut here: .*t\.result\.md\]\n\nä+ the end$/)
    expect(Buffer.byteLength(result)).toBeLessThanOrEqual(MAX_RESULT_BYTES)
  })

  it('names the log file where its beginning is in no memory, also when the rest fits', async () => {
    const { result, truncated, resultPath } = await bound(
      completed('the end', { part: 'end', truncated: true }),
    )
    expect(result).toBe(
      `[… cut here: this is the end of what was printed; the log file is ${hostname()}:${LOG}]\n\nthe end`,
    )
    expect(truncated).toBe(true)
    expect(existsSync(resultPath)).toBe(false)
  })

  it('names the log file, and says why, when the file cannot be written', async () => {
    const prepare = (path: string) => writeFileSync(join(path, '..'), 'no folder')
    const { result, events, resultPath } = await bound(completed('x'.repeat(2_000_000)), { prepare })
    expect(result.endsWith(`the log file is ${hostname()}:${LOG}]`)).toBe(true)
    expect(events).toEqual([
      { type: 'result-file-failed', path: resultPath, detail: expect.stringMatching(/^E[A-Z]+/) },
    ])
  })

  it('says so when it is nowhere', async () => {
    const outcome = completed('the end', { part: 'end', truncated: true })
    const { made } = await bound(outcome, { logPath: '' })
    expect(made).toMatchObject({ result: expect.stringContaining('the rest was not kept') })
  })

  it('writes through no link', async () => {
    let other = ''
    const prepare = (path: string) => {
      mkdirSync(join(path, '..'))
      other = join(path, '..', 'other')
      writeFileSync(other, 'untouched')
      symlinkSync(other, path)
    }
    const { resultPath } = await bound(completed('x'.repeat(2_000_000)), { prepare })
    expect(readFileSync(other, 'utf8')).toBe('untouched')
    expect(statSync(resultPath).size).toBe(2_000_000)
  })
})
