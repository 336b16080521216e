import type { ErrorCode } from '../domain/errors.ts'

/** What the process ends with. The numbers follow sysexits(3) where it has one. */
export const EXIT = {
  done: 0,
  /** Also: the state of an agent or a task did not allow what was asked. */
  taskFailed: 1,
  usage: 2,
  redisUnreachable: 69,
  internal: 70,
  nameInUse: 75,
  redisAuth: 77,
  noPermission: 77,
  config: 78,
  interrupted: 130,
  terminated: 143,
} as const

const OF_ERROR = {
  usage: EXIT.usage,
  'not-found': EXIT.usage,
  'wrong-state': EXIT.taskFailed,
  config: EXIT.config,
  'not-installed': EXIT.config,
  'redis-missing': EXIT.redisUnreachable,
  'redis-failed': EXIT.redisUnreachable,
  'redis-unreachable': EXIT.redisUnreachable,
  'redis-refused': EXIT.internal,
  'redis-auth': EXIT.redisAuth,
  'name-in-use': EXIT.nameInUse,
  'no-permission': EXIT.noPermission,
  'service-failed': EXIT.taskFailed,
  'agent-error': EXIT.taskFailed,
  timeout: EXIT.taskFailed,
  closed: EXIT.internal,
  internal: EXIT.internal,
} as const satisfies Record<ErrorCode, number>

/** The exit code for an error. */
export function exitCodeOf(code: ErrorCode): number {
  return OF_ERROR[code]
}
