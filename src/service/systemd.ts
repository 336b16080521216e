import { join } from 'node:path'
import { WorkerError } from '../domain/errors.ts'
import { differingVariables, environmentFile } from './environment-file.ts'
import { type Machine, requireProgram } from './machine.ts'
import {
  type Plan,
  properties,
  type ServiceFile,
  type ServiceManagerKind,
  type ServiceRequest,
  type ServiceStatus,
  type Step,
  writeStep,
} from './plan.ts'
import {
  type Scope,
  SERVICE_USER,
  systemdDropIn,
  systemdUnit,
  UNIT_TEMPLATE,
  unitOf,
} from './systemd-unit.ts'

/** The first version with growing pauses between restarts. */
const GROWING_PAUSES = 254
/** The mode of a file that may hold keys. */
const SECRET = 0o600

interface Paths {
  readonly unit: string
  readonly dropIn: string
  readonly environment: string
  /** Where the files of the settings of all agents lie. */
  readonly settings: string
}

/** The services of systemd: of the machine, or of this user. */
export function systemd(scope: Scope, machine: Machine): ServiceManagerKind {
  const systemctl = ['systemctl', ...(scope === 'user' ? ['--user'] : [])]
  const pathsOf = (agent: string) => pathsOfAgent(agent, scope, machine)
  /** True when systemd answers a question about a unit with yes. */
  const says = async (word: string, unit: string) =>
    (await machine.run([...systemctl, word, '--quiet', unit])).ok
  /** The agents that have a service besides this one. */
  const othersThan = async (agent: string) => {
    const names = (await machine.list(pathsOf(agent).settings))
      .flatMap((name) => /^(.+)\.env$/.exec(name)?.[1] ?? [])
      .filter((name) => name !== agent)
    const enabled = await Promise.all(names.map((name) => says('is-enabled', unitOf(name))))
    return names.filter((_, at) => enabled[at])
  }
  return {
    name: 'systemd',
    async require() {
      await requireProgram('systemctl', 'systemd', machine)
      const answer = await machine.run([...systemctl, 'show', '--property=Version'])
      if (answer.ok) return
      throw new WorkerError('service-failed', `systemd does not answer: ${answer.output}`, {
        ...(scope === 'user'
          ? { remedy: 'A user without a session has no systemd: loginctl enable-linger' }
          : {}),
      })
    },
    files: (request) => filesOf(request, pathsOf(request.agent), machine),
    async planInstall(request) {
      const paths = pathsOf(request.agent)
      const service = unitOf(request.agent)
      const { steps: user, uid } = scope === 'system' ? await userSteps(request, machine) : NOBODY
      const files = await filesOf(request, paths, machine)
      const units = await unitSteps(files, paths, machine)
      const settings = await settingsSteps(files.at(-1) as ServiceFile, request, machine)
      const check = ['systemd-analyze', ...(scope === 'user' ? ['--user'] : []), 'verify', paths.unit]
      const verify: Step[] = (await machine.has('systemd-analyze'))
        ? [{ do: 'run', command: check, optional: true }]
        : []
      const reload: Step[] =
        units.length === 0 ? [] : [...verify, { do: 'run', command: [...systemctl, 'daemon-reload'] }]
      const enable: Step[] = (await says('is-enabled', service))
        ? []
        : [{ do: 'run', command: [...systemctl, 'enable', service] }]
      const active = await says('is-active', service)
      const start: Step[] =
        active || !request.start ? [] : [{ do: 'run', command: [...systemctl, 'start', service] }]
      const changed = units.length + settings.steps.length > 0
      return {
        service,
        steps: [...user, ...units, ...settings.steps, ...reload, ...enable, ...start],
        notes: [
          ...settings.notes,
          ...(await folderNotes(request, uid, machine)),
          ...(active && changed
            ? [`It runs with what it had: ${systemctl.join(' ')} restart ${service}`]
            : []),
          ...(scope === 'user'
            ? ['It runs while you are logged in; to have it run always: loginctl enable-linger']
            : []),
        ],
      }
    },
    async planUninstall(agent, { purge }) {
      const paths = pathsOf(agent)
      const service = unitOf(agent)
      const there = async (path: string) => (await machine.read(path)) !== null
      const run = (...command: string[]): Step => ({ do: 'run', command: [...systemctl, ...command] })
      const steps: Step[] = []
      const enabled = await says('is-enabled', service)
      if (enabled || (await says('is-active', service))) steps.push(run('disable', '--now', service))
      const before = steps.length
      if (await there(paths.dropIn)) steps.push({ do: 'remove', path: paths.dropIn })
      const others = await othersThan(agent)
      if (others.length === 0 && (await there(paths.unit))) steps.push({ do: 'remove', path: paths.unit })
      if (steps.length > before) steps.push(run('daemon-reload'))
      const kept = await there(paths.environment)
      if (purge && kept) steps.push({ do: 'remove', path: paths.environment })
      const notes = [
        ...(kept && !purge ? [`The settings stay in ${paths.environment}; --purge removes them`] : []),
        ...(others.length > 0 ? [`The unit stays for ${others.join(', ')}`] : []),
      ]
      return { service, steps, notes }
    },
    status: (agent, { lines }) => statusOf(unitOf(agent), { systemctl, lines, scope }, machine),
  }
}

const NOBODY = { steps: [], uid: null }

function pathsOfAgent(agent: string, scope: Scope, { env, home }: Machine): Paths {
  const config = scope === 'user' ? env.XDG_CONFIG_HOME || join(home, '.config') : '/etc'
  const units = join(config, 'systemd', scope)
  const settings = join(config, 'tinytown-worker')
  return {
    unit: join(units, UNIT_TEMPLATE),
    dropIn: join(units, `${unitOf(agent)}.d`, 'agent.conf'),
    settings,
    environment: join(settings, `${agent}.env`),
  }
}

/** Makes the usual user where there is none; another one must be there. `uid` is null for one that is yet to be made. */
async function userSteps(
  { runAs }: ServiceRequest,
  machine: Machine,
): Promise<{ steps: Step[]; uid: number | null }> {
  const name = runAs ?? SERVICE_USER
  const answer = await machine.run(['id', '-u', name])
  if (answer.ok) return { steps: [], uid: Number(answer.stdout) }
  if (runAs !== undefined) {
    throw new WorkerError('usage', `There is no user ${runAs} (--run-as)`, {
      remedy: `Make it first, or leave --run-as out: the user ${SERVICE_USER} is made then`,
    })
  }
  const shell = ['--shell', '/usr/sbin/nologin']
  const home = ['--create-home', '--home-dir', `/var/lib/${name}`]
  return { steps: [{ do: 'run', command: ['useradd', '--system', ...home, ...shell, name] }], uid: null }
}

async function filesOf(request: ServiceRequest, paths: Paths, machine: Machine): Promise<ServiceFile[]> {
  const { scope, program, runAs, stopMs, usualStopMs, variables, keys } = request
  const growingPauses = (await versionOf(machine)) >= GROWING_PAUSES
  const dropIn = systemdDropIn({
    ...(runAs === undefined || runAs === SERVICE_USER ? {} : { user: runAs }),
    ...(stopMs === usualStopMs ? {} : { stopMs }),
  })
  return [
    {
      path: paths.unit,
      text: systemdUnit({ scope, program, stopMs: usualStopMs, growingPauses }),
      mode: 0o644,
    },
    ...(dropIn === null ? [] : [{ path: paths.dropIn, text: dropIn, mode: 0o644 }]),
    { path: paths.environment, text: environmentFile(variables, keys), mode: SECRET },
  ]
}

async function unitSteps(files: readonly ServiceFile[], paths: Paths, machine: Machine): Promise<Step[]> {
  const units = files.filter(({ path }) => path !== paths.environment)
  const written = await Promise.all(units.map(async (file) => writeStep(await machine.read(file.path), file)))
  const stale =
    !units.some(({ path }) => path === paths.dropIn) && (await machine.read(paths.dropIn)) !== null
  return [...written.flat(), ...(stale ? [{ do: 'remove', path: paths.dropIn } as const] : [])]
}

/** The first number of `systemd 252 (252.38-1~deb12u1)`; 0 where nobody tells. */
async function versionOf(machine: Machine): Promise<number> {
  const { stdout } = await machine.run(['systemctl', '--version'])
  return Number(/^systemd (\d+)/.exec(stdout)?.[1] ?? 0)
}

/** What somebody wrote into the settings stays, unless `force` says otherwise; open to others they never stay. */
async function settingsSteps(
  file: ServiceFile,
  { variables, force }: ServiceRequest,
  machine: Machine,
): Promise<Pick<Plan, 'steps' | 'notes'>> {
  const { path } = file
  const before = await machine.read(path)
  const differing = before === null ? [] : differingVariables(before.text, variables)
  if (before === null || (differing.length > 0 && force)) return { steps: writeStep(before, file), notes: [] }
  const kept = `${path} stays as it is, and says otherwise of ${differing.join(', ')}; --force writes it anew`
  return {
    steps: writeStep(before, { ...file, text: before.text }),
    notes: differing.length === 0 ? [] : [kept],
  }
}

async function folderNotes(
  { scope, folder, runAs = SERVICE_USER }: ServiceRequest,
  uid: number | null,
  machine: Machine,
): Promise<string[]> {
  if (scope === 'user' || (await machine.owner(folder)) === uid) return []
  return [
    `${folder} belongs to somebody else than ${runAs}, who has to write there: chown -R ${runAs} ${folder}`,
  ]
}

const SHOWN = [
  'LoadState',
  'UnitFileState',
  'ActiveState',
  'SubState',
  'StatusText',
  'MainPID',
  'NRestarts',
  'ExecMainStatus',
]

async function statusOf(
  service: string,
  { systemctl, lines, scope }: { systemctl: readonly string[]; lines: number; scope: Scope },
  machine: Machine,
): Promise<ServiceStatus> {
  const shown = await machine.run([...systemctl, 'show', service, `--property=${SHOWN.join(',')}`])
  if (!shown.ok)
    throw new WorkerError('service-failed', `systemd does not tell of ${service}: ${shown.output}`)
  const {
    LoadState,
    UnitFileState,
    ActiveState = '',
    SubState,
    StatusText,
    ...numbers
  } = properties(shown.stdout)
  const journal = ['journalctl', ...(scope === 'user' ? ['--user'] : []), '--no-pager', '--quiet']
  const log = await machine.run([...journal, '--output=cat', `--lines=${lines}`, `--unit=${service}`])
  const pid = Number(numbers.MainPID)
  const enabled = UnitFileState === 'enabled'
  const active = ActiveState === 'active' || ActiveState === 'reloading'
  return {
    service,
    // The template is loaded for every name.
    installed: LoadState === 'loaded' && (enabled || active),
    enabled,
    active,
    state: `${ActiveState} (${SubState})`,
    ...(StatusText ? { status: StatusText } : {}),
    ...(pid > 0 ? { pid } : {}),
    restarts: Number(numbers.NRestarts ?? 0),
    exitStatus: Number(numbers.ExecMainStatus ?? 0),
    lines: log.ok && log.stdout !== '' ? log.stdout.split('\n') : [],
  }
}
