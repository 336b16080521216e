import type { Context } from '../../client/context.ts'
import { type Check, type CheckOptions, failed } from '../check.ts'
import { machineChecks, townChecks } from '../checks.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag } from '../flags.ts'
import type { Terminal } from '../terminal.ts'

/** Checks what a first run needs. */
export const doctor: Command = {
  name: 'doctor',
  describe: 'Check everything that a worker needs; exits with 1 when something is missing',
  settings: ['town', 'redis'],
  flags: {
    cli: { type: 'string', requiresArg: true, describe: 'The CLI to check [default: that of the settings]' },
    ...jsonFlag,
  },
  run: runDoctor,
}

async function runDoctor({ flags, env, terminal, signal }: Invocation): Promise<number> {
  const options: CheckOptions = { env, signal }
  const context = contextOrProblem(flags, env)
  const json = flags.json === true || ('place' in context && context.settings.json)
  const toDo =
    'place' in context
      ? [...machineChecks(context, options), ...townChecks(context, options)]
      : [...machineChecks(null, options), async () => context]
  const checks: Check[] = []
  for (const check of toDo) {
    for (const result of [await check()].flat()) {
      checks.push(result)
      if (!json) print(terminal, result)
    }
  }
  const failures = checks.filter(({ status }) => status === 'fail').length
  if (json) terminal.json({ ok: failures === 0, checks })
  else terminal.note(failures === 0 ? 'Ready.' : `${failures} of ${checks.length} checks failed.`)
  return failures === 0 ? EXIT.done : EXIT.taskFailed
}

function contextOrProblem(flags: Invocation['flags'], env: NodeJS.ProcessEnv): Context | Check {
  try {
    return loadContext(flags, env)
  } catch (error) {
    return failed('Settings', error)
  }
}

const MARKS = { ok: ['green', 'ok  '], warn: ['yellow', 'warn'], fail: ['red', 'fail'] } as const

function print(terminal: Terminal, { name, status, detail, remedy }: Check): void {
  const [style, mark] = MARKS[status]
  terminal.line(`${terminal.style(style, mark)}  ${name.padEnd(14)} ${detail.replaceAll('\n', '\n      ')}`)
  if (remedy) terminal.line(`      → ${remedy.replaceAll('\n', '\n        ')}`)
}
