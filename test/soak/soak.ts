import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { sleep } from '../../src/base/clock.ts'
import { ageingOf } from './ageing.ts'
import { writesIn } from './append-only-file.ts'
import { type Fault, heal, makeFaults } from './faults.ts'
import { type Figures, figuresOf } from './figures.ts'
import type { Member } from './fleet.ts'
import type { Grounds } from './grounds.ts'
import { endsOf, historyOf } from './history.ts'
import { readLedger } from './ledger.ts'
import { filesLeft, keysLeft, type Process, processesOf, resultsKept } from './leftovers.ts'
import { assignTasks, type Handed } from './load.ts'
import type { SoakOptions } from './options.ts'
import { Dice } from './random.ts'
import { redisMemory, Samples } from './samples.ts'
import { openStage, type Stage } from './stage.ts'
import { violationsIn } from './verdict.ts'

/** How long the last tasks may take once all is healed: three attempts of the longest, one after another in every queue. */
const HEALED_WITHIN_MS = 120_000
/** A daemon that drains has a run to end and, where it does not, 2 s and a grace of 1 s; the guards have 3 s. */
const GONE_WITHIN_MS = 20_000

export interface SoakResult {
  readonly figures: Figures
  /** Null: it was interrupted, so that there is nothing to judge. */
  readonly violations: readonly string[] | null
  /** Where everything lies, when it was kept. */
  readonly folders: readonly string[]
}

interface Controls {
  /** Ends the soak before its time: what is there is told, the last tasks are not waited for. */
  readonly signal: AbortSignal
  /** Gets a line of progress once a second. */
  readonly tell: (line: string) => void
}

/** Runs a soak and leaves nothing of it behind but, where there is something to look at, its folders. */
export async function soak(options: SoakOptions, controls: Controls): Promise<SoakResult> {
  const stage = await openStage(options)
  const { root, redisDir } = stage.grounds
  let keep = true
  try {
    const { figures, violations } = await perform(stage, options, controls)
    keep = options.keep || violations === null || violations.length > 0
    return { figures, violations, folders: keep ? [root, redisDir] : [] }
  } finally {
    await stage.close(keep)
  }
}

async function perform(stage: Stage, options: SoakOptions, { signal, tell }: Controls) {
  const { grounds, members } = stage
  const handed: Handed = { accepted: new Set(), unsure: new Set() }
  const faults = new Map<Fault, number>()
  const samples = new Samples(members)
  await breakAll({ stage, options, signal, handed, faults }, () => {
    const made = [...faults.values()].reduce((sum, count) => sum + count, 0)
    samples.take()
    tell(`${samples.seconds} s: ${handed.accepted.size} tasks accepted, ${made} faults made`)
  })
  tell(signal.aborted ? 'interrupted' : 'the faults are over, waiting for the last tasks')
  await heal({ ...stage, handed, dice: new Dice(options.seed), signal })
  const redis = grounds.redis()
  if (redis === null) throw new Error('Redis is away although the faults are over')
  const healedMs = await untilDone(redis, { grounds, handed, signal })
  const memory = await redisMemory(redis, grounds.redisPid())
  await Promise.all(members.map((member) => ended(member)))
  const processes = await processesLeft(grounds)
  const history = historyOf(writesIn(grounds.redisDir), grounds.keys)
  const runs = readLedger(readFileSync(grounds.ledger, 'utf8'))
  const ageing = ageingOf(samples.spared)
  const found = { history, runs, ageing }
  const evidence = {
    ...found,
    accepted: handed.accepted,
    exits: sumOf(members.map(({ exits }) => exits)),
    sparedStarts: members[0]?.starts ?? 0,
    keys: await keysLeft(redis, grounds.keys),
    files: filesLeft(grounds.root),
    processes,
  }
  const { rssMaxMb } = samples
  const kept = resultsKept(grounds.root).length
  const { root } = grounds
  const told = { ...found, handed, faults, members, root, kept, rssMaxMb, redis: memory, healedMs }
  return {
    figures: figuresOf(told),
    violations: signal.aborted ? null : violationsIn(evidence),
  }
}

interface Breaking {
  readonly stage: Stage
  readonly options: SoakOptions
  readonly signal: AbortSignal
  readonly handed: Handed
  readonly faults: Map<Fault, number>
}

/** Assigns tasks and makes faults until the time is over or something of the soak itself fails. Looks once a second. */
async function breakAll(breaking: Breaking, look: () => void): Promise<void> {
  const { stage, options, signal, handed, faults } = breaking
  const { grounds, members, town, clientProxy } = stage
  const over = new AbortController()
  const end = () => over.abort()
  const timer = setTimeout(end, options.minutes * 60_000)
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  const agents = members.map(({ name }) => name)
  const dice = new Dice(options.seed)
  const looking = async () => {
    while (await sleep(1000, over.signal)) {
      look()
      // Nobody looks what was asked.
      for (const { proxy } of [...members, { proxy: clientProxy }]) proxy.sent.length = 0
    }
  }
  const parts = [
    assignTasks({ grounds, town, agents, dice: dice.fork(), signal: over.signal }, handed),
    makeFaults({ grounds, members, clientProxy, handed, dice: dice.fork(), signal: over.signal }, faults),
    looking(),
  ]
  const ends = await Promise.allSettled(parts.map((part) => part.finally(end)))
  clearTimeout(timer)
  signal.removeEventListener('abort', end)
  for (const one of ends) if (one.status === 'rejected') throw one.reason
}

/** Waits until every task that the town has is at its end and nothing waits. Returns how long that took. */
async function untilDone(
  redis: Redis,
  { grounds, handed, signal }: { grounds: Grounds; handed: Handed; signal: AbortSignal },
): Promise<number> {
  const since = Date.now()
  const isEnd = (state: string | null) => state === null || endsOf({ states: [state] }).length > 0
  let open = [...handed.accepted, ...handed.unsure]
  while (Date.now() - since < HEALED_WITHIN_MS && !signal.aborted) {
    const states = await Promise.all(open.map((id) => redis.hget(grounds.keys.task(id), 'state')))
    open = open.filter((_, at) => !isEnd(states[at] ?? null))
    if (open.length === 0 && (await isQuiet(redis, grounds))) break
    await sleep(200, signal)
  }
  return Date.now() - since
}

async function isQuiet(redis: Redis, grounds: Grounds): Promise<boolean> {
  const waits = (await keysLeft(redis, grounds.keys)).filter((key) => !/(:lease|:watched)$/.test(key))
  return waits.length === 0 && filesLeft(grounds.root).length === 0
}

/** Drains a daemon. One that does not end is aborted, and the verdict sees that by its exit. */
async function ended(member: Member): Promise<void> {
  const late = setTimeout(() => member.signal('SIGABRT'), GONE_WITHIN_MS)
  await member.stop('SIGTERM')
  clearTimeout(late)
}

async function processesLeft({ root }: Grounds): Promise<Process[]> {
  const end = Date.now() + GONE_WITHIN_MS
  for (;;) {
    const left = processesOf(root)
    if (left.length === 0 || Date.now() > end) return left
    await sleep(200)
  }
}

function sumOf(counts: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const sum = new Map<string, number>()
  for (const [key, count] of counts.flatMap((one) => [...one])) sum.set(key, (sum.get(key) ?? 0) + count)
  return sum
}
