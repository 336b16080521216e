import { readFileSync } from 'node:fs'
import { sleep } from '../../src/base/clock.ts'
import { findAgent } from '../../src/store/agents.ts'
import { interruptAgent, resumeAgent } from '../../src/store/steer.ts'
import { cancelTask } from '../../src/store/tasks.ts'
import { census } from '../rig/census.ts'
import type { Match, RedisProxy } from '../rig/proxy.ts'
import { LEASE_MS, type Member } from './fleet.ts'
import type { Grounds } from './grounds.ts'
import { type Run, readLedger } from './ledger.ts'
import type { Handed } from './load.ts'
import type { Dice } from './random.ts'

/** How often each fault is made, in relation to the others. */
const WEIGHTS = {
  'kill -9 of a daemon': 6,
  'kill -9 of a CLI': 6,
  'kill -9 of Redis': 2,
  'SIGSTOP of a daemon': 3,
  'SIGTERM of a daemon': 3,
  'second daemon of a name': 3,
  'connections of one cut': 4,
  'connections of all cut': 1,
  'black hole': 2,
  'reply lost': 8,
  'command held': 5,
  'agent paused': 2,
  'task cancelled': 6,
} as const
export type Fault = keyof typeof WEIGHTS

export interface FaultsOptions {
  readonly grounds: Grounds
  readonly members: readonly Member[]
  /** What stands between the library and Redis. */
  readonly clientProxy: RedisProxy
  readonly handed: Handed
  readonly dice: Dice
  readonly signal: AbortSignal
}

/** What is of interest: not the waits and pings, of which there are more than of all others. */
const isScript: Match = ([name = '']) => /^eval/i.test(name)

/** Makes faults until the signal comes, and counts them in `made`. */
export async function makeFaults(options: FaultsOptions, made: Map<Fault, number>): Promise<void> {
  const { dice, signal } = options
  const failed = new AbortController()
  const open: Promise<void>[] = []
  const make = async (fault: Fault, own: Dice) => {
    if (await MAKERS[fault]({ ...options, dice: own })) made.set(fault, (made.get(fault) ?? 0) + 1)
  }
  while (await sleep(dice.between(200, 1800), signal, failed.signal)) {
    const fault = dice.weighted(WEIGHTS)
    open.push(make(fault, dice.fork()).catch((error) => failed.abort(error)))
  }
  await Promise.all(open)
  failed.signal.throwIfAborted()
}

/** Each says whether there was something to do it to. What lasts ends at once when the signal comes. */
const MAKERS: Readonly<Record<Fault, (options: FaultsOptions) => Promise<boolean>>> = {
  'kill -9 of a daemon': async ({ members, dice }) => signalOne(members, dice, 'SIGKILL'),
  'SIGTERM of a daemon': async ({ members, dice }) => signalOne(members, dice, 'SIGTERM'),
  async 'SIGSTOP of a daemon'({ members, dice, signal }) {
    const pid = dice.pick(members)?.pid ?? null
    if (pid === null) return false
    send(pid, 'SIGSTOP')
    await sleep(dice.spread(200, LEASE_MS + 7000), signal)
    send(pid, 'SIGCONT')
    return true
  },
  async 'second daemon of a name'({ members, dice, signal }) {
    await dice.pick(members.filter(({ isSpared }) => !isSpared))?.rival(dice.between(1000, 8000), signal)
    return true
  },
  async 'kill -9 of a CLI'({ grounds, dice }) {
    const runs = readLedger(readFileSync(grounds.ledger, 'utf8')).slice(-20)
    // The id of a process that is gone may be another's by now.
    const lives = (run: Run) => census({ runId: run.id }).some(({ pid }) => pid === run.pid)
    const run = dice.pick(runs.filter((one) => one.exitCode === null && lives(one)))
    return run !== undefined && send(run.pid, 'SIGKILL')
  },
  async 'kill -9 of Redis'({ grounds, dice, signal }) {
    if (grounds.redis() === null) return false
    await grounds.crashRedis(dice.between(0, 6000), (ms) => sleep(ms, signal))
    return true
  },
  async 'connections of one cut'(options) {
    proxyOf(options).cut()
    return true
  },
  async 'connections of all cut'({ members, clientProxy }) {
    for (const { proxy } of [...members, { proxy: clientProxy }]) proxy.cut()
    return true
  },
  async 'black hole'(options) {
    const { dice, signal } = options
    const proxy = proxyOf(options)
    const end = Date.now() + dice.spread(100, 6000)
    // What connects meanwhile falls silent as well.
    do proxy.blackHole()
    while (Date.now() < end && (await sleep(100, signal)))
    return true
  },
  async 'reply lost'(options) {
    const { dice, signal } = options
    const lost = proxyOf(options).loseReply(isScript, dice.chance(0.3) ? 3 : 0)
    return await isInTime(lost, signal)
  },
  async 'command held'(options) {
    const { dice, signal } = options
    const held = proxyOf(options).hold(isScript)
    const isHeld = await isInTime(held.arrived, signal)
    await sleep(dice.spread(50, LEASE_MS * 2), signal)
    held.release()
    return isHeld
  },
  async 'agent paused'({ grounds, members, dice, signal }) {
    const name = dice.pick(members)?.name ?? ''
    const isPaused = await steer(grounds, name, interruptAgent)
    if (!isPaused) return false
    await sleep(dice.between(500, 4000), signal)
    // Redis may be away.
    for (let tries = 0; tries < 10 && !(await steer(grounds, name, resumeAgent)); tries += 1)
      await sleep(1000, signal)
    return true
  },
  async 'task cancelled'({ grounds, handed, dice }) {
    const id = dice.pick([...handed.accepted].slice(-12))
    const redis = grounds.redis()
    if (id === undefined || redis === null) return false
    const answer = await cancelTask(redis, grounds.keys, id, 'Cancelled by the soak').catch(() => null)
    return answer?.kind === 'cancelled'
  },
}

/** Lets everything through and everybody go on. */
export async function heal({ grounds, members, clientProxy }: FaultsOptions): Promise<void> {
  for (const { proxy } of [...members, { proxy: clientProxy }]) {
    proxy.heal()
    proxy.cut()
  }
  for (const member of members) {
    member.signal('SIGCONT')
    member.hurry()
    await steer(grounds, member.name, resumeAgent)
  }
}

/** Whether it happens before the signal comes, and within half a minute. */
async function isInTime(happens: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  const stop = new AbortController()
  const isFirst = await Promise.race([
    happens.then(() => true),
    sleep(30_000, signal, stop.signal).then(() => false),
  ])
  stop.abort()
  return isFirst
}

async function steer(grounds: Grounds, name: string, order: typeof resumeAgent): Promise<boolean> {
  const redis = grounds.redis()
  if (redis === null) return false
  try {
    const { id } = await findAgent(redis, grounds.keys, name)
    return (await order(redis, grounds.keys, id)).kind === 'done'
  } catch {
    return false
  }
}

function proxyOf({ members, clientProxy, dice }: FaultsOptions): RedisProxy {
  return dice.pick([clientProxy, ...members.map(({ proxy }) => proxy)]) ?? clientProxy
}

function signalOne(members: readonly Member[], dice: Dice, signal: NodeJS.Signals): boolean {
  const pid = dice.pick(members.filter(({ isSpared }) => !isSpared))?.pid ?? null
  return pid !== null && send(pid, signal)
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}
