import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { cleanedBy } from '../../src/observability/logger.ts'

/** What a logger writes that takes the word `secret` out. */
function logged(log: (logger: pino.Logger) => void): unknown[] {
  const lines: unknown[] = []
  const stream = new Writable({ write: (line, _, done) => done(void lines.push(JSON.parse(String(line)))) })
  const redact = (text: string) => text.replaceAll('secret', '*')
  log(pino({ base: null, timestamp: false, ...cleanedBy(redact) }, stream))
  return lines
}

it('takes secrets out of sentences and fields, but for the word of the event', () => {
  const lines = logged((logger) => {
    logger.info('a secret')
    logger.child({ agent: 'w' }).warn({ event: 'secret-found', detail: 'the secret', count: 2 }, 'my secret')
  })
  expect(lines).toEqual([
    { level: 30, msg: 'a *' },
    { level: 40, agent: 'w', event: 'secret-found', detail: 'the *', count: 2, msg: 'my *' },
  ])
})

it('tells of an error its type, message, code and stack, cut and clean, and nothing that it carries', () => {
  const long = 'x'.repeat(5000)
  const error = Object.assign(new Error(`secret ${long}secret`), {
    name: 'ReplyError',
    code: 'E1',
    command: { name: 'evalsha', args: ['secret', long] },
  })
  const [line] = logged((logger) => logger.error({ err: error }, 'refused')) as [{ err: object }]
  expect(line.err).toEqual({
    type: 'ReplyError',
    message: `* ${'x'.repeat(4094)} […]`,
    code: 'E1',
    stack: expect.stringMatching(/^\w+: \* x+\*\n +at /),
  })
})

it('cuts what is cut only when it is clean: half a secret is none that anybody finds', () => {
  const error = new Error(`${'x'.repeat(4093)}secret`)
  const [line] = logged((logger) => logger.error(error)) as [{ err: { message: string } }]
  expect(line.err.message).toBe(`${'x'.repeat(4093)}*`)
})

it('takes whatever was thrown for an error', () => {
  expect(logged((logger) => logger.error({ err: 'a secret' }, 'oh'))).toMatchObject([
    { err: { message: 'a *' } },
  ])
})
