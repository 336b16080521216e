import { describe, expect, it } from 'vitest'
import { townKeys } from '../../src/store/keys.ts'
import { ageingOf, type Sample } from '../soak/ageing.ts'
import { readWrites } from '../soak/append-only-file.ts'
import { historyOf } from '../soak/history.ts'
import { readLedger } from '../soak/ledger.ts'
import { readOptions } from '../soak/options.ts'
import { Dice } from '../soak/random.ts'
import { type Evidence, violationsIn } from '../soak/verdict.ts'

const TOWN = townKeys('soak')
const ID = '550e8400-e29b-41d4-a716-446655440000'
const END = '2026-01-01T00:00:10+00:00'

const task = (...fields: string[]) => ['HSET', TOWN.task(ID), ...fields]
const event = (event_type: string) => {
  const data = { event_type, task_id: ID, message: '', timestamp: END }
  return [
    'XADD',
    TOWN.events,
    'MAXLEN',
    '1000',
    '1-1',
    'event_type',
    event_type,
    'data',
    JSON.stringify(data),
  ]
}
const deadLetter = ['XADD', TOWN.deadLetters, 'MAXLEN', '~', '10000', '1-1', 'reason', 'exit', 'task_id', ID]
const assigned = task('id', ID, 'state', 'assigned')
const running = task('state', 'running')
const completed = task('state', 'completed', 'result', `did ${ID} run-1\n`, 'completed_at', END)
const failed = task('state', 'failed', 'completed_at', END)
const cancelled = task('state', 'cancelled')

const started = (run: string, at: string, beside: string[] = []) =>
  JSON.stringify({ at: Date.parse(at), task: ID, run, what: 'start', pid: 1, beside })
const ended = (run: string, code: number) => JSON.stringify({ task: ID, run, what: 'end', code })
const goodRun = [started('run-1', '2026-01-01T00:00:05Z'), ended('run-1', 0)]

function verdict(writes: string[][], ledger: string[] = goodRun, more: Partial<Evidence> = {}): string[] {
  return violationsIn({
    accepted: new Set([ID]),
    history: historyOf(writes, TOWN),
    runs: readLedger(`${ledger.join('\n')}\n`),
    exits: new Map([
      ['0', 1],
      ['SIGKILL', 3],
    ]),
    keys: [],
    files: [],
    processes: [],
    sparedStarts: 1,
    ageing: null,
    ...more,
  })
}

const good = [assigned, running, completed, event('task_completed')]

describe('the verdict of a soak', () => {
  it.each([
    ['completed', good],
    ['completed at its second attempt', [assigned, running, assigned, ...good]],
    ['failed, in the dead letters', [assigned, running, failed, event('task_failed'), deadLetter]],
    ['cancelled', [assigned, cancelled, event('task_failed')]],
  ])('finds nothing wrong with a task that was %s', (_, writes) => {
    expect(verdict(writes)).toEqual([])
  })

  it.each([
    ['lost', [], /accepted and is not there/],
    ['left open', [assigned, running], /never ended: it is running/],
    ['settled twice', [...good, completed], /settled 2 times: completed, completed/],
    ['failed after it was completed', [...good, failed, deadLetter], /settled 2 times: completed, failed/],
    ['run after its end', [...good, running], /was completed and became running/],
    ['deleted', [...good, ['DEL', 'other', TOWN.task(ID)]], /was completed and became \(deleted\)/],
    ['without a time of its end', [...good, task('completed_at', '')], /no time of its end/],
    ['told twice', [...good, event('task_completed')], /has 2 events of its end/],
    ['told never', [assigned, running, completed], /has 0 events of its end/],
    [
      'failed and in no dead letters',
      [assigned, failed, event('task_failed')],
      /failed and has 0 dead letters/,
    ],
    ['completed and in the dead letters', [...good, deadLetter], /completed and has 1 dead letters/],
  ])('finds a task that was %s', (_, writes, what) => {
    expect(verdict(writes)).toEqual(expect.arrayContaining([expect.stringMatching(what)]))
  })

  it.each([
    [
      'two runs at a time',
      [...goodRun, started('run-2', '2026-01-01T00:00:06Z', ['17 node'])],
      /run as run-2 while another run of it lived: 17 node/,
    ],
    [
      'a run behind the end',
      [...goodRun, started('run-2', '2026-01-01T00:00:11Z')],
      /run again as run-2 after it was completed/,
    ],
    ['a result without a run', [], /completed by no run/],
    ['the result of a run that was killed', goodRun.slice(0, 1), /completed by no run/],
    ['the result of a run that failed', [goodRun[0] ?? '', ended('run-1', 1)], /completed by no run/],
  ])('finds %s', (_, ledger, what) => {
    expect(verdict(good, ledger)).toEqual([expect.stringMatching(what)])
  })

  it.each([
    [{ keys: ['tt:soak:inbox:1'] }, 'the key tt:soak:inbox:1 is left'],
    [{ files: ['tasks/1.prompt.md'] }, 'the file .tt/tasks/1.prompt.md is left'],
    [{ processes: [{ pid: 17, command: 'sleep 600' }] }, 'the process 17 sleep 600 is left'],
    [{ accepted: new Set<string>() }, 'no task was accepted: nothing was tried'],
    [{ sparedStarts: 2 }, 'worker-1, which nobody kills, was started 2 times'],
    [{ exits: new Map([['70', 2]]) }, '2 daemon(s) ended with 70'],
    [{ ageing: ageing({ rssMb: 2, files: 0 }) }, 'the memory of worker-1 grew from 108 MB to 146 MB'],
    [{ ageing: ageing({ rssMb: 0, files: 1 }) }, 'the open files of worker-1 grew from 26 to 45'],
  ])('finds what is left or grew: %j', (more, what) => {
    expect(verdict(good, goodRun, more)).toEqual([what])
  })

  it('finds a run behind a failure, and tells what is known of the task', () => {
    const ledger = [started('run-2', '2026-01-01T00:00:11Z')]
    const [found, ...more] = verdict([assigned, running, failed, event('task_failed'), deadLetter], ledger)
    expect(more).toEqual([])
    expect(found).toMatch(/run again as run-2 after it was failed\n +states: assigned, running, failed\n/)
    expect(found).toMatch(/events: task_failed; dead letters: exit\n +run run-2, 2026.*, cut off$/)
  })

  it('takes ups and downs for no growth', () => {
    expect(verdict(good, goodRun, { ageing: ageing({ rssMb: 0.5, files: 0 }) })).toEqual([])
  })
})

/** Of a daemon that takes so much more every second. */
function ageing(perSecond: { rssMb: number; files: number }) {
  const sample = (at: number): Sample => ({
    at,
    pid: 1,
    rssMb: 80 + at * perSecond.rssMb,
    files: 12 + at * perSecond.files,
  })
  return ageingOf(Array.from({ length: 38 }, (_, at) => sample(at)))
}

describe('an append-only file', () => {
  const bytes = (...words: string[]) =>
    [`*${words.length}`, ...words.flatMap((word) => [`$${Buffer.byteLength(word)}`, word]), ''].join('\r\n')

  it('is read write by write, whatever a value holds', () => {
    const file = Buffer.from(bytes('SET', 'a', 'ö\r\n*1') + bytes('DEL', 'a'))
    expect([...readWrites(file)]).toEqual([
      ['SET', 'a', 'ö\r\n*1'],
      ['DEL', 'a'],
    ])
  })

  it('ends before a write that a crash cut off, wherever', () => {
    const [whole, cut] = [bytes('SET', 'a', '1'), bytes('SET', 'b', '2')]
    for (let length = 0; length < cut.length; length += 1)
      expect([...readWrites(Buffer.from(whole + cut.slice(0, length)))]).toEqual([['SET', 'a', '1']])
  })

  it('is refused where it is none', () => {
    expect(() => [...readWrites(Buffer.from('REDIS0011'))]).toThrow(/no command at byte 0/)
  })
})

describe('the options of a soak', () => {
  it('come from the command line, the length also from the environment', () => {
    expect(readOptions(['--seed', '7', '--agents', '2', '--json'], { SOAK_MINUTES: '0.5' })).toEqual({
      minutes: 0.5,
      seed: 7,
      agents: 2,
      json: true,
      keep: false,
    })
  })

  it.each([
    [['--minutes', 'x'], 'Expected --minutes to be a number from 0.1 to 1440, got "x"'],
    [['--agents', '1'], 'Expected --agents to be a whole number from 2 to 64, got "1"'],
    [['--seed', '1.5'], 'Expected --seed to be a whole number from 0 to 4294967295, got "1.5"'],
    [['--what'], expect.stringMatching(/--what/)],
  ])('refuse %j', (args, what) => {
    expect(readOptions(args, {})).toEqual(what)
  })
})

it('the same seed makes the same choices', () => {
  const choices = (seed: number) => {
    const dice = new Dice(seed)
    return Array.from({ length: 20 }, () => [dice.weighted({ a: 1, b: 3 }), dice.spread(10, 5000)])
  }
  expect(choices(7)).toEqual(choices(7))
  expect(choices(7)).not.toEqual(choices(8))
  for (const [name, value] of choices(9)) {
    expect(['a', 'b']).toContain(name)
    expect(value).toBeGreaterThanOrEqual(10)
    expect(value).toBeLessThanOrEqual(5000)
  }
})
