import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A write as Redis keeps it: the command and its arguments. */
export type Write = readonly string[]

/** Every write that a Redis with an append-only file ever took, in its order. It must not have been rewritten. */
export function* writesIn(dir: string): Generator<Write> {
  // Redis 7 keeps a folder, earlier ones a file.
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.aof'),
  )
  const bases = files.filter((name) => name.includes('.base.'))
  for (const name of [...bases, ...files.filter((one) => !bases.includes(one)).sort()])
    yield* readWrites(readFileSync(join(dir, name)))
}

/** Reads RESP arrays of bulk strings. What a crash left of the last one is passed over, as Redis does. */
export function* readWrites(data: Buffer): Generator<Write> {
  let at = 0
  const header = (): number => {
    const end = data.indexOf('\r\n', at)
    if (end < 0) throw new CutOff()
    const value = Number(data.toString('latin1', at + 1, end))
    at = end + 2
    return value
  }
  const word = (): string => {
    const length = header()
    const end = at + length
    if (end + 2 > data.length) throw new CutOff()
    const text = data.toString('utf8', at, end)
    at = end + 2
    return text
  }
  while (at < data.length) {
    if (data[at] !== 0x2a) throw new Error(`The append-only file has no command at byte ${at}`)
    try {
      yield Array.from({ length: header() }, word)
    } catch (error) {
      if (error instanceof CutOff) return
      throw error
    }
  }
}

class CutOff extends Error {}
