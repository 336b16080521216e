import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'plist'
import { describe, expect, it } from 'vitest'
import { resolveSettings } from '../../src/config/resolve.ts'
import { longestStopMs } from '../../src/config/stop-time.ts'
import { differingVariables, EXAMPLE_VARIABLES, environmentFile } from '../../src/service/environment-file.ts'
import { launchdPlist } from '../../src/service/launchd-plist.ts'
import { systemdDropIn, systemdUnit, unitOf } from '../../src/service/systemd-unit.ts'

const stopMs = longestStopMs(resolveSettings({ flags: {}, env: {}, file: null }).settings)
const program = ['/usr/bin/env', 'tinytown-worker']
const unit = { program, stopMs, growingPauses: false } as const

const SHIPPED = {
  'systemd/tinytown-worker@.service': systemdUnit({ ...unit, scope: 'system' }),
  'systemd/user/tinytown-worker@.service': systemdUnit({ ...unit, scope: 'user' }),
  'systemd/worker.env.example': environmentFile(EXAMPLE_VARIABLES, ['OPENAI_API_KEY', 'ANTHROPIC_API_KEY']),
  'launchd/dev.tinytown.worker.plist': launchdPlist({
    agent: 'worker-1',
    program,
    variables: { PATH: '/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin', ...EXAMPLE_VARIABLES },
    folder: '/Users/me/src/shop',
    log: '/Users/me/Library/Logs/tinytown-worker/worker-1.log',
    stopMs,
  }),
}

describe('the files that are shipped', () => {
  it.each(Object.entries(SHIPPED))('%s is what service install writes', (path, text) => {
    const file = fileURLToPath(new URL(`../../${path}`, import.meta.url))
    if (process.env.UPDATE_SERVICE_FILES === '1') writeFileSync(file, text)
    expect(readFileSync(file, 'utf8')).toBe(text)
  })
})

describe('the systemd unit', () => {
  it('gives a drain as long as it may take by default, with time to end the child tree', () => {
    expect(systemdUnit({ ...unit, scope: 'system' })).toMatch(/^TimeoutStopSec=330$/m)
  })

  it('has growing pauses only where systemd knows them', () => {
    const text = systemdUnit({ ...unit, scope: 'system', growingPauses: true })
    expect(text).toMatch(/^RestartSteps=6\nRestartMaxDelaySec=300$/m)
    expect(SHIPPED['systemd/tinytown-worker@.service']).not.toContain('RestartSteps')
  })

  it.each([
    [['/opt/node', '/opt/main.js'], '/opt/node /opt/main.js run'],
    [['/a b/node'], '"/a b/node" run'],
    [['/a%i/$HOME/node'], '/a%%i/$$HOME/node run'],
    [['/a"b\\c/node'], '"/a\\"b\\\\c/node" run'],
  ])('starts %j', (words, line) => {
    expect(systemdUnit({ ...unit, scope: 'user', program: words })).toContain(`\nExecStart=${line}\n`)
  })

  it('of an agent has its name', () => {
    expect(unitOf('worker-1')).toBe('tinytown-worker@worker-1.service')
  })

  it.each([
    [{}, null],
    [{ user: 'me' }, '[Service]\nUser=me\n'],
    [{ user: 'me', stopMs: 1500 }, '[Service]\nUser=me\nTimeoutStopSec=2\n'],
  ])('differs for one agent by %j', (options, text) => {
    expect(systemdDropIn(options)).toBe(text)
  })
})

describe('the environment file', () => {
  it.each([
    ['redis://:p%40ss@host:6379/0', 'redis://:p%40ss@host:6379/0'],
    ['', ''],
    ['code reviewer', '"code reviewer"'],
    ['a"b\\c$d`e', '"a\\"b\\\\c\\$d\\`e"'],
    ["it's #1", '"it\'s #1"'],
  ])('has %s as %s', (value, text) => {
    expect(environmentFile({ X: value }).split('\n')).toContain(`X=${text}`)
  })

  it('names what is to be filled in, unless it is there', () => {
    const lines = environmentFile({ A_KEY: 'x' }, ['A_KEY', 'B_KEY']).split('\n')
    expect(lines.slice(1)).toEqual(['A_KEY=x', '#B_KEY=', ''])
  })

  it('differs where a variable is missing or says something else, not where it has more', () => {
    const text = 'A=1\n# note\nMORE=2\n  B="two words"\nC=unquoted is fine\n'
    const variables = { A: '1', B: 'two words', C: 'unquoted is fine' }
    expect(differingVariables(text, variables)).toEqual([])
    expect(differingVariables(text, { ...variables, A: '2', D: 'x' })).toEqual(['A', 'D'])
  })
})

describe('the LaunchAgent', () => {
  const read = (text: string) => parse(text) as Record<string, unknown>

  it('is a property list of the types that launchd wants', () => {
    expect(read(SHIPPED['launchd/dev.tinytown.worker.plist'])).toEqual({
      Label: 'dev.tinytown.worker.worker-1',
      ProgramArguments: ['/usr/bin/env', 'tinytown-worker', 'run'],
      EnvironmentVariables: {
        TINYTOWN_AGENT_NAME: 'worker-1',
        TINYTOWN_CONNECT_TIMEOUT: '60s',
        PATH: '/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin',
        TINYTOWN_AGENT_CLI: 'codex',
        TINYTOWN_TOWN_DIR: '/srv/shop',
        REDIS_URL: 'redis://redis.internal:6379/0',
      },
      WorkingDirectory: '/Users/me/src/shop',
      RunAtLoad: true,
      KeepAlive: { SuccessfulExit: false, Crashed: true },
      ThrottleInterval: 30,
      ExitTimeOut: 330,
      ProcessType: 'Standard',
      StandardOutPath: '/Users/me/Library/Logs/tinytown-worker/worker-1.log',
      StandardErrorPath: '/Users/me/Library/Logs/tinytown-worker/worker-1.log',
    })
  })

  it('keeps every value as it is', () => {
    const value = '<&> "quoted" \'it\' ]]> é 🏠 &amp;'
    const text = launchdPlist({
      agent: 'a',
      program: ['/bin/x y'],
      variables: { KEY: value },
      folder: '/a&b',
      log: '/l',
      stopMs: 1,
    })
    expect(read(text)).toMatchObject({
      WorkingDirectory: '/a&b',
      ProgramArguments: ['/bin/x y', 'run'],
      EnvironmentVariables: { KEY: value },
    })
  })
})
