import type { Options } from 'yargs'
import type { z } from 'zod'
import { flagOptions } from '../config/describe.ts'
import { expected, shown } from '../config/problem.ts'
import * as schema from '../config/schemas.ts'
import { WorkerError } from '../domain/errors.ts'
import { PRIORITIES, type Priority } from '../domain/message.ts'
import type { Flags } from './context.ts'

/** `--json`, for commands that print results. */
export const jsonFlag: Readonly<Record<string, Options>> = flagOptions(['results'])

/** `--timeout`, for commands that wait. */
export const timeoutFlag: Readonly<Record<string, Options>> = {
  timeout: {
    type: 'string',
    requiresArg: true,
    describe: 'Wait at most so long, as 30s, 10m or 1h; then exit with 1 [default: no limit]',
  },
}

/** The time of `--timeout` as a field of a watch, in milliseconds; an empty object without it. */
export function timeoutOf(flags: Flags): { timeoutMs?: number } {
  const timeoutMs = flagValue(flags, 'timeout', schema.positiveDuration)
  return timeoutMs === undefined ? {} : { timeoutMs }
}

/** The same for a command that waits only with some flags. Throws `usage` where it would limit nothing. */
export function limitOfWait(flags: Flags, waits: boolean, how = '--wait'): { timeoutMs?: number } {
  const limit = timeoutOf(flags)
  if (waits || limit.timeoutMs === undefined) return limit
  throw new WorkerError('usage', `--timeout limits a wait: use it with ${how}`)
}

/** `--priority`, for commands that send. */
export const priorityFlag: Readonly<Record<string, Options>> = {
  priority: {
    type: 'string',
    requiresArg: true,
    describe: `${PRIORITIES.join(', ')}; high and urgent go before what waits [default: normal]`,
  },
}

/** The value of `--priority`. */
export function priorityOf(flags: Flags): Priority {
  return flagValue(flags, 'priority', schema.oneOf(PRIORITIES)) ?? 'normal'
}

/** The value of a flag by its schema; undefined when it was not given. Throws `usage` when it breaks the rule. */
export function flagValue<S extends z.ZodType>(flags: Flags, name: string, rule: S): z.output<S> | undefined {
  const value = flags[name]
  if (value === undefined) return undefined
  const parsed = rule.safeParse(value)
  if (parsed.success) return parsed.data
  throw new WorkerError(
    'usage',
    expected(name, parsed.error.issues[0]?.message ?? 'valid', shown(value), `--${name}`),
  )
}

/** A positional as text. */
export function wordFlag(flags: Flags, name: string): string {
  return String(flags[name] ?? '')
}
