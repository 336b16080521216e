import { homedir } from 'node:os'
import { describeSearch, findRedisServer } from '../../server/find.ts'
import { bootstrap as installRedis, machineFacts } from '../../server/install.ts'
import { type InstallPlan, planInstall } from '../../server/install-plan.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag } from '../flags.ts'
import type { Terminal } from '../terminal.ts'

/** Finds or installs redis-server. */
export const bootstrap: Command = {
  name: 'bootstrap',
  describe: "Find a redis-server, or install one with the system's package manager",
  settings: [],
  flags: {
    check: { type: 'boolean', describe: 'Only say what would be done; exits with 1 when there is none' },
    ...jsonFlag,
  },
  run: runBootstrap,
}

async function runBootstrap({ flags, terminal, env, signal }: Invocation): Promise<number> {
  const json = flags.json === true
  const { found, rejected } = await findRedisServer({ env, home: homedir() })
  if (found) {
    if (json) terminal.json({ ...found, installed: false })
    else terminal.line(`redis-server ${found.version.text} is there: ${found.path}`)
    return EXIT.done
  }
  const plan = planInstall(machineFacts(env))
  if (flags.check === true) {
    if (json) terminal.json({ path: null, rejected, plan })
    else terminal.line(`${describeSearch(rejected)}.`)
    if (plan) tellPlan(terminal, plan)
    return EXIT.taskFailed
  }
  if (plan?.blocked === null) tellPlan(terminal, plan)
  const installed = await installRedis({ onLine: terminal.note, signal, env })
  if (json) terminal.json(installed)
  else terminal.line(`redis-server ${installed.version.text} is installed: ${installed.path}`)
  return EXIT.done
}

function tellPlan(terminal: Terminal, { steps, blocked, byHand }: InstallPlan): void {
  if (blocked !== null) {
    terminal.note(`Not possible here: ${blocked}. By hand: ${byHand}`)
    return
  }
  const asRoot = steps.some(({ command }) => command === 'sudo')
  terminal.note(asRoot ? 'To be run, as root by sudo:' : 'To be run:')
  for (const { command, args } of steps) terminal.note(`  ${[command, ...args].join(' ')}`)
}
