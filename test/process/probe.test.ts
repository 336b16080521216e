import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { monotonicMs } from '../../src/base/clock.ts'
import { type CliProbe, probeCli, versionTeller } from '../../src/process/probe.ts'
import type { LoginCheck, Profile } from '../../src/process/profile.ts'
import { isAlive } from '../rig/census.ts'
import { until } from '../rig/until.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tinytown-probe-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let count = 0

/** A profile whose program is a shell script of this text. */
function profileOf(script: string, login: Partial<LoginCheck> | null = null): Profile {
  count += 1
  const program = join(folder, `cli-${count}`)
  writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  return {
    id: 'fake',
    command: { program, args: ['run'] },
    env: { pass: ['FAKE_*'], set: {} },
    version: { args: ['--version'], tested: [] },
    login: login && { env: [], files: [], remedy: 'log in', ...login },
  } as unknown as Profile
}

const probe = (profile: Profile, env: NodeJS.ProcessEnv = {}) =>
  probeCli(profile, { env: { PATH: process.env.PATH, ...env }, home: folder })

const command = { args: ['whoami'], loggedIn: ({ exitCode }: { exitCode: number }) => exitCode === 0 }

describe('probeCli', () => {
  it.each<[string, string, Partial<CliProbe>]>([
    ['a version', 'echo "fake 1.2.3 (stable)"', { version: '1.2.3', detail: '' }],
    ['a version with more behind it', 'echo v0.12.0-beta.1+7', { version: '0.12.0-beta.1+7' }],
    ['a version on stderr', 'echo 2.0.1 >&2', { version: '2.0.1' }],
    ['that it says none', 'echo hello', { version: null, detail: '' }],
    [
      'that it fails',
      'echo 1.2.3; echo broken >&2; exit 3',
      { version: null, detail: expect.stringMatching(/exited with 3: 1\.2\.3/) },
    ],
    [
      'that it is killed',
      'kill -9 $$',
      { version: null, detail: expect.stringContaining('was ended by SIGKILL') },
    ],
  ])('tells %s', async (_, script, expected) => {
    const profile = profileOf(script)
    expect(await probe(profile)).toMatchObject({
      path: profile.command.program,
      login: 'unknown',
      ...expected,
    })
  })

  it('tells that nothing is installed', async () => {
    const profile = { ...profileOf(''), command: { program: 'no-such-program', args: [] } }
    expect(await probe(profile)).toEqual({
      path: null,
      version: null,
      login: 'unknown',
      detail: 'not installed',
    })
  })

  it('tells that the interpreter is missing', async () => {
    const profile = profileOf('')
    writeFileSync(profile.command.program, '#!/no/such/interpreter\n')
    expect(await probe(profile)).toMatchObject({
      version: null,
      detail: expect.stringContaining('cannot be started'),
    })
  })

  it.each<[string, Partial<LoginCheck>, Partial<CliProbe>]>([
    ['a variable', { env: ['FAKE_KEY'] }, { login: 'yes', detail: 'FAKE_KEY is set' }],
    [
      'a file',
      { env: ['FAKE_NO'], files: ['~/.fake/login'] },
      { login: 'yes', detail: '~/.fake/login is there' },
    ],
    ['its own word', { command }, { login: 'yes', detail: 'me' }],
    [
      'its own word, against it',
      { command: { ...command, loggedIn: () => false } },
      { login: 'no', detail: 'me' },
    ],
    ['none of them', { env: ['FAKE_NO'], files: ['~/.fake/nothing'] }, { login: 'no', detail: '' }],
  ])('knows of a login by %s', async (_, login, expected) => {
    mkdirSync(join(folder, '.fake'), { recursive: true })
    writeFileSync(join(folder, '.fake', 'login'), '')
    const profile = profileOf('[ "$1" = --version ] && echo 1.0.0 || echo me', login)
    expect(await probe(profile, { FAKE_KEY: 'k' })).toMatchObject({ version: '1.0.0', ...expected })
  })

  it('knows of no login when the question for it was not answered', async () => {
    const profile = profileOf('[ "$1" = --version ] && echo 1.0.0 || kill -9 $$', { command })
    const detail = expect.stringMatching(/whoami was ended by SIGKILL/)
    expect(await probe(profile)).toMatchObject({ version: '1.0.0', login: 'unknown', detail })
  })

  it('gives it the environment of a run, with no keys to the town', async () => {
    const profile = profileOf('echo "1.0.$FAKE_PATCH-$REDIS_URL$OTHER"')
    const env = { FAKE_PATCH: '7', REDIS_URL: 'secret', OTHER: 'secret' }
    expect(await probe(profile, env)).toMatchObject({ version: '1.0.7-' })
  })

  it('does not wait for a helper that holds the output open, and ends it', async () => {
    const pidFile = join(folder, 'helper.pid')
    const begun = monotonicMs()
    const script = `setsid sh -c 'echo $$ > ${pidFile}; exec sleep 300' & while [ ! -s ${pidFile} ]; do sleep 0.02; done; echo 1.2.3`
    expect(await probe(profileOf(script))).toMatchObject({ version: '1.2.3', detail: '' })
    expect(monotonicMs() - begun).toBeLessThan(8000)
    expect(isAlive(Number(readFileSync(pidFile, 'utf8')))).toBe(false)
  })

  it('reads only the beginning of what never stops', async () => {
    const begun = monotonicMs()
    expect(await probe(profileOf('echo 1.2.3; head -c 20000000 /dev/zero'))).toMatchObject({
      version: '1.2.3',
    })
    expect(monotonicMs() - begun).toBeLessThan(8000)
  })

  it('ends a question when its signal aborts, and throws its reason', async () => {
    const started = join(folder, 'started')
    const stop = new AbortController()
    const asked = probeCli(profileOf(`echo $$ > ${started}; sleep 300`), {
      env: { PATH: process.env.PATH },
      signal: stop.signal,
    })
    await until(() => existsSync(started) && readFileSync(started, 'utf8') !== '', 'the program runs')
    stop.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
    expect(isAlive(Number(readFileSync(started, 'utf8')))).toBe(false)
  })
})

describe('versionTeller', () => {
  const env = { PATH: process.env.PATH }
  const going = new AbortController().signal

  it('asks once, and again when the program was changed or is another one', async () => {
    const profile = profileOf(`echo x >> ${folder}/asked; echo 3.1.4`)
    const version = versionTeller(profile, { env })
    expect(await Promise.all([version(going), version(going)])).toEqual(['3.1.4', '3.1.4'])
    expect(await version(going)).toBe('3.1.4')
    expect(readFileSync(join(folder, 'asked'), 'utf8').split('x')).toHaveLength(2)
    writeFileSync(profile.command.program, '#!/bin/sh\necho 3.1.5\n')
    expect(await version(going)).toBe('3.1.5')
    rmSync(profile.command.program)
    symlinkSync(profileOf('echo 3.2.0').command.program, profile.command.program)
    expect(await version(going)).toBe('3.2.0')
  })

  it('tells nothing of one that is not there yet, and its version when it is', async () => {
    const profile = profileOf('echo 1.0.0')
    rmSync(profile.command.program)
    const version = versionTeller(profile, { env })
    expect(await version(going)).toBeUndefined()
    writeFileSync(profile.command.program, '#!/bin/sh\necho 1.0.1\n', { mode: 0o755 })
    expect(await version(going)).toBe('1.0.1')
  })

  it('tells nothing of one that fails, or that is not to be asked', async () => {
    expect(await versionTeller(profileOf('exit 1'), { env })(going)).toBeUndefined()
    const unasked = { ...profileOf(`touch ${folder}/unasked; echo 1.0.0`), version: null }
    expect(await versionTeller(unasked, { env })(going)).toBeUndefined()
    expect(await probeCli(unasked, { env })).toMatchObject({ version: null, detail: '' })
    expect(existsSync(join(folder, 'unasked'))).toBe(false)
  })

  it('ends the question when its signal aborts, and asks again the next time', async () => {
    const begun = join(folder, 'begun')
    const profile = profileOf(`[ -e ${begun} ] || { touch ${begun}; sleep 300; }; echo 1.0.0`)
    const version = versionTeller(profile, { env })
    const stop = new AbortController()
    const asked = version(stop.signal)
    await until(() => existsSync(begun), 'the program runs')
    stop.abort()
    expect(await asked).toBeUndefined()
    expect(await version(going)).toBe('1.0.0')
  })
})
