import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stopLocalRedis } from '../../src/server/stop.ts'
import { type Daemon, startProgram } from '../rig/daemon.ts'

const run = promisify(execFile)
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url))
const MODULES = join(REPOSITORY, 'node_modules')

/** The examples of docs/library.md, and what each of them prints. */
const EXAMPLES = [
  ...(await readFile(join(REPOSITORY, 'docs/library.md'), 'utf8')).matchAll(
    /## ([^\n]+)\n(?:(?!\n## )[\s\S])*?```ts\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g,
  ),
].map(([, title = '', code = '', prints = '']) => ({ title, code, prints }))

let folder: string
let worker: Daemon | undefined

/** A project that has installed the package as `npm pack` makes it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tw-library-'))
  const packed = join(folder, 'node_modules', 'tinytown-worker')
  await mkdir(packed, { recursive: true })
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
  const { stdout } = await run('npm', pack, { cwd: REPOSITORY })
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  await run('tar', ['-xzf', join(folder, filename), '-C', packed, '--strip-components=1'])
  await symlink(MODULES, join(packed, 'node_modules'))
  for (const name of ['ioredis', '@types'])
    await symlink(join(MODULES, name), join(folder, 'node_modules', name))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  const options = { target: 'es2022', module: 'nodenext', strict: true, types: ['node'], skipLibCheck: false }
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, include: ['*.ts'] }),
  )
  for (const [at, { code }] of EXAMPLES.entries()) await writeFile(join(folder, `example-${at}.ts`), code)
})

afterAll(async () => {
  worker?.signal('SIGTERM')
  await worker?.exit
  const root = join(folder, 'shop')
  await stopLocalRedis({ root, socketPath: join(root, '.tt', 'redis.sock') })
  await rm(folder, { recursive: true, force: true })
})

const env = { PATH: process.env.PATH, HOME: process.env.HOME }

describe('the package as it is installed', () => {
  it('has types that compile the examples', async () => {
    expect(EXAMPLES.length).toBeGreaterThanOrEqual(6)
    const tsc = [join(MODULES, 'typescript', 'bin', 'tsc'), '-p', folder]
    const { stdout } = await run(process.execPath, tsc, { cwd: folder }).catch((error) => error)
    expect(stdout).toBe('')
  })

  it.each(EXAMPLES.map(({ title, prints }, at) => ({ title, prints, at })))(
    'runs the example of $title',
    async ({ prints, at }) => {
      const { stdout } = await run(process.execPath, [`example-${at}.js`], { cwd: folder, env })
      expect(stdout).toBe(prints)
      if (at > 0) return
      // The first one makes the town and the record of the agent; the others find a worker.
      worker = startProgram(['--town', 'shop', '--name', 'worker-1', '--cli', 'demo'], { cwd: folder, env })
      await worker.says(/idle/)
    },
  )

  it('brings the page that its declarations name', async () => {
    const packed = join(folder, 'node_modules', 'tinytown-worker')
    expect(await readFile(join(packed, 'dist', 'src', 'index.d.ts'), 'utf8')).toContain('docs/library.md')
    expect(await readFile(join(packed, 'docs', 'library.md'), 'utf8')).toMatch(/^# The library/)
  })

  it('lets nothing else in', async () => {
    const code = "await import('tinytown-worker/dist/src/cli/main.js')"
    const refused = await run(process.execPath, ['--input-type=module', '-e', code], {
      cwd: folder,
      env,
    }).catch((error) => error)
    expect(refused.stderr).toMatch(/ERR_PACKAGE_PATH_NOT_EXPORTED/)
  })
})
