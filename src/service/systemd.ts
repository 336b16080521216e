import { join } from 'node:path'
import { WorkerError } from '../domain/errors.ts'
import { differingVariables, environmentFile } from './environment-file.ts'
import { type Machine, requireProgram } from './machine.ts'
import {
  type Plan,
  type ServiceFile,
  type ServiceManagerKind,
  type ServiceRequest,
  type Step,
  writeStep,
} from './plan.ts'
import { statusOf } from './systemd-status.ts'
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
  const tools: Tools = {
    scope,
    machine,
    pathsOf: (agent) => pathsOfAgent(agent, scope, machine),
    says: async (word, unit) => (await machine.run([...systemctl, word, '--quiet', unit])).ok,
    run: (...words) => ({ do: 'run', command: [...systemctl, ...words] }),
  }
  return {
    name: 'systemd',
    async require() {
      await requireProgram('systemctl', 'systemd', machine)
      const answer = await machine.run([...systemctl, 'show', '--property=Version'])
      if (answer.ok) return
      const remedy = 'A user without a session has no systemd: loginctl enable-linger'
      const message = `systemd does not answer: ${answer.output}`
      throw new WorkerError('service-failed', message, scope === 'user' ? { remedy } : {})
    },
    async files(request) {
      const { units, settings } = await filesOf(request, tools)
      return [...units, settings]
    },
    planInstall: (request) => planInstall(request, tools),
    planUninstall: (agent, options) => planUninstall(agent, options, tools),
    status: (agent, { lines }) => statusOf(unitOf(agent), { systemctl, lines, scope }, machine),
  }
}

interface Tools {
  readonly scope: Scope
  readonly machine: Machine
  readonly pathsOf: (agent: string) => Paths
  /** True when systemd answers a question about a unit with yes. */
  readonly says: (word: 'is-enabled' | 'is-active', unit: string) => Promise<boolean>
  /** A step of systemctl. */
  readonly run: (...words: string[]) => Step
}

async function planInstall(request: ServiceRequest, tools: Tools): Promise<Plan> {
  const { scope, machine, says, run, pathsOf } = tools
  const service = unitOf(request.agent)
  const { steps: user, uid } = scope === 'system' ? await userSteps(request, machine) : NOBODY
  const files = await filesOf(request, tools)
  const units = await unitSteps(files.units, pathsOf(request.agent), machine)
  const settings = await settingsSteps(files.settings, request, machine)
  const reload = units.length === 0 ? [] : [...(await verifySteps(request, tools)), run('daemon-reload')]
  const enable = (await says('is-enabled', service)) ? [] : [run('enable', service)]
  const active = await says('is-active', service)
  const start = active || !request.start ? [] : [run('start', service)]
  const restart = ['systemctl', ...(scope === 'user' ? ['--user'] : []), 'restart', service].join(' ')
  const stale = active && units.length + settings.steps.length > 0
  return {
    service,
    steps: [...user, ...units, ...settings.steps, ...reload, ...enable, ...start],
    notes: [
      ...settings.notes,
      ...(await folderNotes(request, uid, machine)),
      ...(stale ? [`It runs with what it had: ${restart}`] : []),
      ...(scope === 'user' ? [LINGER] : []),
    ],
  }
}

const LINGER = 'It runs while you are logged in; to have it run always: loginctl enable-linger'

async function planUninstall(agent: string, { purge }: { purge: boolean }, tools: Tools): Promise<Plan> {
  const { machine, says, run, pathsOf } = tools
  const paths = pathsOf(agent)
  const service = unitOf(agent)
  const there = async (path: string) => (await machine.read(path)) !== null
  const on = (await says('is-enabled', service)) || (await says('is-active', service))
  const others = await othersThan(agent, tools)
  const units: Step[] = []
  if (await there(paths.dropIn)) units.push({ do: 'remove', path: paths.dropIn })
  if (others.length === 0 && (await there(paths.unit))) units.push({ do: 'remove', path: paths.unit })
  const settings = await there(paths.environment)
  return {
    service,
    steps: [
      ...(on ? [run('disable', '--now', service)] : []),
      ...units,
      ...(units.length > 0 ? [run('daemon-reload')] : []),
      ...(settings && purge ? [{ do: 'remove', path: paths.environment } as const] : []),
    ],
    notes: [
      ...(settings && !purge ? [`The settings stay in ${paths.environment}; --purge removes them`] : []),
      ...(others.length > 0 ? [`The unit stays for ${others.join(', ')}`] : []),
    ],
  }
}

/** The agents that have a service besides this one. */
async function othersThan(agent: string, { machine, says, pathsOf }: Tools): Promise<string[]> {
  const names = (await machine.list(pathsOf(agent).settings))
    .flatMap((name) => /^(.+)\.env$/.exec(name)?.[1] ?? [])
    .filter((name) => name !== agent)
  const enabled = await Promise.all(names.map((name) => says('is-enabled', unitOf(name))))
  return names.filter((_, at) => enabled[at])
}

async function verifySteps({ agent }: ServiceRequest, { scope, machine, pathsOf }: Tools): Promise<Step[]> {
  if (!(await machine.has('systemd-analyze'))) return []
  const words = ['systemd-analyze', ...(scope === 'user' ? ['--user'] : []), 'verify', pathsOf(agent).unit]
  return [{ do: 'run', command: words, optional: true }]
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

async function filesOf(
  request: ServiceRequest,
  { machine, pathsOf }: Tools,
): Promise<{ units: ServiceFile[]; settings: ServiceFile }> {
  const { agent, scope, program, runAs, stopMs, usualStopMs, variables, keys } = request
  const paths = pathsOf(agent)
  const growingPauses = (await versionOf(machine)) >= GROWING_PAUSES
  const unit = systemdUnit({ scope, program, stopMs: usualStopMs, growingPauses })
  const dropIn = systemdDropIn({
    ...(runAs === undefined || runAs === SERVICE_USER ? {} : { user: runAs }),
    ...(stopMs === usualStopMs ? {} : { stopMs }),
  })
  return {
    units: [
      { path: paths.unit, text: unit, mode: 0o644 },
      ...(dropIn === null ? [] : [{ path: paths.dropIn, text: dropIn, mode: 0o644 }]),
    ],
    settings: { path: paths.environment, text: environmentFile(variables, keys), mode: SECRET },
  }
}

async function unitSteps(units: readonly ServiceFile[], paths: Paths, machine: Machine): Promise<Step[]> {
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
