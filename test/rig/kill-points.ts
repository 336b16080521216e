import type { Script } from '../../src/store/script.ts'
import { claim } from '../../src/store/scripts/claim.ts'
import { leave } from '../../src/store/scripts/leave.ts'
import { register } from '../../src/store/scripts/register.ts'
import { release } from '../../src/store/scripts/release.ts'
import { retry } from '../../src/store/scripts/retry.ts'
import { settle } from '../../src/store/scripts/settle.ts'
import { start } from '../../src/store/scripts/start.ts'
import type { Daemon } from './daemon.ts'
import type { FakeRun } from './fake-agent.ts'
import { commandOf, type FaultyTown, runOf } from './faulty-town.ts'
import { assign } from './scene.ts'

/** By what the processes of a run are known. */
interface Tree {
  readonly runId: string
  readonly pids: readonly number[]
}

/** A daemon that died: the task that it had, and the tree of its run, where there was one. */
interface Killed {
  readonly id: string
  readonly tree: Tree | null
}

/** A point of the data path at which a daemon can be killed. */
export interface KillPoint {
  /** Brings a daemon to the point and kills it there. */
  readonly kill: (faulty: FaultyTown, flags: readonly string[]) => Promise<Killed>
  /** How often the task is run in all until it is completed. */
  readonly runs: number
  /** What its record counts then. A start counts unless the run was given back. */
  readonly attempts: number
}

/** The script is on its way and does not come to Redis. */
const before = (script: Script) => (faulty: FaultyTown) => faulty.proxy.hold(runOf(script)).arrived
/** Redis has done the script, and the daemon does not learn it. */
const after = (script: Script) => (faulty: FaultyTown) => faulty.proxy.swallowReply(runOf(script))

type Place = (faulty: FaultyTown) => Promise<unknown>
type Plot = (stage: Stage, place?: Place) => Promise<Tree>

interface Stage {
  readonly faulty: FaultyTown
  readonly daemon: Daemon
  readonly id: string
}

/** A daemon with a task; it is killed when the plot is over, which ends where it comes to the place. */
function during(plot: Plot, expected: Omit<KillPoint, 'kill'>, place?: Place): KillPoint {
  return {
    ...expected,
    async kill(faulty, flags) {
      const daemon = await faulty.behindProxy(...flags)
      const id = await assign(faulty.town, 'x')
      return await killed(daemon, id, await plot({ faulty, daemon, id }, place))
    },
  }
}

/** Killed when it hands over the task, without a run. */
function handing(at: (faulty: FaultyTown) => Promise<unknown>, attempts = 1): KillPoint {
  return {
    ...{ runs: 1, attempts },
    async kill(faulty, flags) {
      const daemon = await faulty.behindProxy(...flags)
      const there = at(faulty)
      const id = await assign(faulty.town, 'x')
      await there
      return await killed(daemon, id)
    },
  }
}

/** Killed while it registers; the task waits for it. */
function registering(at: Place): KillPoint {
  return {
    ...{ runs: 1, attempts: 1 },
    async kill(faulty, flags) {
      const former = await faulty.behindProxy(...flags)
      former.signal('SIGTERM')
      await former.exit
      const id = await assign(faulty.town, 'x')
      const there = at(faulty)
      const daemon = faulty.startBehindProxy(...flags)
      await there
      return await killed(daemon, id)
    },
  }
}

async function killed(daemon: Daemon, id: string, tree: Tree | null = null): Promise<Killed> {
  daemon.signal('SIGKILL')
  await daemon.exit
  return { id, tree }
}

function treeOf({ hello }: FakeRun, ...others: number[]): Tree {
  return { runId: hello.env.TINYTOWN_RUN_ID ?? '', pids: [hello.pid, ...others] }
}

/** A run whose tree is deep: a helper in a session of its own that does not listen to SIGTERM. */
async function deepRun({ faulty }: Stage): Promise<{ run: FakeRun; tree: Tree }> {
  const run = await faulty.agents.next()
  const helper = await run.grandchild({ keepStdout: false, ignoreTerm: true })
  return { run, tree: treeOf(run, helper) }
}

const run: Plot = async (stage) => (await deepRun(stage)).tree

const exit: Plot = async (stage) => {
  const { run, tree } = await deepRun(stage)
  await run.stdout('too early')
  await run.exit(0)
  return tree
}

const finish: Plot = async ({ faulty }, place) => {
  const there = place?.(faulty)
  const run = await faulty.agents.next()
  await run.stdout('ok')
  await run.exit(0)
  await there
  return treeOf(run)
}

const fail: Plot = async ({ faulty }, place) => {
  const there = place?.(faulty)
  const run = await faulty.agents.next()
  await run.exit(1)
  await there
  return treeOf(run)
}

const spool: Plot = async (stage, place) => {
  const tree = await finish(stage, place)
  await stage.daemon.says(/Redis does not take the result; it is kept in/)
  return tree
}

const drain: Plot = async (stage) => {
  const { tree } = await deepRun(stage)
  stage.daemon.signal('SIGTERM')
  await stage.daemon.says(/draining/)
  return tree
}

const halt: Plot = async (stage, place) => {
  const there = place?.(stage.faulty)
  const tree = await drain(stage)
  stage.daemon.signal('SIGTERM')
  await there
  return tree
}

const end: Plot = async (stage, place) => {
  const tree = await finish(stage)
  await stage.daemon.says(/task completed/)
  const there = place?.(stage.faulty)
  stage.daemon.signal('SIGTERM')
  await there
  return tree
}

const ONCE = { runs: 1, attempts: 1 }
const TWICE = { runs: 2, attempts: 2 }

/** The points of the data path, in its order. */
export const KILL_POINTS: Readonly<Record<string, KillPoint>> = {
  registering: registering(before(register)),
  registered: registering(after(register)),
  waited: handing(({ proxy }) => proxy.swallowReply(commandOf('blmove'), 'task_assign')),
  claiming: handing(before(claim)),
  claimed: handing(({ proxy }) => proxy.swallowReply(runOf(claim), 'task_assign')),
  starting: handing(before(start)),
  started: handing(after(start), 2),
  running: during(run, TWICE),
  'cli-exited': during(exit, TWICE),
  settling: during(finish, TWICE, before(settle)),
  spooled: during(spool, ONCE, before(settle)),
  settled: during(finish, ONCE, after(settle)),
  retrying: during(fail, TWICE, before(retry)),
  retried: during(fail, TWICE, after(retry)),
  draining: during(drain, TWICE),
  releasing: during(halt, TWICE, before(release)),
  released: during(halt, { runs: 2, attempts: 1 }, after(release)),
  leaving: during(end, ONCE, before(leave)),
  left: during(end, ONCE, after(leave)),
}
