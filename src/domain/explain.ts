import type { z } from 'zod'
import { cutChars } from '../base/text.ts'

/** What is wrong with a field of `what`, the rule, and the value, in one sentence of bounded length. */
export function explain(what: string, { issues: [issue] }: z.ZodError, whole: unknown): string {
  if (issue === undefined || issue.path.length === 0)
    return `Expected the ${what} to be an object, got ${shown(whole)}`
  const path = issue.path.join('.')
  const value = issue.path.reduce((at: unknown, key) => (at as Record<PropertyKey, unknown>)[key], whole)
  if (value === undefined) return `The ${what} has no field ${path}`
  return `Expected the ${what} field ${path} to be ${ruleOf(issue)}, got ${shown(value)}`
}

/** A value as a sentence may show it. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(cutChars(value, 80))
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object'
  return String(value)
}

const KINDS: Readonly<Record<string, string>> = { object: 'an object', array: 'a list' }

/** The rule that was broken, as it follows "to be". */
export function ruleOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return KINDS[issue.expected] ?? `a ${issue.expected}`
    case 'invalid_value':
      return `one of ${issue.values.join(', ')}`
    case 'invalid_union':
      return `one of ${'options' in issue ? issue.options?.join(', ') : ''}`
    default:
      return issue.message
  }
}
