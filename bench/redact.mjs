// How fast output goes through the redaction: 1 GB in chunks of 64 KiB, as a pipe gives them, against 30 secrets.
import { createHash, randomBytes } from 'node:crypto'
import { cpus } from 'node:os'
import { performance } from 'node:perf_hooks'
import { secretRedactor } from '../dist/src/process/secrets.js'

const BYTES = 1e9
const CHUNK = 64 * 1024

const environment = Object.fromEntries(
  // The same at each time: how often a text looks like the beginning of one is part of what is measured.
  Array.from({ length: 30 }, (_, index) => [
    `SERVICE_${index}_TOKEN`,
    createHash('sha256').update(`secret ${index}`).digest('base64'),
  ]),
)
environment.QUOTED_SECRET = 'a "quoted" \\ and/or söcret <value>'
const redactor = secretRedactor({ environment, named: [], values: [] })
const secret = environment.SERVICE_7_TOKEN

const event = JSON.stringify({
  type: 'item.completed',
  item: { type: 'agent_message', text: 'He said "it\'s done"\n\tin /src/a.ts' },
})
const texts = {
  'JSON lines': `${event}\n`,
  'plain text': 'The quick brown fox jumps over the lazy dog, 1234 times.\n',
  'one letter': 'x',
  'random bytes': null,
  'the beginning of a secret, again and again': secret.slice(0, 20),
  'a secret in every KiB': `${'The quick brown fox jumps over the lazy dog. '.repeat(22)}${secret}\n`,
}

const rows = Object.entries(texts).map(([what, text]) => {
  const source =
    text === null ? randomBytes(CHUNK * 16) : Buffer.from(text.repeat(Math.ceil((CHUNK * 16) / text.length)))
  const stream = redactor.stream()
  const since = performance.now()
  let out = 0
  for (let done = 0, at = 0; done < BYTES; done += CHUNK, at = (at + CHUNK) % (source.length - CHUNK)) {
    out += stream.push(source.subarray(at, at + CHUNK)).length
  }
  out += stream.end().length
  return { what, 'MB/s': Math.round(BYTES / 1000 / (performance.now() - since)), out }
})
console.log(
  `Node.js ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model}, ${redactor.longest} bytes at most are held back`,
)
console.table(rows)
