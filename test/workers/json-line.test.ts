import { afterEach, describe, expect, it, vi } from 'vitest'
import { readFields } from '../../workers/json-line.ts'

afterEach(() => vi.restoreAllMocks())

describe('a line of a CLI', () => {
  it.each<[string, object | null]>([
    ['{"type":"x"}', { type: 'x' }],
    [' \t{} ', {}],
    ['{"type":', null],
    ['[{}]', null],
    ['"{}"', null],
    ['null', null],
    ['5', null],
    ['y', null],
    ['', null],
  ])('%j is read as %j', (line, fields) => {
    expect(readFields(line)).toEqual(fields)
  })

  it('is not given to the parser when it cannot be an object: one that throws millions of times takes minutes', () => {
    const parse = vi.spyOn(JSON, 'parse')
    for (const line of ['y', '', 'Error: {', '[1]', '"a"']) readFields(line)
    expect(parse).not.toHaveBeenCalled()
    readFields('  {"a":1}')
    expect(parse).toHaveBeenCalledTimes(1)
  })
})
