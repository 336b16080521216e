import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { claude } from '../../workers/claude.ts'
import { codex } from '../../workers/codex.ts'
import { timeAfter, timeAt } from '../../workers/reset-time.ts'

const moment = (now: string, timeZone = 'UTC') => ({ now: Date.parse(now), timeZone })
const NOON = moment('2026-11-21T12:00:30Z')
const iso = (time: number | undefined) => time && new Date(time).toISOString().replace(':00.000Z', 'Z')

describe('a time of day', () => {
  test.each([
    ['today', '10:26 PM', NOON, '2026-11-21T22:27Z'],
    ['in lower case, without minutes', '7pm', NOON, '2026-11-21T19:01Z'],
    ['at noon', '12pm', moment('2026-11-21T08:00:00Z'), '2026-11-21T12:01Z'],
    ['tomorrow, when it is over', '9:05 AM', NOON, '2026-11-22T09:06Z'],
    ['at midnight', '12am', NOON, '2026-11-22T00:01Z'],
    ['in this very minute', '12:00 PM', NOON, '2026-11-21T12:01Z'],
    ['a moment ago, on a clock that goes ahead', '11:55 AM', NOON, '2026-11-21T11:56Z'],
    ['a moment ago, before midnight', '11:59 PM', moment('2026-11-22T00:02:00Z'), '2026-11-22T00:00Z'],
    ['on the last day of a year', '1am', moment('2026-12-31T12:00:00Z'), '2027-01-01T01:01Z'],
    ['where the worker is', '10:26 PM', moment('2026-11-21T12:00:00Z', 'Asia/Tokyo'), '2026-11-21T13:27Z'],
    [
      'today there, tomorrow here',
      '3am',
      moment('2026-11-21T12:00:00Z', 'America/Los_Angeles'),
      '2026-11-22T11:01Z',
    ],
    ['of the zone that stands there', '10:26pm (Europe/Berlin)', NOON, '2026-11-21T21:27Z'],
    [
      'after the clocks are set back in the night',
      '9am (Europe/Berlin)',
      moment('2026-10-24T20:00:00Z'),
      '2026-10-25T08:01Z',
    ],
    [
      'after they are set forward',
      '9am (Europe/Berlin)',
      moment('2026-03-28T20:00:00Z'),
      '2026-03-29T07:01Z',
    ],
  ])('%s: %s', (_, text, at, expected) => {
    expect(iso(timeAt(text, at))).toBe(expected)
  })
})

test.each([
  ['Nov 25th, 2026 10:26 PM', '2026-11-25T22:27Z'],
  ['Dec 1st, 2026 1:05 AM', '2026-12-01T01:06Z'],
  ['Dec 21 at 3pm (UTC)', '2026-12-21T15:01Z'],
  ['Dec 21, 3pm (UTC)', '2026-12-21T15:01Z'],
  ['Nov 24, 11:30am (America/New_York)', '2026-11-24T16:31Z'],
  ['Jan 2 at 3pm', '2027-01-02T15:01Z'],
])('a day: %s', (text, expected) => {
  expect(iso(timeAt(text, NOON))).toBe(expected)
})

test.each([
  '',
  'later',
  '25 PM',
  '13pm',
  '0am',
  '10:75 PM',
  '22:26',
  'Xyz 5 at 3pm',
  '3pm (Mars/Base)',
  'in 5 minutes',
])('no time: %j', (text) => {
  expect(timeAt(text, NOON)).toBeUndefined()
})

test.each([
  ['11s', 11_000],
  ['11.054s.', 11_054],
  ['28ms', 28],
  ['6m0s', 360_000],
  ['1h2m3s', 3_723_000],
  ['35 seconds', 35_000],
  ['2 days 3 hours 5 minutes.', 183_900_000],
  ['1 day, 2 hours and 1 minute', 93_660_000],
  ['5 parsecs', undefined],
  ['a moment', undefined],
])('after %s', (text, ms) => {
  expect(timeAfter(text, NOON)).toBe(ms && NOON.now + ms)
})

test('whatever time of day is told, it is the next one, within a day', () => {
  const zones = fc.constantFrom(
    'UTC',
    'Europe/Berlin',
    'Asia/Kolkata',
    'America/St_Johns',
    'Pacific/Auckland',
  )
  const nows = fc.integer({ min: Date.UTC(2025, 0), max: Date.UTC(2030, 0) })
  fc.assert(
    fc.property(nows, zones, fc.nat(3 * 24 * 3_600_000), (now, timeZone, later) => {
      const words = { hour: 'numeric', minute: 'numeric', hour12: true } as const
      const text = new Intl.DateTimeFormat('en-US', { ...words, timeZone }).format(now + later)
      const told = timeAt(text, { now, timeZone }) ?? 0
      expect(told).toBeGreaterThanOrEqual(now - 600_000)
      // An hour for a clock that is set back meanwhile.
      expect(told).toBeLessThanOrEqual(now + 25 * 3_600_000 + 60_000)
      // What a clock shows that is set forward over it is shown an hour later.
      const shown = new Intl.DateTimeFormat('en-US', { ...words, timeZone }).format(told - 60_000)
      expect(shown.replace(/^\d+/, '')).toBe(text.replace(/^\d+/, ''))
    }),
  )
})

const LIMIT = 'You’ve hit your usage limit. Upgrade to Pro (https://chatgpt.com/explore/pro)'

test.each([
  [
    codex,
    `${LIMIT}, visit https://chatgpt.com/settings/usage to purchase more credits or try again at 10:26 PM.`,
    '2026-11-21T22:27Z',
  ],
  [codex, "You've hit your usage limit. Try again at Nov 25th, 2026 10:26 PM.", '2026-11-25T22:27Z'],
  [codex, "You've hit your usage limit. Try again in 2 days 3 hours 5 minutes.", '2026-11-23T15:05:30.000Z'],
  [codex, "You've hit your usage limit. Try again later.", undefined],
  [
    codex,
    'rate limit exceeded: Limit 30000, Used 22999, Requested 12528. Please try again in 11s.',
    '2026-11-21T12:00:41.000Z',
  ],
  [codex, 'Quota exceeded. Check your plan and billing details.', undefined],
  [claude, "You've hit your 5-hour limit · resets 10:26pm (UTC)", '2026-11-21T22:27Z'],
  [claude, "You've hit your weekly limit · resets Nov 24 at 9am (Europe/Berlin)", '2026-11-24T08:01Z'],
  [claude, 'Claude AI usage limit reached|1795300000', '2026-11-21T22:26:40.000Z'],
  [claude, 'API Error: Request rejected (429) · Usage limit reached', undefined],
])('$id tells the end of its limit: %s', ({ resetsAt }, message, expected) => {
  expect(iso(resetsAt?.(message, NOON))).toBe(expected)
})
