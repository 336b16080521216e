import { describe, expect, it } from 'vitest'
import { utf8Text } from '../../src/cli/utf8-text.ts'
import { WorkerError } from '../../src/domain/errors.ts'

describe('the text of a task from bytes', () => {
  it.each([
    ['', ''],
    ['Grüße 🦊\n', 'Grüße 🦊\n'],
    ['\uFEFFmarked', 'marked'],
    ['\uFFFD', '\uFFFD'],
  ])('is %j', (text, expected) => {
    expect(utf8Text(Buffer.from(text), 'stdin')).toBe(expected)
  })

  it.each([
    Buffer.from('Grüße', 'latin1'),
    Buffer.from('Grüße', 'utf16le').subarray(1),
    Buffer.from([0xe2, 0x82]),
  ])('is refused when it is no UTF-8: %o', (bytes) => {
    try {
      utf8Text(bytes, 'task.md')
    } catch (error) {
      expect(error).toBeInstanceOf(WorkerError)
      expect(error).toMatchObject({
        code: 'usage',
        message: 'Expected the text from task.md to be UTF-8, got other bytes',
        remedy: expect.stringContaining('iconv'),
      })
      return
    }
    throw new Error('it was taken')
  })
})
