import { isUtf8 } from 'node:buffer'
import { WorkerError } from '../domain/errors.ts'

/** The text of bytes that came from `where`, without a byte order mark. Throws `usage` when they are no UTF-8. */
export function utf8Text(bytes: Uint8Array, where: string): string {
  if (isUtf8(bytes)) return new TextDecoder().decode(bytes)
  throw new WorkerError('usage', `Expected the text from ${where} to be UTF-8, got other bytes`, {
    remedy: 'Convert it first: iconv -f ISO-8859-1 -t UTF-8, with the encoding that it has',
  })
}
