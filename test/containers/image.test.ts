import { beforeAll, describe, expect, it } from 'vitest'
import { buildImage, docker, IMAGE } from '../rig/compose.ts'

const BASE = 'node:24-bookworm-slim'
/** What the image has beyond that of Node.js: git, ssh, tini, the worker and what it needs. */
const OWN_MIB = 150

beforeAll(buildImage, 600_000)

let runs = 0

/** Runs the bare image to its end. The code is asked for: not every engine hands it to `docker run`. */
async function run(options: string[], ...args: string[]) {
  runs += 1
  const name = `tw-image-${process.pid}-${runs}`
  const { stdout, stderr } = await docker('run', '--name', name, ...options, IMAGE, ...args)
  const exit = Number((await docker('inspect', name, '--format', '{{.State.ExitCode}}')).stdout)
  await docker('rm', '-f', name)
  return { exit, stdout, stderr }
}

describe('the image of the worker', () => {
  it('runs as a user without privileges, without a shell, and is small beside that of Node.js', async () => {
    const look = async (name: string) => JSON.parse((await docker('image', 'inspect', name)).stdout)[0]
    const { Config: config, Size: size } = await look(IMAGE)
    expect(config).toMatchObject({
      User: '1000:1000',
      Entrypoint: ['/usr/bin/tini', '--', 'tinytown-worker'],
      Cmd: ['run'],
      StopSignal: expect.stringMatching(/TERM/),
      Labels: {
        'org.opencontainers.image.title': 'tinytown-worker',
        'org.opencontainers.image.licenses': 'MIT',
      },
    })
    const own = (size - (await look(BASE)).Size) / 2 ** 20
    expect(own).toBeGreaterThan(10)
    expect(own).toBeLessThan(OWN_MIB)
  })

  it('holds the worker, git, ssh and tini, and nothing of its build', async () => {
    const script =
      'tini --version && git --version && ssh -V && test -r /etc/ssl/certs/ca-certificates.crt && ls /app'
    const { exit, stdout } = await docker('run', '--rm', '--entrypoint', 'sh', IMAGE, '-c', `${script} 2>&1`)
    expect([exit, stdout]).toEqual([0, expect.stringMatching(/git version/)])
    expect(stdout.trim().split('\n').slice(-3)).toEqual(['dist', 'node_modules', 'package.json'])
    const modules = await docker('run', '--rm', '--entrypoint', 'ls', IMAGE, '/app/node_modules')
    expect(modules.stdout).toContain('ioredis')
    expect(modules.stdout).not.toMatch(/typescript|vitest|testcontainers/)
  })

  it.each([
    ['without REDIS_URL', [], [], 78, /No Redis is named[\s\S]*Set REDIS_URL/],
    [
      'with a CLI that nobody knows',
      ['-e', 'REDIS_URL=redis://redis:6379', '-e', 'TINYTOWN_AGENT_CLI=nope'],
      [],
      78,
      /one of codex, claude, demo, got "nope" \(TINYTOWN_AGENT_CLI\)/,
    ],
    [
      'with a Redis that nobody finds',
      ['-e', 'REDIS_URL=redis://127.0.0.1:1', '-e', 'TINYTOWN_CONNECT_TIMEOUT=1s'],
      ['run', '--cli', 'demo'],
      69,
      /did not answer within 1000 ms/,
    ],
    [
      'with a health address in use by nobody it may have',
      ['-e', 'REDIS_URL=redis://127.0.0.1:1', '-e', 'TINYTOWN_HEALTH_ADDR=192.0.2.1:80'],
      ['run', '--cli', 'demo'],
      78,
      /health address 192\.0\.2\.1:80 cannot be had/,
    ],
    [
      'with nothing that it may write',
      ['--read-only', '-e', 'REDIS_URL=redis://127.0.0.1:1', '-e', 'TINYTOWN_CONNECT_TIMEOUT=1s'],
      ['run', '--cli', 'demo'],
      69,
      /\/workspace\/\.tt cannot be written: .*in a container mount a volume at \/workspace/,
    ],
  ])('started %s ends with a clear message', async (_, options, args, code, message) => {
    const { exit, stderr } = await run(options, ...args)
    expect([exit, stderr]).toEqual([code, expect.stringMatching(message)])
  })

  it('runs its commands too', async () => {
    expect(await run([], '--help')).toMatchObject({ exit: 0, stdout: expect.stringContaining('--name-pool') })
    expect(await run([], 'clis')).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/codex +Codex +not installed/),
    })
    expect((await run([], 'doctor')).stdout).toMatch(/fail {2}Redis +No Redis is named/)
  })
})
