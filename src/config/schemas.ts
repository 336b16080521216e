import { z } from 'zod'
import { parseDuration } from '../base/duration.ts'
import { parseSize } from '../base/size.ts'
import { RESERVED_NAMES } from '../domain/ids.ts'
import { parseHostPort, parseListenAddress, parseRedisUrl } from './redis-url.ts'
import { brokenTownNameRule } from './town-name.ts'
import { NO_TOWN_SECRET, TOWN_SECRETS } from './town-secrets.ts'

// Each schema turns the text of a flag or variable, or the value of a TOML key, into the typed value. The message of an
// issue is the rule alone, as it follows "Expected … to be".

// A longer wait than 2^31-1 ms makes a Node timer fire at once.
export const LONGEST_MS = 24 * 24 * 3_600_000
const DURATION_RULE = 'a duration like 30s, 10m or 1h'

/** A number of milliseconds, written as `30s`, `10m`, `1h` or a bare number of seconds. Zero is allowed. */
export const duration = z.preprocess(
  toMilliseconds,
  z.int(DURATION_RULE).min(0, DURATION_RULE).max(LONGEST_MS, 'at most 24d'),
)

/** A duration that is not zero. */
export const positiveDuration = duration.refine((ms) => ms > 0, 'longer than 0s')

/** An age, as a duration that no timer waits for: it may be longer. */
export const age = z.preprocess(toMilliseconds, z.int(DURATION_RULE).min(0, DURATION_RULE))

const SIZE_RULE = 'a size like 500MB, 2GB or 64KiB'

/** A number of bytes, written as `500MB`, `64KiB` or a bare number. Zero is allowed. */
export const size = z.preprocess(
  (value) => (typeof value === 'string' ? (parseSize(value) ?? value) : value),
  z.int(SIZE_RULE).min(0, SIZE_RULE),
)

/** A size that leaves room for what a log file says of its limit. */
export const outputLimit = size.refine((bytes) => bytes === 0 || bytes >= 1024, '0, or at least 1KiB')

function toMilliseconds(value: unknown): unknown {
  if (typeof value === 'number') return Math.round(value * 1000)
  return typeof value === 'string' ? (parseDuration(value) ?? value) : value
}

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER) {
  return z.preprocess(
    toNumber,
    z.int('a whole number').min(min, `at least ${min}`).max(max, `at most ${max}`),
  )
}

/** A whole number of milliseconds. */
export function milliseconds(min: number) {
  return wholeNumber(min, LONGEST_MS)
}

function toNumber(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d+$/.test(value.trim()) ? Number(value) : value
}

const WORDS = new Map([
  ...['true', '1', 'yes', 'on'].map((word) => [word, true] as const),
  ...['false', '0', 'no', 'off'].map((word) => [word, false] as const),
])

export const boolean = z.preprocess(
  (value) => (typeof value === 'string' ? (WORDS.get(value.trim().toLowerCase()) ?? value) : value),
  z.boolean('true or false'),
)

/** One of some words. */
export function oneOf<const W extends readonly [string, ...string[]]>(words: W) {
  return z.enum(words, `one of ${words.join(', ')}`)
}

const TEXT_RULE = 'a text, not empty'
export const text = z
  .string(TEXT_RULE)
  .refine((value) => value.trim() !== '' && !value.includes('\0'), TEXT_RULE)

const NAME_RULE = '1 to 64 letters, digits, ".", "_" or "-"'
const plainName = z.string(NAME_RULE).regex(/^[A-Za-z0-9._-]{1,64}$/, NAME_RULE)

export const agentName = plainName.refine(
  (name) => !RESERVED_NAMES.includes(name.toLowerCase()),
  `none of ${RESERVED_NAMES.join(', ')}, whose mailbox is another's`,
)

const LABEL_RULE = 'one line of 1 to 64 characters'
export const label = z.string(LABEL_RULE).regex(/^(?=.*\S)[^\p{Cc}]{1,64}$/u, LABEL_RULE)

export const townName = z.string('a text').superRefine((name, context) => {
  const rule = brokenTownNameRule(name)
  if (rule !== null) context.addIssue({ code: 'custom', message: rule })
})

const URL_RULE =
  'a URL like redis://host:6379, rediss://…, unix:///path, redis+sentinel://… or redis+cluster://…, with special characters of a password percent-encoded'
export const redisUrl = z
  .string(URL_RULE)
  .trim()
  .refine((url) => parseRedisUrl(url) !== null, URL_RULE)

const HOSTS_RULE = 'a list of host:port'

/** A list of hosts, or a comma list of them; `port` holds for one that names none. */
const LISTEN_RULE = 'an address like 127.0.0.1:9464, [::1]:9464 or a port alone'
/** Where to listen: `host:port`, or a port of 127.0.0.1. Port 0 means one that is free. */
export const listenAddress = z.preprocess(
  (value) => (typeof value === 'number' ? String(value) : value),
  z.string(LISTEN_RULE).transform((text, context) => {
    const read = parseListenAddress(text)
    if (read === null) context.addIssue({ code: 'custom', message: LISTEN_RULE })
    return read ?? { host: '', port: 0 }
  }),
)

export function hostPorts(port: number) {
  return z.preprocess(
    (value) => (typeof value === 'string' ? value.split(',').filter((one) => one.trim() !== '') : value),
    z
      .array(
        z.string(HOSTS_RULE).transform((one, context) => {
          const read = parseHostPort(one, port)
          if (read === null) context.addIssue({ code: 'custom', message: HOSTS_RULE })
          return read ?? { host: '', port }
        }),
        HOSTS_RULE,
      )
      .readonly(),
  )
}

const HOST_RULE = 'a host name or address'
export const host = z.string(HOST_RULE).regex(/^[A-Za-z0-9._:-]+$/, HOST_RULE)

const VARIABLES_RULE = 'names of environment variables like A_KEY,B_KEY'
const variableName = z.string(VARIABLES_RULE).regex(/^[A-Za-z_][A-Za-z0-9_]*$/, VARIABLES_RULE)
const passedName = variableName.refine((name) => !TOWN_SECRETS.includes(name), NO_TOWN_SECRET)

/** Names of variables: a list, whose members may be comma lists themselves. */
export const variableNames = z.preprocess(toNames, z.array(variableName, VARIABLES_RULE).readonly())

/** Names of variables that a CLI gets. */
export const passedNames = z.preprocess(toNames, z.array(passedName, VARIABLES_RULE).readonly())

function toNames(value: unknown): unknown {
  const members = Array.isArray(value) ? value : [value]
  if (!members.every((member) => typeof member === 'string')) return value
  const names = members.flatMap((member) => member.split(',').map((name) => name.trim()))
  return [...new Set(names.filter((name) => name !== ''))]
}
