import { WorkerError } from '../domain/errors.ts'
import type { Machine } from './machine.ts'
import { properties, type ServiceStatus } from './plan.ts'
import type { Scope } from './systemd-unit.ts'

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

/** How a service is, as systemd and its journal tell. Throws `service-failed` where they do not. */
export async function statusOf(
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
