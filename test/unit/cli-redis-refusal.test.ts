import { ReplyError } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { exitCodeOf } from '../../src/cli/exit-codes.ts'
import { explainRedis } from '../../src/cli/redis-refusal.ts'
import { WorkerError } from '../../src/domain/errors.ts'

const replied = (message: string) => new (ReplyError as unknown as typeof Error)(message)
const named = (name: string, message: string) => Object.assign(new Error(message), { name })

describe('what Redis answers to a command', () => {
  it.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", 69, /maxmemory/],
    ['LOADING Redis is loading the dataset in memory', 69, /try again/],
    ["READONLY You can't write against a read only replica.", 69, /primary/],
    ['MISCONF Redis is configured to save RDB snapshots', 69, /disk/],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 69, /Try again/],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 70, /redis-cli/],
    ["NOPERM User x has no permissions to run the 'scan' command", 70, /ACL SETUSER/],
    ["ERR unknown command 'evalsha'", 70, /doctor/],
  ])('is told with a remedy: %s', (message, exitCode, remedy) => {
    const error = explainRedis(replied(message))
    expect(error).toBeInstanceOf(WorkerError)
    const { code, message: told, remedy: toDo } = error as WorkerError
    expect(exitCodeOf(code)).toBe(exitCode)
    expect(told).toBe(`Redis refused a command: ${message}`)
    expect(toDo).toMatch(remedy)
  })

  it.each([
    named('MaxRetriesPerRequestError', 'Reached the max retries per request limit (which is 2).'),
    new Error('Connection is closed.'),
  ])('is missing when the connection went away: %s', (error) => {
    expect(explainRedis(error)).toMatchObject({ code: 'redis-unreachable', cause: error })
  })

  it.each([new TypeError('a bug'), new WorkerError('usage', 'a word'), 'text', undefined])(
    'is not meant by %s',
    (error) => {
      expect(explainRedis(error)).toBe(error)
    },
  )
})
