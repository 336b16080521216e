import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { settle } from '../../src/store/scripts/settle.ts'
import { getTask } from '../../src/store/tasks.ts'
import { useClosers } from '../rig/daemon.ts'
import { type FaultyTown, runOf, useFaultyTown } from '../rig/faulty-town.ts'
import { freePort } from '../rig/redis-servers.ts'
import { agentOf, assign, ended, taskThat } from '../rig/scene.ts'
import { isWrittenOnce, spooled } from '../rig/written-once.ts'

const onClose = useClosers()
const newTown = useFaultyTown(onClose)

const WORKER = ['--cli', 'fake', '--lease-ms', '1000', '--kill-grace', '500ms']
const PEER = [...WORKER, '--name', 'peer']

const SPOOLED = /Redis does not take the result; it is kept in/

/** Has one more task done: the worker goes on. */
async function doNext({ town, agents }: FaultyTown): Promise<void> {
  const id = await assign(town, 'one more')
  const run = await agents.next()
  await run.stdout('ok')
  await run.exit(0)
  expect(await ended(town, id)).toMatchObject({ state: 'completed', result: 'ok' })
}

/** A worker that ends while Redis is away, with a result that Redis does not have. */
async function leavesResult(faulty: FaultyTown, ...flags: string[]): Promise<string> {
  const { town, agents } = faulty
  const worker = await town.worker(...WORKER, ...flags)
  const id = await assign(town, 'x')
  const run = await agents.next()
  await faulty.killRedis()
  await run.stdout('worth keeping')
  await run.exit(0)
  worker.signal('SIGTERM')
  expect(await worker.exit).toBe(69)
  expect(await spooled(town)).toHaveLength(1)
  return id
}

describe('a Redis that dies and comes back with its data', () => {
  it('4: after longer than the lease, while the child ended, gets the result once, and no peer has it run again', async () => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const peer = await town.worker(...PEER)
    const worker = await town.worker(...WORKER)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await faulty.killRedis()
    await run.stdout('worth keeping')
    await run.exit(0)
    // That takes a second, which is the lease.
    await worker.says(SPOOLED)
    await faulty.startRedis()
    await isWrittenOnce(faulty, id, 'worth keeping')
    expect(peer.stderr()).not.toMatch(/is dead/)
    await doNext(faulty)
  })

  it('4: and kill -9 of the worker meanwhile costs no second run', async () => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const worker = await town.worker(...WORKER)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await faulty.killRedis()
    await run.stdout('worth keeping')
    await run.exit(0)
    await worker.says(SPOOLED)
    worker.signal('SIGKILL')
    await worker.exit
    await faulty.startRedis()
    await town.worker(...WORKER)
    await isWrittenOnce(faulty, id, 'worth keeping')
  })

  it('4: has the result written also where the spool cannot be', async () => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const worker = await town.worker(...WORKER)
    await writeFile(join(town.root, '.tt', 'spool'), 'no folder')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await faulty.killRedis()
    await run.stdout('worth keeping')
    await run.exit(0)
    await worker.says(/a result cannot be kept in .*: (ENOTDIR|EEXIST)/)
    await faulty.startRedis()
    await isWrittenOnce(faulty, id, 'worth keeping')
  })
})

describe('a Redis that comes back with older data', () => {
  it('28: of before its first task: the worker registers again and goes on', async () => {
    const faulty = await newTown()
    const { town } = faulty
    const worker = await town.worker(...WORKER)
    const { record, receipt } = town.keys.agent((await agentOf(town)).id)
    const old = await faulty.server.redis.dumpBuffer(record)
    await doNext(faulty)
    // What such a snapshot holds, in one step.
    await faulty.server.redis
      .multi()
      .restore(record, 0, old as Buffer, 'REPLACE')
      .del(receipt)
      .exec()
    await worker.says(/Redis lost its data/)
    await doNext(faulty)
  })

  it('28: with fewer rounds than were made: the worker goes on with what it finds', async () => {
    const faulty = await newTown()
    const { town } = faulty
    const worker = await town.worker(...WORKER)
    await doNext(faulty)
    await doNext(faulty)
    const { record } = town.keys.agent((await agentOf(town)).id)
    await faulty.server.redis.hset(record, 'rounds_completed', '1')
    await doNext(faulty)
    expect(await agentOf(town)).toMatchObject({ roundsCompleted: 2 })
    expect(worker.stderr()).not.toMatch(/Redis lost its data|tt restart/)
  })
})

describe('a replica that is asked to write', () => {
  it('5: the result is asked again until it is a primary, which has it once', async () => {
    const faulty = await newTown()
    const { town, agents, server } = faulty
    const worker = await town.worker(...WORKER)
    const id = await assign(town, 'x')
    const run = await agents.next()
    await server.redis.replicaof('127.0.0.1', await freePort())
    await run.stdout('worth keeping')
    await run.exit(0)
    await worker.says(/Redis refused a write \(READONLY/)
    await worker.says(SPOOLED)
    expect(await getTask(server.redis, town.keys, id)).toMatchObject({ state: 'running' })
    await server.redis.replicaof('NO', 'ONE')
    await isWrittenOnce(faulty, id, 'worth keeping')
  })
})

describe('SIGTERM while Redis is down', () => {
  it('19: ends in bounded time, and the next start writes the result before it claims anything', async () => {
    const faulty = await newTown()
    const { town } = faulty
    const id = await leavesResult(faulty)
    const [name = ''] = await spooled(town)
    const { mode } = await stat(join(town.root, '.tt', 'spool', name))
    expect(mode & 0o777).toBe(0o600)
    await faulty.startRedis()
    const next = await town.worker(...WORKER)
    await isWrittenOnce(faulty, id, 'worth keeping')
    expect(next.stderr().indexOf('task completed')).toBeLessThan(next.stderr().indexOf('starting -> idle'))
  })

  it('19: has the result written by the next start also when a peer gave the task back meanwhile', async () => {
    const faulty = await newTown()
    const { town } = faulty
    const id = await leavesResult(faulty)
    await faulty.startRedis()
    const peer = await town.worker(...PEER)
    await peer.says(/the worker of worker-1 is dead/)
    await taskThat(town, id, ({ state }) => state === 'assigned', 'is given back')
    await town.worker(...WORKER)
    await isWrittenOnce(faulty, id, 'worth keeping')
  })

  it.each([
    ['ended', { state: 'completed', result: 'by tt' }],
    ['elsewhere', { state: 'running', assigned_to: '550e8400-e29b-41d4-a716-446655440000' }],
  ])('19: leaves a task alone that is %s by then, and keeps the result aside', async (why, change) => {
    const faulty = await newTown()
    const { town } = faulty
    const id = await leavesResult(faulty)
    await faulty.startRedis()
    const redis = await town.redis()
    await redis.hset(town.keys.task(id), change)
    await redis.del(town.keys.agent((await agentOf(town)).id).inFlight)
    const before = await redis.hgetall(town.keys.task(id))
    const worker = await town.worker(...WORKER)
    await worker.says(new RegExp(`never written is kept aside \\(${why}\\)`))
    expect(await redis.hgetall(town.keys.task(id))).toEqual(before)
    const [kept = ''] = await spooled(town)
    expect(kept).toMatch(new RegExp(`^kept/.*${id}.*\\.${why}\\.json$`))
    expect(await readFile(join(town.root, '.tt', 'spool', kept), 'utf8')).toContain('worth keeping')
  })

  it('19: sets a file aside that nobody can read, and works on', async () => {
    const faulty = await newTown()
    const { town } = faulty
    const first = await town.worker(...WORKER)
    first.signal('SIGTERM')
    await first.exit
    const { id: agentId } = await agentOf(town)
    const folder = join(town.root, '.tt', 'spool', agentId)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, `${agentId}-${agentId}.json`), '{"version":1,')
    await writeFile(join(folder, 'something else.json'), '')
    const worker = await town.worker(...WORKER)
    await worker.says(/kept aside \(unreadable\)/)
    expect(await readdir(folder)).toEqual([])
    await doNext(faulty)
  })
})

describe('SIGTERM while a failed run waits for Redis', () => {
  it('19: ends in bounded time as well: there is no result to be lost', async () => {
    const faulty = await newTown()
    const { town, agents } = faulty
    const worker = await town.worker(...WORKER, '--max-attempts', '3', '--drain-timeout', '10m')
    const id = await assign(town, 'x')
    const run = await agents.next()
    await faulty.killRedis()
    await run.exit(1)
    await worker.says(/Redis is away/)
    worker.signal('SIGTERM')
    expect(await worker.exit).toBe(69)
    await faulty.startRedis()
    await town.worker(...WORKER, '--max-attempts', '3')
    const second = await agents.next()
    await second.stdout('done')
    await second.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 2 })
  })
})

describe('a Redis that lost its data', () => {
  it('28: and takes no writes yet gets the registration when it does', async () => {
    const faulty = await newTown()
    const { redis } = faulty.server
    const worker = await faulty.town.worker(...WORKER)
    await redis.multi().flushall().call('REPLICAOF', '127.0.0.1', '1').exec()
    await worker.says(/Redis refused a write \(READONLY/)
    await redis.replicaof('NO', 'ONE')
    await worker.says(/registered as worker-1[\s\S]*registered as worker-1/)
    await doNext(faulty)
  })

  it('28: has the result of a task that is gone kept aside, by the worker or by the next one', async () => {
    const faulty = await newTown()
    const { town } = faulty
    const id = await leavesResult(faulty)
    await faulty.startRedis()
    await faulty.server.redis.flushall()
    const next = await town.worker(...WORKER)
    await next.says(/a result that was never written is kept aside \(gone\)/)
    expect(await town.files('.tt/spool/kept')).toEqual([expect.stringContaining(`${id}-`)])
  })
})

describe('a settle', () => {
  it('25: that a recovery forestalls ends in one end: the result is written by the worker that registers again', async () => {
    const faulty = await newTown()
    const { town, agents, proxy } = faulty
    const peer = await town.worker(...PEER)
    const worker = await faulty.behindProxy(...WORKER)
    const id = await assign(town, 'x')
    const run = await agents.next()
    const held = proxy.hold(runOf(settle))
    await run.stdout('worth keeping')
    await run.exit(0)
    await held.arrived
    await peer.says(/the worker of worker-1 is dead/)
    await worker.says(SPOOLED)
    held.release()
    await worker.says(/a peer took it for dead/)
    await isWrittenOnce(faulty, id, 'worth keeping')
  })

  it.each([
    ['lost', 0],
    ['cut in half', 2],
  ])('25: whose reply is %s is made once', async (_, bytes) => {
    const faulty = await newTown()
    const { town, agents, proxy } = faulty
    await faulty.behindProxy(...WORKER)
    const id = await assign(town, 'x')
    const run = await agents.next()
    const lost = proxy.loseReply(runOf(settle), bytes)
    await run.stdout('worth keeping')
    await run.exit(0)
    await lost
    await isWrittenOnce(faulty, id, 'worth keeping')
  })
})
