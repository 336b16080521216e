import { join } from 'node:path'
import { labelOf, launchdPlist } from './launchd-plist.ts'
import { type Machine, requireProgram } from './machine.ts'
import {
  type ServiceFile,
  type ServiceManagerKind,
  type ServiceRequest,
  type Step,
  writeStep,
} from './plan.ts'

/** The LaunchAgents of this user. */
export function launchd(machine: Machine): ServiceManagerKind {
  const domain = `gui/${machine.uid}`
  const targetOf = (agent: string) => `${domain}/${labelOf(agent)}`
  const pathOf = (agent: string) => join(machine.home, 'Library', 'LaunchAgents', `${labelOf(agent)}.plist`)
  const logOf = (agent: string) => join(machine.home, 'Library', 'Logs', 'tinytown-worker', `${agent}.log`)
  const run = (...words: string[]): Step => ({ do: 'run', command: ['launchctl', ...words] })
  const plistOf = (request: ServiceRequest): ServiceFile => ({
    path: pathOf(request.agent),
    text: launchdPlist({ ...request, log: logOf(request.agent) }),
    // It holds the settings, and keys that somebody added.
    mode: 0o600,
  })
  const print = (agent: string) => machine.run(['launchctl', 'print', targetOf(agent)])
  return {
    name: 'launchd',
    require: () => requireProgram('launchctl', 'launchd', machine),
    files: async (request) => [plistOf(request)],
    async planInstall(request) {
      const { agent, force, start } = request
      const file = plistOf(request)
      const { path, text } = file
      const log = logOf(agent)
      const before = await machine.read(path)
      const kept = before !== null && before.text !== text && !force
      const write = writeStep(before, { ...file, text: kept ? before.text : text })
      const loaded = (await print(agent)).ok
      const anew = loaded && !kept && before?.text !== text
      const steps = [
        // launchd makes the file of a log, not its folder.
        ...(write.length > 0 && (await machine.owner(join(log, '..'))) === null
          ? [{ do: 'run', command: ['mkdir', '-p', join(log, '..')] } as const]
          : []),
        ...write,
        ...(anew && start ? [run('bootout', targetOf(agent))] : []),
        ...(start && (!loaded || anew)
          ? [run('enable', targetOf(agent)), run('bootstrap', domain, path)]
          : []),
      ]
      const notes = kept ? [`${path} stays as it is, and says otherwise; --force writes it anew`] : []
      return { service: labelOf(agent), steps, notes }
    },
    async planUninstall(agent, { purge }) {
      const path = pathOf(agent)
      const there = (await machine.read(path)) !== null
      const steps: Step[] = [
        ...((await print(agent)).ok ? [run('bootout', targetOf(agent))] : []),
        ...(there ? [{ do: 'remove', path } as const] : []),
      ]
      const log = purge && (await machine.read(logOf(agent))) !== null
      if (log) steps.push({ do: 'remove', path: logOf(agent) })
      return { service: labelOf(agent), steps, notes: [] }
    },
    async status(agent, { lines }) {
      const printed = await print(agent)
      const said = (what: RegExp) => what.exec(printed.stdout)?.[1]
      const pid = Number(said(/^\s*pid = (\d+)$/m))
      const exitStatus = Number(said(/^\s*last exit code = (\d+)/m))
      const log = (await machine.read(logOf(agent)))?.text.trimEnd() ?? ''
      return {
        service: labelOf(agent),
        installed: (await machine.read(pathOf(agent))) !== null,
        enabled: printed.ok,
        active: pid > 0,
        state: said(/^\s*state = (.+)$/m) ?? 'not loaded',
        ...(pid > 0 ? { pid } : {}),
        ...(Number.isNaN(exitStatus) ? {} : { exitStatus }),
        lines: log === '' ? [] : log.split('\n').slice(-lines),
      }
    },
  }
}
