/** What a plan depends on; taken as an argument so that every machine can be described in a test. */
export interface MachineFacts {
  platform: NodeJS.Platform
  uid: number
  /** Whether a command of this name is on PATH. */
  has: (command: string) => boolean
  /** Whether a file exists. */
  exists: (path: string) => boolean
}

export interface InstallStep {
  command: string
  args: string[]
  /** A failure is shown and passed over. */
  optional: boolean
}

export interface InstallPlan {
  manager: 'apt-get' | 'dnf' | 'apk' | 'brew'
  steps: InstallStep[]
  /** What the user should know beforehand; shown as the first line. */
  note: string
  /** The same by hand, for the remedy. */
  byHand: string
  /** Why the plan cannot be run as this user, or null. */
  blocked: string | null
}

interface Recipe {
  note: string
  byHand: string
  steps: InstallStep[]
}

const DEBIAN_SERVICE = '/lib/systemd/system/redis-server.service'

// The package's set-up script starts redis-server on port 6379. Nobody asked for that, and where the port is taken the whole
// installation fails. systemctl with SYSTEMD_OFFLINE=1 leaves the service manager alone (systemd.io/ENVIRONMENT); without
// systemd, invoke-rc.d asks runlevel(8), which answers with RUNLEVEL, and no service starts in runlevel 1.
const NO_SERVICE = ['SYSTEMD_OFFLINE=1', 'RUNLEVEL=1']

/**
 * How to install a Redis server here, or null when none of the known package managers exists. Pure.
 * apt-get, dnf, apk and brew, the first that is on PATH; through sudo when the manager needs root and the user is not.
 */
export function planInstall(facts: MachineFacts): InstallPlan | null {
  // Homebrew is the one of these that belongs on macOS; an apt-get there is some other tool's.
  if (facts.platform === 'darwin') return facts.has('brew') ? asUser('brew', brewRecipe(), facts) : null
  if (facts.has('apt-get')) return asRoot('apt-get', aptRecipe(facts), facts)
  if (facts.has('dnf')) return asRoot('dnf', dnfRecipe(), facts)
  if (facts.has('apk')) return asRoot('apk', apkRecipe(), facts)
  if (facts.has('brew')) return asUser('brew', brewRecipe(), facts)
  return null
}

function aptRecipe(facts: MachineFacts): Recipe {
  const isUpdate = facts.exists(DEBIAN_SERVICE)
  const environment = ['DEBIAN_FRONTEND=noninteractive', ...(isUpdate ? [] : NO_SERVICE)]
  // A second apt waits for the first instead of failing; unattended upgrades hold this lock for minutes after boot.
  const apt = (...args: string[]) => [
    ...environment,
    'apt-get',
    '-q',
    '-o',
    'DPkg::Lock::Timeout=120',
    ...args,
  ]
  const steps = [
    // One broken third-party source must not stop the installation; if the lists are unusable, the next step says so.
    step('env', apt('update'), { optional: true }),
    step('env', apt('install', '--yes', '--no-install-recommends', 'redis-server')),
  ]
  const byHand = 'apt-get update && apt-get install redis-server'
  if (isUpdate) {
    const note = 'apt-get updates the package redis-server; its system service is restarted if it runs.'
    return { note, byHand, steps }
  }
  return {
    note: 'apt-get installs the package redis-server; its system service on port 6379 is neither started nor enabled.',
    byHand,
    // Otherwise the service would start at the next boot.
    steps: [...steps, step('update-rc.d', ['redis-server', 'disable'], { optional: true })],
  }
}

// dnf waits for another dnf by itself, and Fedora's presets keep the service off.
function dnfRecipe(): Recipe {
  return {
    note: 'dnf installs the package redis; its system service is not started.',
    byHand: 'dnf install redis',
    steps: [step('dnf', ['install', '--assumeyes', 'redis'])],
  }
}

function apkRecipe(): Recipe {
  return {
    note: 'apk installs the package redis; its system service is not started.',
    byHand: 'apk add redis',
    steps: [step('apk', ['--wait', '120', 'add', '--no-cache', 'redis'])],
  }
}

function brewRecipe(): Recipe {
  return {
    note: 'brew installs the formula redis; its service is not started.',
    byHand: 'brew install redis',
    steps: [step('brew', ['install', 'redis'])],
  }
}

function step(command: string, args: string[], { optional = false } = {}): InstallStep {
  return { command, args, optional }
}

function asRoot(manager: InstallPlan['manager'], recipe: Recipe, facts: MachineFacts): InstallPlan {
  if (facts.uid === 0) return { manager, ...recipe, blocked: null }
  const steps = recipe.steps.map(({ command, args, optional }) =>
    step('sudo', [command, ...args], { optional }),
  )
  const blocked = facts.has('sudo')
    ? null
    : `${manager} needs root, this is user id ${facts.uid}, and there is no sudo on PATH`
  const byHand = recipe.byHand.replaceAll(manager, `sudo ${manager}`)
  return { manager, note: recipe.note, steps, byHand: facts.has('sudo') ? byHand : recipe.byHand, blocked }
}

function asUser(manager: InstallPlan['manager'], recipe: Recipe, facts: MachineFacts): InstallPlan {
  const blocked = facts.uid === 0 ? `${manager} refuses to run as root` : null
  return { manager, ...recipe, blocked }
}
