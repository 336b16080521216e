import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'
import { sleep } from '../../src/base/clock.ts'
import { startProxy } from '../rig/proxy.ts'
import { ageingOf, type Sample, sampleOf } from './ageing.ts'
import { writesIn } from './append-only-file.ts'
import { type Fault, type FaultsOptions, heal, makeFaults } from './faults.ts'
import { type Figures, figuresOf } from './figures.ts'
import { type Member, startFleet } from './fleet.ts'
import { type Grounds, openGrounds } from './grounds.ts'
import { endsOf, historyOf } from './history.ts'
import { readLedger } from './ledger.ts'
import { filesLeft, keysLeft, processesOf, resultsKept } from './leftovers.ts'
import { assignTasks, type Handed } from './load.ts'
import type { SoakOptions } from './options.ts'
import { Dice } from './random.ts'
import { violationsIn } from './verdict.ts'

/** How long the last tasks may take once all is healed: three attempts of the longest, one after another in every queue. */
const HEALED_WITHIN_MS = 120_000
/** A daemon that drains has a run to end and, where it does not, 2 s and a grace of 1 s; the guards have 3 s. */
const GONE_WITHIN_MS = 20_000

export interface SoakResult {
  readonly figures: Figures
  readonly violations: readonly string[]
  /** Where everything lies, when it was kept. */
  readonly folders: readonly string[]
}

/** Runs a soak. `tell` gets a line of progress once a second. The signal ends the faults; the healing and the verdict follow. */
export async function soak(
  options: SoakOptions,
  { signal, tell }: { signal: AbortSignal; tell: (line: string) => void },
): Promise<SoakResult> {
  const grounds = await openGrounds()
  const dice = new Dice(options.seed)
  const fates = new Dice(options.seed + 1)
  // Every third one stays away for so long that its peers recover what it had.
  const restartAfterMs = () => (fates.chance(0.33) ? fates.between(7000, 9000) : fates.spread(50, 1500))
  const members = await startFleet(grounds, options.agents, restartAfterMs)
  const clientProxy = await startProxy({ host: '127.0.0.1', port: grounds.redisPort })
  const handed: Handed = { accepted: new Set(), unsure: new Set() }
  const faults = new Map<Fault, number>()
  const samples = new Samples(members)
  const over = new AbortController()
  const end = () => over.abort()
  const timer = setTimeout(end, options.minutes * 60_000)
  signal.addEventListener('abort', end)
  const faulty: FaultsOptions = { grounds, members, clientProxy, handed, dice, signal: over.signal }
  let keep = true
  try {
    const telling = tellUntil(over.signal, () => {
      const made = [...faults.values()].reduce((sum, count) => sum + count, 0)
      samples.take()
      // Nobody looks what was asked.
      for (const { proxy } of [...members, { proxy: clientProxy }]) proxy.sent.length = 0
      tell(`${samples.seconds} s: ${handed.accepted.size} tasks accepted, ${made} faults made`)
    })
    const agents = members.map(({ name }) => name)
    const load = {
      grounds,
      proxy: clientProxy,
      agents,
      dice: new Dice(options.seed + 2),
      signal: over.signal,
    }
    await Promise.all([assignTasks(load, handed), makeFaults(faulty, faults), telling])
    tell('the faults are over, waiting for the last tasks')
    await heal(faulty)
    const healedMs = await untilDone(grounds, handed)
    const memory = await redisMemory(grounds)
    await Promise.all(members.map((member) => ended(member)))
    const processes = await processesLeft(grounds)
    const redis = grounds.redis()
    const keys = redis ? await keysLeft(redis, grounds.keys) : ['all: Redis is away']
    const history = historyOf(writesIn(grounds.redisDir), grounds.keys)
    const runs = readLedger(readFileSync(grounds.ledger, 'utf8'))
    const ageing = ageingOf(samples.spared)
    const evidence = {
      accepted: handed.accepted,
      history,
      runs,
      exits: sumOf(members.map(({ exits }) => exits)),
      keys,
      files: filesLeft(grounds.root),
      processes,
      ageing,
    }
    const kept = resultsKept(grounds.root).length
    const { rssMaxMb } = samples
    const { root } = grounds
    const told = {
      handed,
      history,
      runs,
      faults,
      members,
      root,
      kept,
      ageing,
      rssMaxMb,
      redis: memory,
      healedMs,
    }
    const violations = violationsIn(evidence)
    keep = options.keep || violations.length > 0
    return { figures: figuresOf(told), violations, folders: keep ? [root, grounds.redisDir] : [] }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
    await Promise.all(members.map((member) => member.stop('SIGKILL')))
    for (const { proxy } of [...members, { proxy: clientProxy }]) await proxy.close()
    await grounds.close(keep)
  }
}

/** What the daemons hold, looked at again and again. */
class Samples {
  readonly #members: readonly Member[]
  readonly #since = Date.now()
  readonly spared: Sample[] = []
  rssMaxMb = 0

  constructor(members: readonly Member[]) {
    this.#members = members
  }

  get seconds(): number {
    return Math.round((Date.now() - this.#since) / 1000)
  }

  take(): void {
    for (const { pid, isSpared } of this.#members) {
      const sample = pid === null ? null : sampleOf(pid, this.seconds)
      if (sample === null) continue
      this.rssMaxMb = Math.max(this.rssMaxMb, sample.rssMb)
      if (isSpared) this.spared.push(sample)
    }
  }
}

async function tellUntil(signal: AbortSignal, look: () => void): Promise<void> {
  while (await sleep(1000, signal)) look()
}

/** Waits until every task that the town has is at its end and nothing waits. Returns how long that took. */
async function untilDone(grounds: Grounds, handed: Handed): Promise<number> {
  const since = Date.now()
  const isEnd = (state: string | null) => state === null || endsOf({ states: [state] }).length > 0
  let open = [...handed.accepted, ...handed.unsure]
  while (Date.now() - since < HEALED_WITHIN_MS) {
    const redis = grounds.redis()
    if (redis) {
      const states = await Promise.all(open.map((id) => redis.hget(grounds.keys.task(id), 'state')))
      open = open.filter((_, at) => !isEnd(states[at] ?? null))
      if (open.length === 0 && (await isQuiet(redis, grounds))) break
    }
    await sleep(200)
  }
  return Date.now() - since
}

async function isQuiet(redis: Redis, grounds: Grounds): Promise<boolean> {
  const waits = (await keysLeft(redis, grounds.keys)).filter((key) => !/(:lease|:watched)$/.test(key))
  return waits.length === 0 && filesLeft(grounds.root).length === 0
}

/** Drains a daemon; one that does not end is killed, which the verdict sees by what is left of it. */
async function ended(member: Member): Promise<void> {
  const late = setTimeout(() => member.signal('SIGABRT'), GONE_WITHIN_MS)
  await member.stop('SIGTERM')
  clearTimeout(late)
}

async function processesLeft({ root }: Grounds): Promise<string[]> {
  const end = Date.now() + GONE_WITHIN_MS
  for (;;) {
    const left = processesOf(root)
    if (left.length === 0 || Date.now() > end) return left
    await sleep(200)
  }
}

async function redisMemory(grounds: Grounds): Promise<{ rssMb: number; keys: number }> {
  const keys = (await grounds.redis()?.dbsize()) ?? 0
  return { rssMb: sampleOf(grounds.redisPid(), 0)?.rssMb ?? 0, keys }
}

function sumOf(counts: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const sum = new Map<string, number>()
  for (const [key, count] of counts.flatMap((one) => [...one])) sum.set(key, (sum.get(key) ?? 0) + count)
  return sum
}
