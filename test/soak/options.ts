import { parseArgs } from 'node:util'

export interface SoakOptions {
  /** How long faults are made; the healing comes on top. */
  readonly minutes: number
  readonly seed: number
  readonly agents: number
  readonly json: boolean
  /** Leave the folder of the soak, with all logs, also when nothing is wrong. */
  readonly keep: boolean
}

export const USAGE = `npm run soak -- [--minutes 5] [--seed N] [--agents 4] [--json] [--keep]
  --minutes  how long faults are made (also SOAK_MINUTES); a fraction is allowed
  --seed     the choice of tasks and faults of an earlier soak; how they meet in time differs
  --agents   how many daemons, at least 2: somebody has to recover what the others left
  --json     the figures as JSON on stdout
  --keep     leave the folder with ledger, logs and append-only file; it always stays when something is wrong`

/** Reads the command line, or says what is wrong with it: nothing ('') where it asks for help. */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): SoakOptions | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: env.SOAK_MINUTES ?? '5' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
        agents: { type: 'string', default: '4' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return ''
    return {
      minutes: numberOf('minutes', values.minutes, { from: 0.1, to: 24 * 60 }),
      seed: numberOf('seed', values.seed, { from: 0, to: 2 ** 32 - 1, whole: true }),
      agents: numberOf('agents', values.agents, { from: 2, to: 64, whole: true }),
      json: values.json,
      keep: values.keep,
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function numberOf(name: string, text: string, rule: { from: number; to: number; whole?: boolean }): number {
  const value = Number(text)
  const fits = text.trim() !== '' && value >= rule.from && value <= rule.to
  if (fits && (!rule.whole || Number.isInteger(value))) return value
  const kind = rule.whole ? 'a whole number' : 'a number'
  throw new Error(`Expected --${name} to be ${kind} from ${rule.from} to ${rule.to}, got "${text}"`)
}
