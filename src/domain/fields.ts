import { z } from 'zod'
import { hasHalfCharacter } from '../base/text.ts'
import { parseId } from './ids.ts'
import { parseTime } from './time.ts'

// What fields of messages, events and records have in common. The message of an issue is the rule, as it follows "to be".

const TIME_RULE = 'an RFC 3339 time with a zone'

/** An id in any form that Tinytown reads, in the one that it writes. */
export const id = parsed(parseId, 'a UUID')

/** A time in any form that Tinytown reads, as RFC 3339. */
export const time = parsed(parseTime, TIME_RULE)

/** The same in a record, where '' stands for a time that is not told. */
export const toldTime = parsed((text) => (text === '' ? '' : parseTime(text)), TIME_RULE)

function parsed(parse: (text: string) => string | null, rule: string) {
  return z.string().transform((text, context) => {
    const value = parse(text)
    if (value !== null) return value
    context.addIssue({ code: 'custom', message: rule })
    return z.NEVER
  })
}

/** Half a character has no place in UTF-8: it would become another one, or make what it stands in unreadable. */
export const WHOLE_TEXT_RULE = 'a text without halves of characters (lone surrogates)'

/** A text that UTF-8 can hold. */
export const wholeText = z.string().refine((text) => !hasHalfCharacter(text), WHOLE_TEXT_RULE)
