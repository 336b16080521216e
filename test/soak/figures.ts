import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Ageing, percentile } from './ageing.ts'
import type { Fault } from './faults.ts'
import type { Member } from './fleet.ts'
import type { History } from './history.ts'
import type { Run } from './ledger.ts'
import type { Handed } from './load.ts'

/** What is told at the end, by section. */
export type Figures = Readonly<Record<string, Readonly<Record<string, string | number>>>>

export interface Told {
  readonly handed: Handed
  readonly history: History
  readonly runs: readonly Run[]
  readonly faults: ReadonlyMap<Fault, number>
  readonly members: readonly Member[]
  readonly root: string
  readonly kept: number
  readonly ageing: Ageing | null
  readonly rssMaxMb: number
  readonly redis: { readonly rssMb: number; readonly keys: number }
  readonly healedMs: number
}

/** Puts the figures together. */
export function figuresOf(told: Told): Figures {
  const { handed, history, runs, faults, members, ageing } = told
  const tasks = [...history.tasks.values()]
  const ended = (state: string) => tasks.filter(({ states }) => states.at(-1) === state).length
  const waits = tasks
    .flatMap(({ fields }) => Number(fields.get('queue_ms') ?? Number.NaN))
    .filter(Number.isFinite)
  const logs = members.map(({ name }) => readFileSync(join(told.root, `${name}.stderr`), 'utf8')).join('')
  const exits = members.flatMap((member) => [...member.exits.values()]).reduce((sum, count) => sum + count, 0)
  return {
    tasks: {
      accepted: handed.accepted.size,
      'reply lost, yet there': [...handed.unsure].filter((id) => history.tasks.has(id)).length,
      completed: ended('completed'),
      failed: ended('failed'),
      cancelled: ended('cancelled'),
      'dead letters': tasks.reduce((sum, { deadLetters }) => sum + deadLetters.length, 0),
      'attempts counted': tasks.reduce((sum, { attempts }) => sum + attempts, 0),
      'runs of the CLI': runs.length,
      'runs cut off': runs.filter(({ exitCode }) => exitCode === null).length,
      'queue wait, p50': `${percentile(waits, 0.5)} ms`,
      'queue wait, p95': `${percentile(waits, 0.95)} ms`,
    },
    faults: Object.fromEntries([...faults].sort(([a], [b]) => a.localeCompare(b))),
    recovery: {
      'starts of daemons': exits,
      registrations: history.registrations,
      'recoveries by peers': history.recoveries,
      'results spooled': occurrences(logs, 'Redis does not take the result'),
      'results kept aside': told.kept,
      'all ended after the last fault in': `${(told.healedMs / 1000).toFixed(1)} s`,
    },
    memory: {
      ...shownAgeing(ageing),
      'any daemon, most': `${Math.round(told.rssMaxMb)} MB`,
      Redis: `${Math.round(told.redis.rssMb)} MB, ${told.redis.keys} keys`,
      'writes that Redis took': history.writes,
    },
  }
}

/** The figures as a table of two columns. */
export function tableOf(figures: Figures): string {
  const rows = Object.entries(figures).flatMap(([section, values]) =>
    Object.entries(values).map(
      ([name, value], at) => [at === 0 ? section : '', name, String(value)] as const,
    ),
  )
  const [first, second] = [0, 1].map((at) => Math.max(...rows.map((row) => row[at as 0 | 1].length)))
  return rows.map(([a, b, c]) => `${a.padEnd(first ?? 0)}  ${b.padEnd(second ?? 0)}  ${c}`).join('\n')
}

function shownAgeing(ageing: Ageing | null): Record<string, string> {
  if (ageing === null) return { 'spared daemon': 'too short to tell' }
  const { rssMb, files } = ageing
  return {
    'spared daemon, first third': `${rssMb.first} MB, ${files.first} files`,
    'spared daemon, last third': `${rssMb.last} MB, ${files.last} files`,
    'spared daemon, most': `${rssMb.max} MB, ${files.max} files`,
  }
}

function occurrences(text: string, what: string): number {
  return text.split(what).length - 1
}
