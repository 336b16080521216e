/** `system`: of the machine, run by root's manager. `user`: of one user, run by that user's manager. */
export type Scope = 'system' | 'user'

/** The user whom a system-wide service runs as, unless told otherwise. */
export const SERVICE_USER = 'tinytown'
export const UNIT_TEMPLATE = 'tinytown-worker@.service'

export interface UnitOptions {
  readonly scope: Scope
  /** The beginning of the command line: the program, or Node.js and the program's file. */
  readonly program: readonly string[]
  /** How long an orderly stop may take, in milliseconds. */
  readonly stopMs: number
  /** Whether this systemd knows growing pauses between restarts; before 254 it complains of them. */
  readonly growingPauses: boolean
}

/** The name of the unit of an agent. */
export function unitOf(agent: string): string {
  return UNIT_TEMPLATE.replace('@', `@${agent}`)
}

/** The template unit of all agents of a machine or user. */
export function systemdUnit({ scope, program, stopMs, growingPauses }: UnitOptions): string {
  const user = scope === 'user'
  const folder = user ? '%E/tinytown-worker' : '/etc/tinytown-worker'
  const enable = `systemctl ${user ? '--user ' : ''}enable --now tinytown-worker@worker-1`
  return lines(
    `# One instance per agent: ${enable}`,
    `# Its settings stand in ${user ? '~/.config' : '/etc'}/tinytown-worker/worker-1.env; \`tinytown-worker service install\` writes both.`,
    '[Unit]',
    'Description=Tinytown worker %i',
    ...(user ? [] : ['After=network-online.target', 'Wants=network-online.target']),
    '# It never gives up: what a restart cannot mend has an exit status of its own below.',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=notify',
    '# The worker speaks through systemd-notify, a child.',
    'NotifyAccess=all',
    ...(user ? [] : [`User=${SERVICE_USER}`]),
    'WorkingDirectory=~',
    'Environment=TINYTOWN_AGENT_NAME=%i TINYTOWN_CONNECT_TIMEOUT=60s',
    `EnvironmentFile=${folder}/%i.env`,
    `ExecStart=${[...program, 'run'].map(quoteWord).join(' ')}`,
    'ExecReload=/bin/kill -HUP $MAINPID',
    'SyslogIdentifier=tinytown-worker',
    '',
    '# SIGTERM drains. The worker ends its runs itself; systemd kills what is left when it is gone.',
    'KillMode=mixed',
    '# The drain time-out (5m by default), and the end of the child tree. A worker with a longer one asks for more time.',
    `TimeoutStopSec=${Math.ceil(stopMs / 1000)}`,
    'Restart=on-failure',
    'RestartSec=5',
    ...(growingPauses ? ['RestartSteps=6', 'RestartMaxDelaySec=300'] : []),
    '# Usage, name in use, login refused, bad configuration: a restart would not help.',
    'RestartPreventExitStatus=2 75 77 78',
    '# Fed while the claim loop turns and Redis answers, or a run is in hand. A wedged process could not drain.',
    'WatchdogSec=60',
    'WatchdogSignal=SIGKILL',
    '# A coding CLI that takes too much memory is ended alone.',
    'OOMPolicy=continue',
    '',
    ...(user ? HARDENING_FOR_ALL : [...HARDENING_OF_SYSTEM, ...HARDENING_FOR_ALL]),
    '',
    '[Install]',
    `WantedBy=${user ? 'default.target' : 'multi-user.target'}`,
  )
}

/** What works without privileges, too. */
const HARDENING_FOR_ALL = [
  'NoNewPrivileges=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'LockPersonality=yes',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
  'SystemCallArchitectures=native',
  'SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap',
  'SystemCallErrorNumber=EPERM',
]

const HARDENING_OF_SYSTEM = [
  '# A coding CLI works in its workspace and its home, wherever they are, and V8 writes code: what would stand in their way is left',
  '# out. So are user namespaces and mounts, and whatever covers a part of /proc: the sandboxes of the CLIs need them.',
  'ProtectSystem=full',
  'PrivateTmp=yes',
  'PrivateDevices=yes',
  'ProtectKernelModules=yes',
  'ProtectControlGroups=yes',
  'ProtectClock=yes',
  'ProtectHostname=yes',
  'CapabilityBoundingSet=',
  'KeyringMode=private',
  'RemoveIPC=yes',
]

/** Where one agent differs from the template; null when it does not. */
export function systemdDropIn({ user, stopMs }: { user?: string; stopMs?: number }): string | null {
  const settings = [
    ...(user === undefined ? [] : [`User=${user}`]),
    ...(stopMs === undefined ? [] : [`TimeoutStopSec=${Math.ceil(stopMs / 1000)}`]),
  ]
  return settings.length === 0 ? null : lines('[Service]', ...settings)
}

/** A word of a command line of systemd: no specifier and no variable in it is expanded. */
function quoteWord(word: string): string {
  const plain = word.replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[\w@%$+=:,./-]+$/.test(plain) ? plain : `"${plain.replace(/["\\]/g, '\\$&')}"`
}

function lines(...all: readonly string[]): string {
  return `${all.join('\n')}\n`
}
