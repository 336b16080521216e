import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../../src/process/which.ts'

let root = ''

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tinytown-which-'))
  for (const folder of ['a', 'b', 'c/tool']) await mkdir(join(root, folder), { recursive: true })
  for (const file of ['b/tool', 'b/other']) await writeFile(join(root, file), '', { mode: 0o755 })
  await writeFile(join(root, 'a/tool'), '')
  await chmod(join(root, 'a/tool'), 0o644)
})
afterAll(() => rm(root, { recursive: true, force: true }))

describe('finding a program', () => {
  it.each<[string, string, string | undefined, string | null]>([
    ['the first folder of PATH where it may be executed', 'tool', 'a:b', 'b/tool'],
    ['past a folder of the same name', 'tool', 'c:b', 'b/tool'],
    ['past empty entries', 'tool', '::b', 'b/tool'],
    ['nothing where it is not', 'missing', 'a:b', null],
    ['nothing without PATH', 'tool', undefined, null],
    ['nothing for an empty name', '', 'b', null],
    ['a path relative to the folder', './b/tool', undefined, 'b/tool'],
    ['a path without its dot', 'b/tool', undefined, 'b/tool'],
    ['nothing for a path that may not be executed', './a/tool', 'b', null],
  ])('gives %s', async (_, program, path, expected) => {
    const absolute = path
      ?.split(':')
      .map((folder) => (folder === '' ? '' : join(root, folder)))
      .join(':')
    const found = await findProgram(program, { path: absolute, cwd: root })
    expect(found).toBe(expected === null ? null : join(root, expected))
  })

  it('takes an absolute path as it is', async () => {
    expect(await findProgram(join(root, 'b/tool'), { path: '', cwd: '/' })).toBe(join(root, 'b/tool'))
  })
})
