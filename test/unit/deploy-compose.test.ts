import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { resolveSettings } from '../../src/config/resolve.ts'
import { SETTING_KEYS, settingOf } from '../../src/config/settings.ts'
import { profiles } from '../../workers/index.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const compose = parse(read('docker-compose.yml'))
const dockerfile = read('Dockerfile.agent-worker')
const worker = compose.services['agent-worker']

/** `${NAME:-default}` as compose reads it where nothing is set. */
const unset = (value: unknown) => String(value ?? '').replace(/\$\{\w+:?-([^}]*)\}/g, '$1')
const environment: Record<string, string> = Object.fromEntries(
  Object.entries(worker.environment).map(([name, value]) => [name, unset(value)]),
)
const imageEnvironment = Object.fromEntries(
  [...dockerfile.matchAll(/^(?:ENV| {4})\s*([A-Z_]+)=(\S+)/gm)].map(([, name = '', value = '']) => [
    name,
    value,
  ]),
)
const KNOWN = new Set(SETTING_KEYS.map((key) => settingOf(key).env))

describe('docker-compose.yml', () => {
  it('starts Redis alone unless the profile is named', () => {
    expect(compose.services.redis.profiles).toBeUndefined()
    expect(worker.profiles).toEqual(['worker'])
    expect(worker.depends_on).toEqual({ redis: { condition: 'service_healthy' } })
    expect(compose.services.redis.healthcheck.test).toContain('ping')
    expect(compose.services.redis.command).toEqual(expect.arrayContaining(['--appendonly', 'yes']))
  })

  it('gives the worker settings that it knows, with values that it takes', () => {
    const { settings, warnings } = resolveSettings({
      flags: {},
      env: { ...imageEnvironment, ...environment },
      file: null,
    })
    expect(warnings).toEqual([])
    expect(settings).toMatchObject({
      redisUrl: 'redis://redis:6379',
      name: 'worker-1',
      namePool: 100,
      cli: 'codex',
      redisStart: false,
      connectTimeout: 60_000,
    })
    const ours = Object.keys({ ...imageEnvironment, ...environment }).filter((name) =>
      name.startsWith('TINYTOWN_'),
    )
    expect(ours.filter((name) => !KNOWN.has(name))).toEqual([])
  })

  it('passes the keys of the built-in CLIs through, without a value of its own', () => {
    const keys = profiles.flatMap(({ login }) => login?.env ?? []).filter((name) => name.endsWith('_API_KEY'))
    expect(keys).not.toEqual([])
    for (const name of [...keys, 'OPENAI_API_KEY']) expect(worker.environment).toHaveProperty(name, null)
  })

  it('installs the CLI that is the default, in the version that is tested', () => {
    const { dependencies } = JSON.parse(read('test/clis/package.json'))
    expect(unset(worker.build.args.CLI_PACKAGE)).toBe(`@openai/codex@${dependencies['@openai/codex']}`)
    for (const [name, version] of Object.entries(dependencies))
      expect(dockerfile).toContain(`${name}@${version}`)
  })

  it('gives a stop the time that a drain and the end of the child tree take', () => {
    const { settings } = resolveSettings({ flags: {}, env: environment, file: null })
    const graceMs = 1000 * Number.parseInt(worker.stop_grace_period, 10)
    expect(graceMs).toBeGreaterThanOrEqual(settings.drainTimeout + settings.killGrace + 20_000)
  })

  it('keeps what a worker may write to the volumes and /tmp', () => {
    expect(worker).toMatchObject({ read_only: true, tmpfs: ['/tmp'], cap_drop: ['ALL'] })
    const targets = worker.volumes.map((volume: string) => volume.split(':')[1])
    expect(targets).toEqual([imageEnvironment.TINYTOWN_TOWN_DIR, imageEnvironment.HOME])
    for (const volume of [...worker.volumes, ...compose.services.redis.volumes])
      expect(compose.volumes).toHaveProperty(volume.split(':')[0])
  })
})

describe('Dockerfile.agent-worker', () => {
  it('runs the worker without a shell, as no root, behind tini', () => {
    expect(dockerfile).toMatch(/^ENTRYPOINT \["\/usr\/bin\/tini", "--", "tinytown-worker"\]$/m)
    expect(dockerfile).toMatch(/^HEALTHCHECK .*CMD \["tinytown-worker", "health"\]$/m)
    expect(dockerfile).toMatch(/^USER 1000:1000$/m)
  })

  it('copies only what .dockerignore lets through', () => {
    const let_through = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1))
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, list = '']) =>
      list.split(' '),
    )
    expect(copied).not.toEqual([])
    expect(let_through).toEqual(expect.arrayContaining(copied))
    expect(read('.dockerignore').split('\n')).toContain('*')
  })
})
