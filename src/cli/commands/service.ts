import { realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import type { Context } from '../../client/context.ts'
import { resolveSettings } from '../../config/resolve.ts'
import * as schema from '../../config/schemas.ts'
import { longestStopMs } from '../../config/stop-time.ts'
import { WorkerError } from '../../domain/errors.ts'
import { launchd } from '../../service/launchd.ts'
import { doSteps, type Machine, RIGHTS_REMEDY, thisMachine } from '../../service/machine.ts'
import type { Plan, ServiceManagerKind, ServiceRequest, Step } from '../../service/plan.ts'
import { systemd } from '../../service/systemd.ts'
import type { Scope } from '../../service/systemd-unit.ts'
import { chooseAction } from '../action.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag, wordFlag } from '../flags.ts'
import { chosenProfile } from '../profile.ts'
import { serviceVariables } from '../service-settings.ts'

/** Has the service manager of this machine run a worker. */
export const service: Command = {
  name: 'service <action>',
  describe:
    'Have systemd or launchd run a worker: install, uninstall, status, or print what would be written',
  settings: ['worker', 'town', 'redis', 'output'],
  flags: {
    systemd: { type: 'boolean', describe: 'Use systemd [default: on Linux]' },
    launchd: { type: 'boolean', describe: 'Use launchd, as a LaunchAgent of this user [default: on macOS]' },
    user: {
      type: 'boolean',
      describe: 'A service of this user, which needs no rights (launchd has no other)',
    },
    'run-as': {
      type: 'string',
      requiresArg: true,
      describe: 'The user whom a service of the machine runs as [default: tinytown, made when it is missing]',
    },
    start: { type: 'boolean', default: true, describe: 'Start it as well; --no-start only enables it' },
    force: { type: 'boolean', describe: 'install: write settings anew that are there and say otherwise' },
    purge: { type: 'boolean', describe: 'uninstall: remove the settings too' },
    'dry-run': { type: 'boolean', describe: 'Only say what would be done' },
    ...jsonFlag,
  },
  choices: ['install', 'uninstall', 'status', 'print'],
  build: (yargs) =>
    yargs.positional('action', { type: 'string', describe: 'install, uninstall, status or print' }),
  examples: [
    [
      'service install --user --cli codex',
      'a worker of yours for the town of this folder, started now and with your session',
    ],
    [
      'service install --name worker-2 --cli claude --town /srv/shop',
      'one of the machine, run as the user tinytown',
    ],
    ['service status --name worker-2', 'exits with 1 when it is not active'],
    ['service uninstall --name worker-2 --purge', 'drains and stops it, and removes its settings'],
  ],
  run: runService,
}

interface Asked extends Invocation {
  readonly context: Context
  readonly manager: ServiceManagerKind
  readonly machine: Machine
  readonly scope: Scope
  readonly json: boolean
}

const ACTIONS: Readonly<Record<string, (asked: Asked) => Promise<number>>> = {
  install,
  uninstall,
  status,
  print,
}

async function runService(invocation: Invocation): Promise<number> {
  const { flags, env, signal } = invocation
  const action = chooseAction(ACTIONS, wordFlag(flags, 'action'))
  const machine = thisMachine({ env, home: env.HOME || homedir(), signal })
  const kind = kindOf(flags)
  const scope = kind === 'launchd' || flags.user === true ? 'user' : 'system'
  const manager = kind === 'launchd' ? launchd(machine) : systemd(scope, machine)
  const asked = { ...invocation, manager, machine, scope, json: flags.json === true } as const
  if (action === install || action === uninstall) mayChange(asked)
  return await action({ ...asked, context: loadContext(flags, env) })
}

function kindOf(flags: Invocation['flags']): 'systemd' | 'launchd' {
  if (flags.systemd === true && flags.launchd === true) {
    throw new WorkerError('usage', 'Expected --systemd or --launchd, got both')
  }
  if (flags.systemd === true) return 'systemd'
  if (flags.launchd === true || process.platform === 'darwin') return 'launchd'
  return 'systemd'
}

const OWN_SERVER =
  'This town has a redis-server of its own, which ends with the service that started it; REDIS_URL names one that stays'

async function install(asked: Asked): Promise<number> {
  const request = requestOf(asked)
  await asked.manager.require()
  const plan = await asked.manager.planInstall(request)
  const notes = asked.context.target.server === null ? plan.notes : [...plan.notes, OWN_SERVER]
  return await carryOut({ ...plan, notes }, 'is installed', asked)
}

async function uninstall(asked: Asked): Promise<number> {
  const { context, flags, manager } = asked
  await manager.require()
  const plan = await manager.planUninstall(context.settings.name, { purge: flags.purge === true })
  return await carryOut(plan, 'is uninstalled', asked)
}

async function print(asked: Asked): Promise<number> {
  const { manager, terminal, json } = asked
  const files = await manager.files(requestOf(asked))
  if (json) terminal.json({ files: files.map((file) => ({ ...file, mode: file.mode.toString(8) })) })
  else for (const { path, text } of files) terminal.line(`==> ${path} <==\n${text}`)
  return EXIT.done
}

const LINES = 10

async function status({ context, manager, terminal, json }: Asked): Promise<number> {
  await manager.require()
  const found = await manager.status(context.settings.name, { lines: LINES })
  const exitCode = found.active ? EXIT.done : EXIT.taskFailed
  if (json) {
    terminal.json({ manager: manager.name, ...found })
    return exitCode
  }
  const yes = (is: boolean) => (is ? 'yes' : 'no')
  terminal.line(found.service)
  terminal.line(`  installed  ${yes(found.installed)}`)
  terminal.line(`  enabled    ${yes(found.enabled)}`)
  terminal.line(`  state      ${found.state}${found.pid ? `, pid ${found.pid}` : ''}`)
  if (found.status) terminal.line(`  says       ${found.status}`)
  if (found.restarts) terminal.line(`  restarts   ${found.restarts}`)
  if (!found.active && found.exitStatus) terminal.line(`  exit       ${found.exitStatus}`)
  for (const line of found.lines) terminal.line(`  │ ${line}`)
  return exitCode
}

/** The settings are checked as a worker would check them: what could not start is not installed. */
function requestOf({ context, flags, env, scope }: Asked): ServiceRequest {
  const { settings, place } = context
  const profile = chosenProfile(context)
  const usual = resolveSettings({ flags: {}, env: {}, file: null }).settings
  return {
    agent: settings.name,
    scope,
    program: [process.execPath, realpathSync(process.argv[1] ?? '')],
    variables: serviceVariables(context, { flags, env }),
    keys: profile.login?.env ?? [],
    folder: place.root,
    stopMs: longestStopMs(settings),
    usualStopMs: longestStopMs(usual),
    runAs: flagValue(flags, 'run-as', schema.text),
    force: flags.force === true,
    start: flags.start !== false,
  }
}

/** Throws where this user may not, before anything is looked at. */
function mayChange({ flags, scope, manager, machine }: Omit<Asked, 'context'>): void {
  if (flags['run-as'] !== undefined && scope === 'user') {
    throw new WorkerError(
      'usage',
      'A service of a user runs as that user: --run-as is for one of the machine',
    )
  }
  if (manager.name === 'launchd' && machine.uid === 0) {
    throw new WorkerError('usage', 'A LaunchAgent belongs to a user, and this is root', {
      remedy: 'Run it as that user, without sudo',
    })
  }
  if (scope === 'system' && machine.uid !== 0 && flags['dry-run'] !== true) {
    throw new WorkerError('no-permission', 'A service of the machine is for root to change', {
      remedy: RIGHTS_REMEDY,
    })
  }
}

/** Says what will be done, then does it. */
async function carryOut(plan: Plan, end: string, { flags, terminal, machine, json }: Asked): Promise<number> {
  const { service: name, steps, notes } = plan
  const dry = flags['dry-run'] === true
  if (!json) {
    if (steps.length === 0) terminal.line(`${name} ${end}: nothing to do`)
    for (const step of steps) terminal.line(`  ${sentenceOf(step)}`)
    for (const note of notes) terminal.note(note)
  }
  const failures: string[] = []
  if (!dry) {
    await doSteps(machine, steps, {
      onStep: (step) => terminal.progress(`… ${sentenceOf(step)}`),
      onPassedOver(why) {
        failures.push(why)
        terminal.note(why)
      },
    })
  }
  if (json) terminal.json({ service: name, done: !dry, steps: steps.map(withoutText), notes, failures })
  else if (!dry && steps.length > 0) terminal.line(`${name} ${end}`)
  return EXIT.done
}

function sentenceOf(step: Step): string {
  switch (step.do) {
    case 'write':
      return `write   ${step.path} (mode ${step.mode.toString(8)})`
    case 'remove':
      return `remove  ${step.path}`
    case 'run':
      return `run     ${step.command.join(' ')}`
  }
}

/** The settings may hold a key. */
function withoutText(step: Step): object {
  if (step.do !== 'write') return step
  const { text: _, mode, ...rest } = step
  return { ...rest, mode: mode.toString(8) }
}
