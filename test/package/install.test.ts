import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const exec = promisify(execFile)
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url))

let folder: string
let files: string[]

/** An empty prefix with the package as `npm pack` makes it, and what it needs from the registry. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tw-package-'))
  await mkdir(join(folder, 'home'))
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
  const { stdout } = await exec('npm', pack, { cwd: REPOSITORY })
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  files = packed.files.map(({ path }) => path)
  const install = ['install', '--global', '--prefix', join(folder, 'prefix'), '--no-audit', '--no-fund']
  await exec('npm', [...install, join(folder, packed.filename)], { cwd: folder })
}, 300_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs the program as whoever installed it does, in an empty folder. */
async function run(...args: string[]): Promise<string> {
  const bin = join(folder, 'prefix', 'bin')
  const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, HOME: join(folder, 'home') }
  const { stdout } = await exec(join(bin, 'tinytown-worker'), args, { cwd: join(folder, 'home'), env })
  return stdout
}

describe('the package, installed globally', () => {
  it.each([
    [['--help'], /tinytown-worker assign/],
    [['--version'], /^\d+\.\d+\.\d+\n$/],
    [['clis'], /^demo +Demo agent/m],
    [['doctor', '--cli', 'demo'], /^ok +Node\.js/m],
  ])('runs %j', async (args, says) => {
    expect(await run(...args)).toMatch(says)
  })

  it('carries the program and what belongs to it, no source and no test', () => {
    expect(files).toEqual(
      expect.arrayContaining(['dist/src/cli/main.js', 'dist/workers/index.js', 'README.md', 'LICENSE']),
    )
    expect(files.filter((path) => /^(?:src|test|bench|workers|deploy)\//.test(path))).toEqual([])
  })
})
