import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Deferred, deferred } from '../../src/base/deferred.ts'
import type { WorkerEvent } from '../../src/domain/worker-event.ts'
import { Transcript } from '../../src/worker/transcript.ts'
import { until } from '../rig/until.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tw-transcript-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Opened {
  readonly transcript: Transcript
  readonly path: string
  readonly sent: string[]
  readonly events: WorkerEvent[]
  readonly lines: () => string[]
}

function open({
  path = join(folder, 'logs', 'task.log'),
  gate,
}: {
  path?: string
  gate?: Deferred<void>
} = {}): Opened {
  const sent: string[] = []
  const events: WorkerEvent[] = []
  const transcript = new Transcript({
    path,
    maxBytes: 0,
    taskId: 'task-1',
    emit: (event) => void events.push(event),
    send: async (text) => {
      sent.push(text)
      await gate?.promise
    },
  })
  return { transcript, path, sent, events, lines: () => sent.flatMap((text) => text.split('\n')) }
}

const failures = ({ events }: Opened) => events.filter(({ type }) => type === 'log-file-failed')

describe('the file of a transcript', () => {
  it('gets everything, byte for byte, in a folder that it makes', async () => {
    const opened = open()
    const chunks = Array.from({ length: 500 }, (_, index) => Buffer.from([index % 256, 0xff, 0x0a]))
    for (const chunk of chunks) await opened.transcript.raw(chunk)
    await opened.transcript.close()
    expect(readFileSync(opened.path).equals(Buffer.concat(chunks))).toBe(true)
    expect(failures(opened)).toEqual([])
  })

  it('is readable by its owner and group alone', async () => {
    const { transcript, path } = open()
    await transcript.close()
    expect(statSync(path).mode & 0o027).toBe(0)
  })

  it('keeps what an earlier attempt wrote', async () => {
    for (const word of ['one ', 'two']) {
      const { transcript } = open()
      await transcript.raw(Buffer.from(word))
      await transcript.close()
    }
    expect(readFileSync(join(folder, 'logs', 'task.log'), 'utf8')).toBe('one two')
  })

  it('makes the writer wait while the disk is slower than the output', async () => {
    const { transcript, path } = open()
    const chunk = Buffer.alloc(1 << 20, 'x')
    let waits = 0
    for (let count = 0; count < 20; count += 1) {
      const taken = transcript.raw(chunk)
      if (taken !== undefined) waits += 1
      await taken
    }
    await transcript.close()
    expect(waits).toBeGreaterThan(0)
    expect(statSync(path).size).toBe(20 * chunk.length)
  })

  it.each([
    ['its folder cannot be made', () => join(folder, 'file', 'logs', 'task.log')],
    ['a folder has its name', () => folder],
  ])('is told once when %s, and the output still flows', async (_, pathOf) => {
    writeFileSync(join(folder, 'file'), '')
    const opened = open({ path: pathOf() })
    for (let count = 0; count < 5; count += 1) {
      await opened.transcript.raw(Buffer.alloc(1 << 20))
      opened.transcript.text(`line ${count}`)
    }
    await opened.transcript.close()
    expect(failures(opened)).toHaveLength(1)
    expect(failures(opened)[0]).toMatchObject({
      path: opened.path,
      detail: expect.stringMatching(/^E[A-Z]+/),
    })
    expect(opened.lines()).toEqual([0, 1, 2, 3, 4].map((count) => `line ${count}`))
  })

  it('is told once when a device stands in its place, and the output still flows', async () => {
    const opened = open({ path: '/dev/full' })
    for (let count = 0; count < 3; count += 1) await opened.transcript.raw(Buffer.alloc(1 << 20))
    await opened.transcript.close()
    expect(failures(opened)).toHaveLength(1)
    expect(failures(opened)[0]).toMatchObject({ detail: expect.stringContaining('no regular file') })
  })
})

describe('the readable side of a transcript', () => {
  it('sends whole lines in order, many in one piece', async () => {
    const { transcript, sent, lines, events } = open()
    const expected = Array.from({ length: 1000 }, (_, index) => `line ${index} ä`)
    for (const line of expected) transcript.text(line)
    await transcript.close()
    expect(lines()).toEqual(expected)
    expect(sent.length).toBeLessThan(10)
    for (const piece of sent) expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(4096)
    expect(events).toEqual(sent.map((text) => ({ type: 'task-output', taskId: 'task-1', text })))
  })

  it('sends while the run goes on, without being asked', async () => {
    const { transcript, sent } = open()
    transcript.text('early')
    await until(() => sent.length > 0, 'the first line was sent')
    transcript.text('late')
    await until(() => sent.length > 1, 'the second line was sent')
    expect(sent).toEqual(['early', 'late'])
    await transcript.close()
  })

  it('takes several lines at once and keeps the empty ones', async () => {
    const { transcript, sent } = open()
    transcript.text('a\n\nb')
    await transcript.close()
    expect(sent).toEqual(['a\n\nb'])
  })

  it('cuts a line that is too long, in whole characters, and says so', async () => {
    const { transcript, sent } = open()
    transcript.text('😀'.repeat(5000))
    await transcript.close()
    expect(sent).toHaveLength(1)
    expect(sent[0]).toMatch(/^(😀)+ \[…\]$/u)
    expect(Buffer.byteLength(sent[0] ?? '')).toBeLessThanOrEqual(4096)
  })

  it('sends nothing when there was nothing', async () => {
    const { transcript, sent, path } = open()
    await transcript.close()
    expect(sent).toEqual([])
    expect(readFileSync(path, 'utf8')).toBe('')
  })

  it('keeps only so much for a Redis that is slow, and counts what it leaves out', async () => {
    const gate = deferred()
    const { transcript, sent, lines } = open({ gate })
    transcript.text('first')
    await until(() => sent.length === 1, 'the first piece is on its way')
    const line = 'x'.repeat(999)
    for (let count = 0; count < 10_000; count += 1) transcript.text(line)
    gate.resolve()
    await transcript.close()
    const kept = lines().filter((text) => text === line).length
    // 256 KiB of lines of 1000 bytes, their line ends included.
    expect(kept).toBe(262)
    expect(lines().at(-1)).toBe(`[… ${10_000 - kept} lines are only in the log file]`)
  })

  it('keeps no more for lines that it cut, however many there were', async () => {
    const gate = deferred()
    const { transcript, sent, lines } = open({ gate })
    // Every piece that is sent must free exactly what it had taken.
    gate.resolve()
    for (let round = 1; round <= 8; round += 1) {
      for (let count = 0; count < 60; count += 1) transcript.text('y'.repeat(10_000))
      await until(() => lines().length >= round * 60, `the lines of round ${round} were sent`)
    }
    const before = sent.length
    for (let count = 0; count < 1000; count += 1) transcript.text('z'.repeat(999))
    await transcript.close()
    const kept = sent
      .slice(before)
      .flatMap((text) => text.split('\n'))
      .filter((text) => text.startsWith('z'))
    expect(kept).toHaveLength(262)
  })

  it('does not hold up the writer while a piece is on its way', async () => {
    const gate = deferred()
    const { transcript, sent, path } = open({ gate })
    transcript.text('first')
    await until(() => sent.length === 1, 'the first piece is on its way')
    transcript.text('second')
    await transcript.raw(Buffer.from('second\n'))
    await until(() => readFileSync(path, 'utf8') === 'second\n', 'the file has it')
    expect(sent).toEqual(['first'])
    gate.resolve()
    await transcript.close()
    expect(sent).toEqual(['first', 'second'])
  })

  it('goes on when a piece cannot be sent', async () => {
    const events: WorkerEvent[] = []
    const transcript = new Transcript({
      path: join(folder, 'task.log'),
      maxBytes: 0,
      taskId: 'task-1',
      emit: (event) => void events.push(event),
      send: () => Promise.reject(new Error('no Redis')),
    })
    transcript.text('a')
    await until(() => events.length === 1, 'the first piece failed')
    transcript.text('b')
    await transcript.close()
    expect(events).toHaveLength(2)
  })

  it('closes although a piece never arrives, and sends nothing afterwards', async () => {
    const gate = deferred()
    const opened = open({ gate })
    opened.transcript.text('stuck')
    await until(() => opened.sent.length === 1, 'the first piece is on its way')
    opened.transcript.text('waiting')
    await opened.transcript.close()
    expect(readFileSync(opened.path, 'utf8')).toBe('')
    gate.resolve()
    await new Promise(setImmediate)
    expect(opened.sent).toEqual(['stuck'])
  })
})
