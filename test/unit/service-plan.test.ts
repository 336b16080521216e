import { describe, expect, it } from 'vitest'
import { launchd } from '../../src/service/launchd.ts'
import type { Machine } from '../../src/service/machine.ts'
import type { ServiceFile, ServiceRequest, Step } from '../../src/service/plan.ts'
import { systemd } from '../../src/service/systemd.ts'

const REQUEST: ServiceRequest = {
  agent: 'worker-1',
  scope: 'system',
  program: ['/usr/bin/node', '/opt/main.js'],
  variables: { TINYTOWN_AGENT_CLI: 'codex' },
  keys: ['CODEX_API_KEY'],
  folder: '/srv/shop',
  stopMs: 330_000,
  usualStopMs: 330_000,
  runAs: undefined,
  force: false,
  start: true,
}

const UNIT = '/etc/systemd/system/tinytown-worker@.service'
const DROP_IN = '/etc/systemd/system/tinytown-worker@worker-1.service.d/agent.conf'
const SETTINGS = '/etc/tinytown-worker/worker-1.env'

/** A machine in memory: files, users and units are what the steps make of them. */
function fakeMachine({
  version = 252,
  users = {} as Record<string, number>,
  has = ['systemd-analyze'],
} = {}) {
  const files = new Map<string, Omit<ServiceFile, 'path'>>()
  const on = { enabled: new Set<string>(), active: new Set<string>() }
  const answer = (ok: boolean, stdout = '') => ({ ok, exitCode: ok ? 0 : 1, stdout, output: stdout })
  const owners: Record<string, number> = { '/srv/shop': 1000 }
  const deeds: Record<string, (...words: string[]) => ReturnType<typeof answer>> = {
    id: (_, name = '') => answer(name in users, String(users[name])),
    useradd: (...words) => {
      users[words.at(-1) ?? ''] = 990
      return answer(true)
    },
    '--version': () => answer(true, `systemd ${version} (${version}.1)\n`),
    'is-enabled': (_, unit = '') => answer(on.enabled.has(unit)),
    'is-active': (_, unit = '') => answer(on.active.has(unit)),
    enable: (unit = '') => answer(Boolean(on.enabled.add(unit))),
    start: (unit = '') => answer(Boolean(on.active.add(unit))),
    disable: (_, unit = '') => answer(on.enabled.delete(unit) && on.active.delete(unit)),
    print: (target = '') => answer(on.active.has(target)),
    bootstrap: (domain = '', path = '') =>
      answer(Boolean(on.active.add(`${domain}/${/([^/]+)\.plist$/.exec(path)?.[1]}`))),
    bootout: (target = '') => answer(on.active.delete(target)),
  }
  const machine: Machine = {
    uid: 501,
    home: '/home/me',
    env: {},
    read: async (path) => files.get(path) ?? null,
    list: async (folder) =>
      [...files.keys()]
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => path.slice(folder.length + 1)),
    owner: async (path) => owners[path] ?? null,
    has: async (program) => has.includes(program),
    run: async (command) => {
      const words = command.filter((word) => !['systemctl', 'launchctl', '--user'].includes(word))
      const deed = deeds[words[0] ?? '']
      return deed ? deed(...words.slice(1)) : answer(true)
    },
  }
  return {
    machine,
    files,
    owners,
    async carryOut(steps: readonly Step[]) {
      for (const step of steps) {
        if (step.do === 'write') files.set(step.path, { text: step.text, mode: step.mode })
        else if (step.do === 'remove') files.delete(step.path)
        else await machine.run(step.command)
      }
    },
  }
}

const shown = (steps: readonly Step[]) =>
  steps.map((step) =>
    step.do === 'run'
      ? step.command.join(' ')
      : `${step.do} ${step.path}${step.do === 'write' ? ` ${step.mode.toString(8)}` : ''}`,
  )

describe('a service of the machine with systemd', () => {
  it('is made whole, and a second time there is nothing to do', async () => {
    const { machine, carryOut } = fakeMachine()
    const plan = await systemd('system', machine).planInstall(REQUEST)
    expect(shown(plan.steps)).toEqual([
      'useradd --system --create-home --home-dir /var/lib/tinytown --shell /usr/sbin/nologin tinytown',
      `write ${UNIT} 644`,
      `write ${SETTINGS} 600`,
      `systemd-analyze verify ${UNIT}`,
      'systemctl daemon-reload',
      'systemctl enable tinytown-worker@worker-1.service',
      'systemctl start tinytown-worker@worker-1.service',
    ])
    expect(plan.notes).toEqual([
      '/srv/shop belongs to somebody else than tinytown, who has to write there: chown -R tinytown /srv/shop',
    ])
    await carryOut(plan.steps)
    expect((await systemd('system', machine).planInstall(REQUEST)).steps).toEqual([])
  })

  it('is not started with --no-start, nor verified where nobody can', async () => {
    const { machine } = fakeMachine({ has: [], users: { tinytown: 1000 } })
    const { steps, notes } = await systemd('system', machine).planInstall({ ...REQUEST, start: false })
    expect(shown(steps).filter((line) => /start|verify|useradd/.test(line))).toEqual([])
    expect(notes).toEqual([])
  })

  it('gets growing pauses from systemd 254 on', async () => {
    const textWith = async (version: number) => {
      const { machine } = fakeMachine({ version })
      return (await systemd('system', machine).files(REQUEST))[0]?.text
    }
    expect(await textWith(253)).not.toContain('RestartSteps')
    expect(await textWith(254)).toContain('RestartSteps')
  })

  it('of another user or with another drain time-out has a file of its own for that, as long as it is so', async () => {
    const { machine, files, carryOut } = fakeMachine({ users: { me: 1000 } })
    const own = { ...REQUEST, runAs: 'me', stopMs: 90_000 }
    const manager = systemd('system', machine)
    await carryOut((await manager.planInstall(own)).steps)
    expect(files.get(DROP_IN)?.text).toBe('[Service]\nUser=me\nTimeoutStopSec=90\n')
    expect(shown((await manager.planInstall({ ...own, runAs: undefined, stopMs: 330_000 })).steps)).toContain(
      `remove ${DROP_IN}`,
    )
  })

  it('of a user that is not there is refused', async () => {
    const { machine } = fakeMachine()
    await expect(
      systemd('system', machine).planInstall({ ...REQUEST, runAs: 'nobody-here' }),
    ).rejects.toThrow('There is no user nobody-here (--run-as)')
  })

  it('keeps settings that say otherwise, and says of what', async () => {
    const { machine, files, carryOut } = fakeMachine({ users: { tinytown: 1000 } })
    const manager = systemd('system', machine)
    await carryOut((await manager.planInstall(REQUEST)).steps)
    files.set(SETTINGS, { text: 'TINYTOWN_AGENT_CLI=claude\nCODEX_API_KEY=k\n', mode: 0o600 })
    const kept = await manager.planInstall(REQUEST)
    expect([kept.steps, kept.notes]).toEqual([
      [],
      [`${SETTINGS} stays as it is, and says otherwise of TINYTOWN_AGENT_CLI; --force writes it anew`],
    ])
    const { steps, notes } = await manager.planInstall({ ...REQUEST, force: true })
    expect(shown(steps)).toEqual([`write ${SETTINGS} 600`])
    expect(notes).toEqual(['It runs with what it had: systemctl restart tinytown-worker@worker-1.service'])
  })

  it('closes settings that are open to others, with their text', async () => {
    const { machine, files } = fakeMachine({ users: { tinytown: 1000 } })
    const text = 'TINYTOWN_AGENT_CLI=codex\nCODEX_API_KEY=k\n'
    files.set(SETTINGS, { text, mode: 0o644 })
    const { steps } = await systemd('system', machine).planInstall(REQUEST)
    expect(steps).toContainEqual({ do: 'write', path: SETTINGS, text, mode: 0o600 })
  })

  it('is removed with what was made for it, its settings only when asked', async () => {
    const { machine, files, carryOut } = fakeMachine({ users: { me: 1000 } })
    const manager = systemd('system', machine)
    await carryOut((await manager.planInstall({ ...REQUEST, runAs: 'me' })).steps)
    const plan = await manager.planUninstall('worker-1', { purge: false })
    expect(shown(plan.steps)).toEqual([
      'systemctl disable --now tinytown-worker@worker-1.service',
      `remove ${DROP_IN}`,
      `remove ${UNIT}`,
      'systemctl daemon-reload',
    ])
    await carryOut(plan.steps)
    expect([...files.keys()]).toEqual([SETTINGS])
    expect((await manager.planUninstall('worker-1', { purge: false })).steps).toEqual([])
    expect(shown((await manager.planUninstall('worker-1', { purge: true })).steps)).toEqual([
      `remove ${SETTINGS}`,
    ])
  })

  it('leaves the unit to the other agents', async () => {
    const { machine, files, carryOut } = fakeMachine({ users: { tinytown: 1000 } })
    const manager = systemd('system', machine)
    for (const agent of ['worker-1', 'worker-2']) {
      await carryOut((await manager.planInstall({ ...REQUEST, agent })).steps)
    }
    const { steps, notes } = await manager.planUninstall('worker-1', { purge: true })
    await carryOut(steps)
    expect([...files.keys()]).toEqual([UNIT, '/etc/tinytown-worker/worker-2.env'])
    expect(notes).toEqual(['The unit stays for worker-2'])
  })
})

describe('a service of a user with launchd', () => {
  const PLIST = '/home/me/Library/LaunchAgents/dev.tinytown.worker.worker-1.plist'
  const TARGET = 'gui/501/dev.tinytown.worker.worker-1'

  it('is made whole, and a second time there is nothing to do', async () => {
    const { machine, files, owners, carryOut } = fakeMachine()
    const manager = launchd(machine)
    const { steps } = await manager.planInstall(REQUEST)
    expect(shown(steps)).toEqual([
      'mkdir -p /home/me/Library/Logs/tinytown-worker',
      `write ${PLIST} 600`,
      `launchctl enable ${TARGET}`,
      `launchctl bootstrap gui/501 ${PLIST}`,
    ])
    await carryOut(steps)
    owners['/home/me/Library/Logs/tinytown-worker'] = 501
    expect((await manager.planInstall(REQUEST)).steps).toEqual([])

    files.set(PLIST, { text: 'by hand', mode: 0o600 })
    const kept = await manager.planInstall(REQUEST)
    expect([kept.steps, kept.notes]).toEqual([[], [expect.stringContaining('--force writes it anew')]])
    expect(shown((await manager.planInstall({ ...REQUEST, force: true })).steps)).toEqual([
      `write ${PLIST} 600`,
      `launchctl bootout ${TARGET}`,
      `launchctl enable ${TARGET}`,
      `launchctl bootstrap gui/501 ${PLIST}`,
    ])

    const gone = await manager.planUninstall('worker-1', { purge: false })
    expect(shown(gone.steps)).toEqual([`launchctl bootout ${TARGET}`, `remove ${PLIST}`])
    await carryOut(gone.steps)
    expect((await manager.planUninstall('worker-1', { purge: true })).steps).toEqual([])
  })

  it('tells how it is', async () => {
    const { machine, files } = fakeMachine()
    files.set(PLIST, { text: 'x', mode: 0o600 })
    files.set('/home/me/Library/Logs/tinytown-worker/worker-1.log', { text: 'a\nb\nc\n', mode: 0o600 })
    const printed = `${TARGET} = {\n\tstate = running\n\n\tpid = 42\n\tlast exit code = 75\n}`
    const telling = {
      ...machine,
      run: async () => ({ ok: true, exitCode: 0, stdout: printed, output: printed }),
    }
    expect(await launchd(telling).status('worker-1', { lines: 2 })).toEqual({
      service: 'dev.tinytown.worker.worker-1',
      installed: true,
      enabled: true,
      active: true,
      state: 'running',
      pid: 42,
      exitStatus: 75,
      lines: ['b', 'c'],
    })
  })
})
