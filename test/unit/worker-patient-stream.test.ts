import { createWriteStream } from 'node:fs'
import { Writable } from 'node:stream'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { PatientStream } from '../../src/worker/patient-stream.ts'

const CHUNK = Buffer.from('x')

/** A stream that is full at once, and what it is to take next. */
function slow() {
  const waiting: ((error?: Error) => void)[] = []
  const stream = new Writable({
    highWaterMark: 1,
    write: (_chunk, _encoding, taken) => void waiting.push(taken),
  })
  const failures: string[] = []
  return {
    stream,
    waiting,
    failures,
    patient: new PatientStream(stream, (detail) => void failures.push(detail)),
  }
}

async function isSettled(promise: Promise<unknown> | undefined): Promise<boolean> {
  return (
    (await Promise.race([promise?.then(() => true), vi.advanceTimersByTimeAsync(0).then(() => false)])) ===
    true
  )
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

it('waits until there is room', async () => {
  const { waiting, failures, patient } = slow()
  const room = patient.write(CHUNK)
  await vi.advanceTimersByTimeAsync(4999)
  expect(await isSettled(room)).toBe(false)
  waiting.shift()?.()
  await room
  const end = patient.end()
  await end
  expect(failures).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})

it.each(['write', 'end'] as const)(
  'gives a stream up that takes nothing, and tells it once (%s)',
  async (call) => {
    const { stream, failures, patient } = slow()
    const room = patient.write(CHUNK)
    const end = call === 'end' ? patient.end() : undefined
    await vi.advanceTimersByTimeAsync(5000)
    await room
    await end
    expect(failures).toEqual(['nothing was taken for 5 s'])
    expect(stream.destroyed).toBe(true)
    expect(patient.write(CHUNK)).toBeUndefined()
    await patient.end()
    expect(failures).toHaveLength(1)
  },
)

it('waits no longer for a stream that breaks, and tells it once', async () => {
  const { waiting, failures, patient } = slow()
  const room = patient.write(CHUNK)
  waiting.shift()?.(new Error('no room on the disk'))
  await room
  await patient.end()
  expect(failures).toEqual(['no room on the disk'])
  expect(vi.getTimerCount()).toBe(0)
})

it('tells once that the disk is full', async () => {
  vi.useRealTimers()
  const failures: string[] = []
  const patient = new PatientStream(createWriteStream('/dev/full'), (detail) => void failures.push(detail))
  for (let count = 0; count < 3; count += 1) await patient.write(Buffer.alloc(1 << 20))
  await patient.end()
  expect(failures).toEqual([expect.stringContaining('ENOSPC')])
})
