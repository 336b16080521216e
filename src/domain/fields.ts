import { z } from 'zod'
import { parseId } from './ids.ts'
import { parseTime } from './time.ts'

// What fields of messages, events and records have in common. The message of an issue is the rule, as it follows "to be".

/** An id in any form that Tinytown reads, in the one that it writes. */
export const id = parsed(parseId, 'a UUID')

/** A time in any form that Tinytown reads, as RFC 3339. */
export const time = parsed(parseTime, 'an RFC 3339 time with a zone')

function parsed(parse: (text: string) => string | null, rule: string) {
  return z.string().transform((text, context) => {
    const value = parse(text)
    if (value !== null) return value
    context.addIssue({ code: 'custom', message: rule })
    return z.NEVER
  })
}
