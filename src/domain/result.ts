import { cutBytes, endBytes } from '../base/text.ts'

/** The largest result that a record holds, in bytes of UTF-8. */
export const MAX_RESULT_BYTES = 1024 * 1024

/** Which part of a result counts when it is too long for a record. */
export type ResultPart = 'beginning' | 'end'

/** Cuts a result to what a record holds, with a line at the cut that says so. */
export function cutResult(result: string, part: ResultPart, note: string): string {
  const line = `[… cut here: ${note}]`
  const room = MAX_RESULT_BYTES - Buffer.byteLength(line) - 2
  if (part === 'end') return `${line}\n\n${endBytes(result, room).text}`
  return `${cutBytes(result, room).text}\n\n${line}`
}
