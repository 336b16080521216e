import { closeSync, constants, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LogFile } from '../../src/worker/log-file.ts'
import { useClosers } from '../rig/daemon.ts'

const onClose = useClosers()

async function newPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-log-'))
  onClose(() => rm(folder, { recursive: true }))
  return join(folder, 'task.log')
}

async function write(path: string, maxBytes: number, ...chunks: Uint8Array[]): Promise<string[]> {
  const failures: string[] = []
  const log = new LogFile({ path, maxBytes, onFailed: (detail) => void failures.push(detail) })
  for (const chunk of chunks) await log.write(chunk)
  await log.close()
  return failures
}

const some = (bytes: number, text = 'x') => Buffer.alloc(bytes, text)
const CUT = '\n[tinytown-worker: cut here: a log file holds at most 4 KB (--output-limit)]\n'

describe('a log file with a limit', () => {
  it('holds what fits and says once where it was cut', async () => {
    const path = await newPath()
    await write(path, 4000, some(3000), some(3000, 'y'), some(3000, 'z'))
    const text = readFileSync(path, 'utf8')
    expect(text).toBe(`${'x'.repeat(3000)}${'y'.repeat(1000 - CUT.length)}${CUT}`)
  })

  it('is never longer, however the output comes and however often the task is run', async () => {
    const sizes = fc.array(fc.array(fc.nat(3000), { maxLength: 6 }), { maxLength: 4 })
    const path = await newPath()
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1024, max: 5000 }), async (runs, limit) => {
        await rm(path, { force: true })
        for (const chunks of runs) {
          await write(path, limit, ...chunks.map((bytes) => some(bytes)))
          expect(statSync(path).size).toBeLessThanOrEqual(limit)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('is whole when its output just fits', async () => {
    const path = await newPath()
    const exact = some(4000 - CUT.length)
    await write(path, 4000, exact)
    expect(readFileSync(path).equals(exact)).toBe(true)
  })

  it('has room for the next attempt: what is more than half goes, with a word on it', async () => {
    const path = await newPath()
    writeFileSync(path, some(2000))
    await write(path, 4000, Buffer.from('second'))
    expect(readFileSync(path, 'utf8')).toBe(`${'x'.repeat(2000)}second`)
    await write(path, 4000, Buffer.from('third'))
    expect(readFileSync(path, 'utf8')).toMatch(/^\n\[tinytown-worker: what earlier .* gone: .*\]\nthird$/)
  })

  it('holds everything without a limit', async () => {
    const path = await newPath()
    for (let run = 0; run < 2; run += 1) await write(path, 0, some(3_000_000))
    expect(statSync(path).size).toBe(6_000_000)
  })
})

it('is refused at once where a pipe stands, whether somebody reads it or not', async () => {
  const path = await newPath()
  await execa('mkfifo', [path])
  expect(await write(path, 4000, some(100_000))).toEqual([expect.stringContaining('ENXIO')])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  expect(await write(path, 4000, some(100_000))).toEqual([expect.stringContaining('no regular file')])
  closeSync(reader)
})
