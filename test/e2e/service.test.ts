import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { useClosers } from '../rig/daemon.ts'
import { useScene } from '../rig/scene.ts'

const onClose = useClosers()
const scene = useScene(onClose)

/** A systemctl that remembers what is enabled and active, and writes down what changes something. */
const SYSTEMCTL = `#!/bin/sh
state=$(dirname "$0")/state
[ "$1" != --user ] || shift
unit() { for word; do :; done; printf '%s' "$state/$verb-$word"; }
case $1 in
  --version) echo 'systemd 252 (252.38-1)' ;;
  is-enabled) verb=enabled; [ -e "$(unit "$@")" ] ;;
  is-active) verb=active; [ -e "$(unit "$@")" ] ;;
  show)
    [ ! -e "$state/away" ] || { echo 'Failed to connect to bus' >&2; exit 1; }
    verb=active
    if [ -e "$(unit "$1" "$2")" ]; then
      printf '%s\\n' LoadState=loaded UnitFileState=enabled ActiveState=active SubState=running MainPID=7 NRestarts=2 ExecMainStatus=0 'StatusText=worker-1: working on 1234abcd: a = b'
    else printf '%s\\n' LoadState=loaded UnitFileState=disabled ActiveState=failed SubState=failed MainPID=0 NRestarts=0 ExecMainStatus=78; fi ;;
  *)
    echo "$*" >> "$state/deeds"
    [ ! -e "$state/broken-$1" ] || { echo "Job for $2 failed" >&2; exit 1; }
    case $1 in
      enable) verb=enabled; touch "$(unit "$@")" ;;
      start) verb=active; touch "$(unit "$@")" ;;
      disable) rm -f "$state"/enabled-* "$state"/active-* ;;
    esac ;;
esac
`

const UNIT = 'tinytown-worker@worker-1.service'

async function machine() {
  const { town } = await scene()
  const bin = join(town.root, 'bin')
  const state = join(bin, 'state')
  const home = join(town.root, 'home')
  await mkdir(state, { recursive: true })
  const program = async (name: string, text: string) => {
    await writeFile(join(bin, name), text)
    await chmod(join(bin, name), 0o755)
  }
  await program('systemctl', SYSTEMCTL)
  await program('systemd-analyze', '#!/bin/sh\nexit 0\n')
  await program('journalctl', '#!/bin/sh\nprintf "one\\ntwo\\n"\n')
  const env = { HOME: home, PATH: `${bin}:${process.env.PATH}`, XDG_CONFIG_HOME: '' }
  const settings = join(home, '.config/tinytown-worker/worker-1.env')
  return {
    town,
    settings,
    unit: join(home, '.config/systemd/user/tinytown-worker@.service'),
    mark: (name: string) => writeFile(join(state, name), ''),
    service: (...args: string[]) => town.cliWith({ env }, 'service', ...args),
    deeds: async () =>
      (await readFile(join(state, 'deeds'), 'utf8').catch(() => '')).split('\n').slice(0, -1),
    run: (more: object, ...args: string[]) => town.cliWith({ env: { ...env, ...more } }, ...args),
  }
}

const INSTALL = ['install', '--systemd', '--user', '--cli', 'fake']

describe('service', () => {
  it('install says what it does, does it, and a second time nothing', async () => {
    const { service, settings, unit, deeds, town } = await machine()
    const first = await service(...INSTALL, '--role', 'code reviewer', '--pass-env', 'A_KEY,B_KEY')
    expect(first).toMatchObject({ exit: 0 })
    expect(first.stdout.split('\n').map((line) => line.trim().split(/\s+/).slice(0, 2).join(' '))).toEqual([
      `write ${unit}`,
      `write ${settings}`,
      'run systemd-analyze',
      'run systemctl',
      'run systemctl',
      'run systemctl',
      `${UNIT} is`,
      '',
    ])
    expect(first.stderr).toContain('REDIS_URL names one that stays')
    expect(await deeds()).toEqual(['daemon-reload', `enable ${UNIT}`, `start ${UNIT}`])
    expect((await stat(settings)).mode & 0o777).toBe(0o600)
    const text = await readFile(settings, 'utf8')
    expect(text).toContain(`\nTINYTOWN_TOWN_DIR=${town.root}\n`)
    expect(text).toContain('\nTINYTOWN_AGENT_CLI=fake\nTINYTOWN_AGENT_ROLE="code reviewer"\n')
    expect(text).toContain('\nTINYTOWN_PASS_ENV=A_KEY,B_KEY\n')
    const again = await service(...INSTALL)
    expect(again.stdout).toBe(`${UNIT} is installed: nothing to do\n`)
    expect(await deeds()).toHaveLength(3)
  })

  it('install --dry-run and print change nothing; print shows the files', async () => {
    const { service, unit, deeds } = await machine()
    const dry = await service(...INSTALL, '--dry-run', '--json')
    const plan = JSON.parse(dry.stdout)
    expect(plan).toMatchObject({ service: UNIT, done: false })
    expect(plan.steps[0]).toEqual({ do: 'write', path: unit, mode: '644' })
    const printed = await service('print', ...INSTALL.slice(1))
    expect(printed.stdout).toContain(`==> ${unit} <==\n# One instance per agent`)
    await expect(stat(unit)).rejects.toThrow('ENOENT')
    expect(await deeds()).toEqual([])
  })

  it('install keeps settings that say otherwise, unless --force', async () => {
    const { service, settings } = await machine()
    await service(...INSTALL)
    await writeFile(settings, 'TINYTOWN_AGENT_CLI=codex\nMINE=1\n')
    const kept = await service(...INSTALL)
    expect(kept.stderr).toMatch(
      /worker-1\.env stays as it is, and says otherwise of .*TINYTOWN_AGENT_CLI.*; --force/,
    )
    expect(await readFile(settings, 'utf8')).toBe('TINYTOWN_AGENT_CLI=codex\nMINE=1\n')
    await service(...INSTALL, '--force')
    expect(await readFile(settings, 'utf8')).toMatch(/\nTINYTOWN_AGENT_CLI=fake\n/)
  })

  it('takes along what the environment says, with a password only into the closed file', async () => {
    const { run, settings, town } = await machine()
    const REDIS_URL = 'redis://:pass$word@127.0.0.1:6379/3'
    const { stdout, stderr } = await run(
      { REDIS_URL, TINYTOWN_LEASE_MS: '5000' },
      'service',
      ...INSTALL,
      '--workdir',
      'bin',
    )
    const text = await readFile(settings, 'utf8')
    expect(text).toContain('\nREDIS_URL="redis://:pass\\$word@127.0.0.1:6379/3"\n')
    expect(text).toContain('\nTINYTOWN_LEASE_MS=5000\n')
    expect(text).toContain(`\nTINYTOWN_WORKDIR=${town.root}/bin\n`)
    expect(stdout + stderr).not.toMatch(/pass\$word|one that stays/)
  })

  it('status tells state, task and the last lines; 1 when it is not active', async () => {
    const { service } = await machine()
    const down = await service('status', '--systemd', '--user')
    expect(down).toMatchObject({
      exit: 1,
      stdout: expect.stringMatching(/installed +no[\s\S]*state +failed \(failed\)\n +exit +78/),
    })
    await service(...INSTALL)
    const up = await service('status', '--systemd', '--user')
    expect(up).toMatchObject({
      exit: 0,
      stdout: expect.stringContaining('says       worker-1: working on 1234abcd: a = b'),
    })
    const json = JSON.parse((await service('status', '--systemd', '--user', '--json')).stdout)
    expect(json).toMatchObject({
      manager: 'systemd',
      installed: true,
      active: true,
      pid: 7,
      restarts: 2,
      lines: ['one', 'two'],
    })
  })

  it('uninstall removes what install wrote, the settings with --purge', async () => {
    const { service, settings, unit, deeds } = await machine()
    await service(...INSTALL)
    const { stderr } = await service('uninstall', '--systemd', '--user')
    expect(stderr).toContain(`The settings stay in ${settings}; --purge removes them`)
    expect((await deeds()).slice(-2)).toEqual([`disable --now ${UNIT}`, 'daemon-reload'])
    await expect(stat(unit)).rejects.toThrow('ENOENT')
    await service('uninstall', '--systemd', '--user', '--purge')
    await expect(stat(settings)).rejects.toThrow('ENOENT')
    expect((await service('uninstall', '--systemd', '--user')).stdout).toBe(
      `${UNIT} is uninstalled: nothing to do\n`,
    )
  })

  it('that cannot be started ends with 1 and says what systemd said', async () => {
    const { service, mark } = await machine()
    await mark('broken-start')
    const { exit, stderr } = await service(...INSTALL)
    expect([exit, stderr]).toEqual([
      1,
      expect.stringMatching(/systemctl --user start .* failed: Job for .* failed[\s\S]*service status/),
    ])
  })

  it.each<[string, string[], number, RegExp]>([
    [
      'an unknown CLI',
      ['install', '--systemd', '--user', '--cli', 'codexx'],
      2,
      /to be one of codex, claude, demo, fake, got "codexx"[\s\S]*Did you mean codex/,
    ],
    ['no CLI', ['install', '--systemd', '--user'], 2, /Expected a CLI, got none/],
    ['both managers', ['install', '--systemd', '--launchd', '--cli', 'fake'], 2, /got both/],
    [
      'another user for a service of one',
      ['install', '--systemd', '--user', '--run-as', 'me', '--cli', 'fake'],
      2,
      /--run-as is for one of the machine/,
    ],
    ['an unknown action', ['instal'], 2, /Did you mean install/],
    ['a bad name', ['install', '--systemd', '--user', '--cli', 'fake', '--name', 'a b'], 2, /--name/],
    [
      'a machine without launchd',
      ['status', '--launchd'],
      78,
      /There is no launchd here: launchctl is not in PATH/,
    ],
  ])('refuses %s', async (_, args, code, why) => {
    const { service, deeds } = await machine()
    const { exit, stderr } = await service(...args)
    expect([exit, stderr]).toEqual([code, expect.stringMatching(why)])
    expect(await deeds()).toEqual([])
  })

  it('says that systemd does not answer before anything is written', async () => {
    const { service, mark, unit } = await machine()
    await mark('away')
    const { exit, stderr } = await service(...INSTALL)
    expect([exit, stderr]).toEqual([
      1,
      expect.stringMatching(/systemd does not answer: Failed to connect to bus[\s\S]*enable-linger/),
    ])
    await expect(stat(unit)).rejects.toThrow('ENOENT')
  })
})
