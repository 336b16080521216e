import { asWorkerError } from '../domain/errors.ts'

/** One thing that a first run needs. */
export interface Check {
  readonly name: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly detail: string
  readonly remedy?: string
}

export interface CheckOptions {
  readonly env: NodeJS.ProcessEnv
  readonly signal: AbortSignal
}

/** The check that an error ended. */
export function failed(name: string, error: unknown): Check {
  const { message, remedy } = asWorkerError(error)
  return { name, status: 'fail', detail: message, ...(remedy ? { remedy } : {}) }
}
