import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatSize, parseSize } from '../../src/base/size.ts'

describe('parseSize', () => {
  it.each([
    ['0', 0],
    ['1024', 1024],
    ['12 B', 12],
    ['500MB', 500_000_000],
    ['1.5gb', 1_500_000_000],
    ['64KiB', 65_536],
    ['2 GiB', 2 * 1024 ** 3],
    ['1TB', 1e12],
  ])('reads %s as %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it.each(['', 'MB', '-1', '1 M', '1iB', '1e3', '5 apples', '1MB more'])('does not read %j', (text) => {
    expect(parseSize(text)).toBeNull()
  })
})

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 KB'],
    [4_250, '4.3 KB'],
    [999_960, '1 MB'],
    [256_000_000, '256 MB'],
    [1_500_000_000, '1.5 GB'],
    [2.5e15, '2500 TB'],
  ])('writes %d as %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })

  it('is read back to within a twentieth', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), (bytes) => {
        expect(Math.abs((parseSize(formatSize(bytes)) ?? -1) - bytes)).toBeLessThanOrEqual(bytes / 20)
      }),
    )
  })
})
