/** Where and when a text was written: its times are those of that place. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly now: number
  /** An IANA name, such as Europe/Berlin. */
  readonly timeZone: string
}

/** A time as a clock on the wall shows it. */
interface WallTime {
  readonly year: number
  /** From 1. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
}

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** A time that is over for no longer than this is meant as it stands, not as that of tomorrow. */
const JUST_OVER_MS = 10 * MINUTE_MS

const UNITS: readonly (readonly [RegExp, number])[] = [
  [/^(ms|milliseconds?)$/, 1],
  [/^(s|secs?|seconds?)$/, 1000],
  [/^(m|mins?|minutes?)$/, MINUTE_MS],
  [/^(h|hrs?|hours?)$/, 60 * MINUTE_MS],
  [/^(d|days?)$/, DAY_MS],
]
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

const CLOCK = String.raw`(?<hour>\d{1,2})(?::(?<minute>\d\d))?\s?(?<half>[AaPp][Mm])`
const DATE = String.raw`(?<month>[A-Z][a-z]{2})[a-z]* (?<day>\d{1,2})(?:st|nd|rd|th)?(?:, (?<year>\d{4}))?`
const AT = new RegExp(String.raw`^(?:${DATE}(?:,| at|,? at)? )?${CLOCK}(?: \((?<zone>[A-Za-z][\w+/-]*)\))?`)
const IN = /^((?:\d+(?:\.\d+)?\s?[a-z]+(?:,? and |, | )?)+)/

/** Reads "11s", "6m0s", "1.5s", "2 days 3 hours" as milliseconds from now on. */
export function timeAfter(text: string, { now }: Moment): number | undefined {
  const parts = [...(IN.exec(text)?.[1] ?? '').matchAll(/(\d+(?:\.\d+)?)\s?([a-z]+)/g)]
  const lengths = parts.map(([, count, unit = '']) => {
    const ms = UNITS.find(([name]) => name.test(unit))?.[1]
    return ms === undefined ? Number.NaN : Number(count) * ms
  })
  const sum = lengths.reduce((total, length) => total + length, 0)
  return parts.length === 0 || Number.isNaN(sum) ? undefined : now + Math.ceil(sum)
}

/**
 * Reads "10:26 PM", "7pm (Europe/Berlin)", "Nov 25th, 2026 10:26 PM", "Dec 21 at 3pm (UTC)". What is told to the minute is over at the end of
 * that minute. Without a date it is the next such time; undefined for what is none.
 */
export function timeAt(text: string, moment: Moment): number | undefined {
  const { hour, minute = '0', half, month, day, year, zone } = AT.exec(text)?.groups ?? {}
  const clock = {
    hour: (Number(hour) % 12) + (half?.toLowerCase() === 'pm' ? 12 : 0),
    minute: Number(minute),
  }
  if (hour === undefined || Number(hour) < 1 || Number(hour) > 12 || clock.minute > 59) return undefined
  const timeZone = zone ?? moment.timeZone
  const today = wallTimeAt(moment.now, timeZone)
  if (today === null) return undefined
  const at = (date: Omit<WallTime, 'hour' | 'minute'>) =>
    instantOf({ ...date, ...clock }, timeZone) + MINUTE_MS
  const next = (times: readonly number[]) => times.find((time) => time >= moment.now - JUST_OVER_MS)
  if (month === undefined || day === undefined)
    return next([-1, 0, 1].map((days) => at({ ...today, day: today.day + days })))
  const known = MONTHS.indexOf(month.toLowerCase()) + 1
  if (known === 0) return undefined
  const date = { month: known, day: Number(day) }
  if (year !== undefined) return at({ ...date, year: Number(year) })
  return next([0, 1].map((years) => at({ ...date, year: today.year + years })))
}

/** The instant at which the clocks of a zone show a time; where they are set forward over it, the one as long after the change. */
function instantOf({ year, month, day, hour, minute }: WallTime, timeZone: string): number {
  const wanted = Date.UTC(year, month - 1, day, hour, minute)
  let instant = wanted
  // The offset of the zone at the first guess may be that of the other side of a change.
  for (let guess = 0; guess < 2; guess += 1) instant = wanted - offsetAt(instant, timeZone)
  return instant
}

/** How far the clocks of a zone are ahead of UTC, in milliseconds. */
function offsetAt(instant: number, timeZone: string): number {
  const shown = wallTimeAt(instant, timeZone)
  if (shown === null) return 0
  const { year, month, day, hour, minute } = shown
  return Date.UTC(year, month - 1, day, hour, minute) - Math.floor(instant / MINUTE_MS) * MINUTE_MS
}

/** Null for a zone that is not known. */
function wallTimeAt(instant: number, timeZone: string): WallTime | null {
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone, calendar: 'gregory', numberingSystem: 'latn', hourCycle: 'h23' },
      ...{ year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric' },
    })
    const parts = format.formatToParts(instant)
    const part = (type: keyof WallTime) => Number(parts.find((found) => found.type === type)?.value)
    return {
      year: part('year'),
      month: part('month'),
      day: part('day'),
      hour: part('hour'),
      minute: part('minute'),
    }
  } catch {
    return null
  }
}
