const SPACE = '\\p{White_Space}*'
const DATE = ['([-+]\\d+|\\d{1,4})', '-', '(\\d{1,2})', '-', '(\\d{1,2})'].join(SPACE)
const CLOCK = ['(\\d{1,2})', ':', '(\\d{1,2})', ':', '(\\d{1,2})(?:\\.(\\d+))?'].join(SPACE)
const ZONE = '(?:utc|z|([-+\u2212])(\\d\\d)[\\p{White_Space}:]*([0-5]\\d))'

/**
 * A time as upstream reads it in JSON: chrono's relaxed form of RFC 3339 (chrono, format/parse.rs). Spaces between the parts, one
 * digit for two, a space for the `T`, `UTC` for the `Z`, an offset without its colon, longer years with their sign.
 */
const SHAPE = new RegExp(`^${SPACE}${DATE}[t ]${SPACE}${CLOCK}${SPACE}${ZONE}${SPACE}$`, 'iu')

/** RFC 3339 as `Date` and Tinytown's records read it as well. */
const PLAIN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[-+]\d\d:\d\d)$/

const YEARS = { first: -262_143, last: 262_142 } as const

/**
 * Reads a time in any form in which Tinytown reads one, as RFC 3339: one that is written so stays as it is, any other is given in UTC.
 * A leap second becomes the second before it, since `Date` knows none. Null when it is no time.
 */
export function parseTime(text: string): string | null {
  const match = SHAPE.exec(text)
  if (!match) return null
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number)
  const offset = offsetOf(match)
  const isTime = hour <= 23 && minute <= 59 && second <= 60 && Math.abs(offset) < 24 * 60
  if (!isTime || !isDay(year, month, day)) return null
  if (PLAIN.test(text)) return text
  const at = dateOf(year, month, day)
  at.setUTCHours(hour, minute - offset, Math.min(second, 59))
  return isYear(at.getUTCFullYear()) ? at.toISOString().replace('.000Z', `${fraction(match[7])}Z`) : null
}

/** In minutes. */
function offsetOf([, , , , , , , , sign, hours = '0', minutes = '0']: RegExpExecArray): number {
  const size = Number(hours) * 60 + Number(minutes)
  return sign === undefined || sign === '+' ? size : -size
}

function isDay(year: number, month: number, day: number): boolean {
  const date = dateOf(year, month, day)
  return isYear(year) && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
}

function isYear(year: number): boolean {
  return year >= YEARS.first && year <= YEARS.last
}

// Date.UTC takes the years 0 to 99 for those of the last century.
function dateOf(year: number, month: number, day: number): Date {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date
}

function fraction(digits = ''): string {
  const nanoseconds = digits.slice(0, 9).padEnd(9, '0')
  return /^0*$/.test(nanoseconds) ? '' : `.${nanoseconds.replace(/(?:000){1,2}$/, '')}`
}
