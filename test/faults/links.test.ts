import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { claim } from '../../src/store/scripts/claim.ts'
import { useClosers } from '../rig/daemon.ts'
import { commandOf, type FaultyTown, runOf, useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign, ended } from '../rig/scene.ts'
import { until } from '../rig/until.ts'
import { isWrittenOnce } from '../rig/written-once.ts'

const newTown = useFaultyTown(useClosers())

const WORKER = ['--cli', 'fake', '--kill-grace', '500ms']

/** Does the task that comes next, and returns its id. */
async function doNext({ agents }: FaultyTown): Promise<string> {
  const run = await agents.next()
  await run.stdout('ok')
  await run.exit(0)
  return run.hello.env.TINYTOWN_TASK_ID ?? ''
}

/** Returns when as much time has passed as a command takes that cannot reach Redis: twice as long as one wait for a message. */
async function longerThanAWait({ town }: FaultyTown): Promise<void> {
  expect((await town.cli('--cli', 'fake', '--name', 'late', '--connect-timeout', '2s')).exit).toBe(69)
}

describe('the reply to a wait for a message', () => {
  it.each([
    ['lost', 0],
    ['cut in half', 20],
  ])(
    '1: that is %s with its connection: both messages run once, in order, without a restart',
    async (_, bytes) => {
      const faulty = await newTown()
      const { town, proxy } = faulty
      await faulty.behindProxy(...WORKER)
      const lost = proxy.loseReply(commandOf('blmove'), bytes, 'task_assign')
      const first = await assign(town, 'first')
      const second = await assign(town, 'second')
      await lost
      expect([await doNext(faulty), await doNext(faulty)]).toEqual([first, second])
      expect(await ended(town, second)).toMatchObject({ state: 'completed', attempts: 1 })
      await isWrittenOnce(faulty, first, 'ok', { runs: 2, tasks: 2 })
    },
  )

  it('1: and the reply to the claim behind it: the next claim hands the same message over', async () => {
    const faulty = await newTown()
    const { town, proxy } = faulty
    await faulty.behindProxy(...WORKER)
    const lost = proxy.loseReply(runOf(claim), 0, 'task_assign')
    const id = await assign(town, 'x')
    await lost
    await doNext(faulty)
    await isWrittenOnce(faulty, id, 'ok')
  })
})

describe('a connection that waits for a message and is silent', () => {
  /** A task that Redis handed over on a connection that nobody hears. */
  async function takenInTheDark(): Promise<{ faulty: FaultyTown; id: string; connections: number }> {
    const faulty = await newTown()
    const { town, proxy } = faulty
    await faulty.behindProxy(...WORKER)
    const { connections } = proxy
    const waits = () => proxy.sent.filter(commandOf('blmove')).length
    const before = waits()
    // At the beginning of a wait: it is not over before the task comes.
    await until(() => waits() > before, 'a wait begins')
    proxy.blackHole({ only: commandOf('blmove') })
    const { inFlight } = town.keys.agent((await agentOf(town)).id)
    const id = await assign(town, 'x')
    const redis = await town.redis()
    await until(async () => (await redis.llen(inFlight)) === 1, 'Redis has handed it over')
    return { faulty, id, connections }
  }

  it('6: is given up within its limit, and the task runs once over a new one', async () => {
    const { faulty, id, connections } = await takenInTheDark()
    await doNext(faulty)
    await isWrittenOnce(faulty, id, 'ok')
    expect(faulty.proxy.connections).toBeGreaterThan(connections)
  })

  it('6: and is heard again: the task runs once over the same one', async () => {
    const { faulty, id, connections } = await takenInTheDark()
    faulty.proxy.heal()
    await doNext(faulty)
    await isWrittenOnce(faulty, id, 'ok')
    expect(faulty.proxy.connections).toBe(connections)
  })
})

describe('a Redis that nobody reaches', () => {
  it('7: for longer than a wait for a message: the worker goes on without a restart', async () => {
    const faulty = await newTown()
    const worker = await faulty.town.worker(...WORKER)
    await faulty.killRedis()
    await worker.says(/Redis is away/)
    await longerThanAWait(faulty)
    await faulty.startRedis()
    const id = await assign(faulty.town, 'x')
    await doNext(faulty)
    await isWrittenOnce(faulty, id, 'ok')
  })
})

describe('what Redis answers instead of doing it', () => {
  it('27: UNBLOCKED in the middle of a wait is one more wait', async () => {
    const faulty = await newTown()
    const { town } = faulty
    await town.worker(...WORKER)
    const redis = await town.redis()
    await until(async () => {
      const clients = String(await redis.client('LIST')).split('\n')
      const waiting = clients.find((line) => /cmd=blmove/.test(line) && /flags=b/.test(line))
      const id = Number(/^id=(\d+)/.exec(waiting ?? '')?.[1])
      return id > 0 && (await redis.client('UNBLOCK', id, 'ERROR')) === 1
    }, 'a wait is unblocked')
    const id = await assign(town, 'x')
    await doNext(faulty)
    await isWrittenOnce(faulty, id, 'ok')
  })

  it('27: LOADING is waited for, without asking all the time', async () => {
    const faulty = await newTown()
    const { town, proxy } = faulty
    const worker = await faulty.behindProxy(...WORKER)
    const redis = await town.redis()
    // A server that reads a snapshot answers every 1024 bytes: here with each key or two.
    await redis.config('SET', 'rdbcompression', 'no')
    await redis.eval("for i = 1, 4096 do redis.call('SET', 'key:' .. i, string.rep('x', 600)) end", 0)
    await redis.bgrewriteaof()
    await until(
      async () =>
        /aof_rewrite_in_progress:0[\s\S]*aof_last_bgrewrite_status:ok/.test(await redis.info('persistence')),
      'the snapshot is written',
    )
    await faulty.killRedis()
    await worker.says(/Redis is away/)
    const before = proxy.sent.length
    const back = faulty.startRedis('key-load-delay 10000', 'loading-process-events-interval-bytes 1024')
    const asked = () => proxy.sent.length - before
    await until(() => asked() > 0, 'the worker asks a Redis that loads')
    await longerThanAWait(faulty)
    const { port } = faulty.server
    const other = new Redis({ port, host: '127.0.0.1', enableReadyCheck: false })
    expect(await other.ping().catch(String)).toMatch(/LOADING/)
    expect(asked()).toBeLessThan(50)
    await other.config('SET', 'key-load-delay', 0)
    other.disconnect()
    await back
    const id = await assign(town, 'x')
    await doNext(faulty)
    await isWrittenOnce(faulty, id, 'ok')
  })

  it('27: a login that is refused is tried again, ever more rarely, by a worker that runs, and ends one that starts', async () => {
    const faulty = await newTown()
    const { town, proxy, server } = faulty
    const worker = await faulty.behindProxy(...WORKER)
    const before = proxy.connections
    await server.redis.acl('SETUSER', 'default', 'resetpass', '>other')
    proxy.cut()
    await worker.says(/NOAUTH|WRONGPASS/)
    expect(await town.cli(...WORKER, '--name', 'new', '--connect-timeout', '10m')).toMatchObject({ exit: 77 })
    // A try each 50 ms on each of three connections would be more than that.
    expect(proxy.connections - before).toBeLessThan(60)
    await server.redis.acl('SETUSER', 'default', 'nopass')
    const id = await assign(town, 'x')
    await doNext(faulty)
    await isWrittenOnce(faulty, id, 'ok')
  })

  it('28: that it knows no script any more is answered with the script', async () => {
    const faulty = await newTown()
    const { town } = faulty
    await town.worker(...WORKER)
    const redis = await town.redis()
    const first = await assign(town, 'first')
    const run = await faulty.agents.next()
    await redis.script('FLUSH')
    await run.stdout('ok')
    await run.exit(0)
    expect(await ended(town, first)).toMatchObject({ state: 'completed', attempts: 1 })
    await redis.script('FLUSH')
    const second = await assign(town, 'second')
    await doNext(faulty)
    expect(await ended(town, second)).toMatchObject({ state: 'completed', attempts: 1 })
    await isWrittenOnce(faulty, first, 'ok', { runs: 2, tasks: 2 })
  })
})
