import { describe, expect, it, onTestFinished } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import type { RecordFormat } from '../../src/domain/record-format.ts'
import { getAgent, leaveTown } from '../../src/store/agents.ts'
import { addToBacklog, claimBacklogTask } from '../../src/store/backlog.ts'
import { listDeadLetters } from '../../src/store/dead-letters.ts'
import { claimMessage, pluckMessage, putAsideMessage } from '../../src/store/inbox.ts'
import { type TownKeys, townKeys } from '../../src/store/keys.ts'
import type { Lease } from '../../src/store/lease.ts'
import { runScript } from '../../src/store/script.ts'
import { take } from '../../src/store/scripts/take.ts'
import {
  assignTask,
  cancelTask,
  getTask,
  releaseTask,
  retryTask,
  settleTask,
  startTask,
} from '../../src/store/tasks.ts'
import { settlement, useWorker } from '../rig/leased.ts'
import { connectAs, useTown } from '../rig/redis.ts'

const here = useTown()

const NEW_TASK = { description: 'Do X', tags: [], priority: 'normal' } as const

/** A run in hand, a message that waits and a task in the backlog. */
interface Stage {
  readonly town: TownKeys
  readonly lease: Lease
  readonly taskId: string
  readonly digest: string
  readonly inBacklog: string
}

async function setStage(recordFormat: RecordFormat): Promise<Stage> {
  const town = townKeys(here.town.town, recordFormat)
  const { register, assign, claimAndStart } = useWorker({ redis: here.redis, town })
  const lease = await register()
  const taskId = await assign(lease)
  const { digest } = await claimAndStart(lease, taskId)
  await assign(lease, 'waits')
  const { taskId: inBacklog } = await addToBacklog(here.redis, town, NEW_TASK)
  return { town, lease, taskId, digest, inBacklog }
}

/** All that Redis holds of the town. */
async function everything({ town }: Stage): Promise<Record<string, string>> {
  const keys = (await here.redis.keys(`${town.base}:*`)).sort()
  const dumps = await Promise.all(keys.map((key) => here.redis.dumpBuffer(key)))
  return Object.fromEntries(keys.map((key, at) => [key, dumps[at]?.toString('base64') ?? '']))
}

type Step = (stage: Stage) => Promise<unknown>

const STEPS = {
  start: ({ lease, taskId, digest }) => startTask(lease, { digest, taskId, startId: newId(), cli: 'demo' }),
  settle: ({ lease, taskId, digest }) =>
    settleTask(lease, settlement(digest, taskId, { state: 'failed', reason: 'exit', bury: 'it is broken' })),
  retry: ({ lease, taskId, digest }) => {
    const again = { digest, taskId, retryId: newId(), delayMs: 0, reason: 'exit' } as const
    return retryTask(lease, { ...again, extras: {}, eventMessage: 'again', activity: 'again' })
  },
  release: ({ lease, taskId, digest }) => {
    const back = { digest, taskId, releaseId: newId(), message: 'back' }
    return releaseTask(lease, { ...back, agentState: 'idle', counted: true })
  },
  'put aside': ({ lease, digest }) =>
    putAsideMessage(lease, { digest }, { reason: 'bad-task', detail: 'no use' }),
  leave: ({ lease }) => leaveTown(lease, 'bye'),
  pluck: ({ lease }) => pluckMessage(lease, ['task_assign'], { head: 9, tail: 9 }),
  assign: ({ lease, town }) => assignTask(lease.redis, town, lease.agentId, NEW_TASK),
  'assign from the backlog': ({ lease, town, inBacklog }) =>
    assignTask(lease.redis, town, lease.agentId, { ...NEW_TASK, id: inBacklog }),
  'claim from the backlog': ({ lease: { redis, agentId }, town, inBacklog }) =>
    claimBacklogTask(redis, town, { taskId: inBacklog, agentId }),
  'add to the backlog': ({ lease, town }) => addToBacklog(lease.redis, town, NEW_TASK),
  cancel: ({ lease, town, taskId }) => cancelTask(lease.redis, town, taskId, 'not wanted'),
} satisfies Record<string, Step>

const KEYS = {
  'dead letters': ({ town }) => town.deadLetters,
  backlog: ({ town }) => town.backlog,
  inbox: ({ lease }) => lease.agent.inbox,
  delayed: ({ lease }) => lease.agent.delayed,
  'in-flight': ({ lease }) => lease.agent.inFlight,
} satisfies Record<string, (stage: Stage) => string>

describe.each(['hash', 'json'] as const)('with %s records', (format) => {
  it.each<[keyof typeof STEPS, keyof typeof KEYS]>([
    ['settle', 'dead letters'],
    ['put aside', 'dead letters'],
    ['retry', 'delayed'],
    ['release', 'inbox'],
    ['leave', 'inbox'],
    ['pluck', 'in-flight'],
    ['assign', 'inbox'],
    ['assign from the backlog', 'inbox'],
    ['claim from the backlog', 'inbox'],
    ['add to the backlog', 'backlog'],
    ['cancel', 'backlog'],
  ])(
    '%s writes nothing where the key %s is of another type, and all when it is put right',
    async (step, name) => {
      const stage = await setStage(format)
      const key = KEYS[name](stage)
      const had = (await here.redis.exists(key)) === 1
      if (had) await here.redis.rename(key, 'aside')
      await here.redis.set(key, 'something else')
      const before = await everything(stage)
      await expect(STEPS[step](stage)).rejects.toThrow(/^WRONGTYPE/)
      expect(await everything(stage)).toEqual(before)
      await here.redis.del(key)
      if (had) await here.redis.rename('aside', key)
      await STEPS[step](stage)
      expect(await everything(stage)).not.toEqual(before)
    },
  )

  it.each<[keyof typeof STEPS, string]>([
    ['start', format === 'hash' ? '-hdel' : '-set'],
    ['settle', '-xadd'],
    ['settle', '-lrem'],
    ['retry', '-zadd'],
    ['release', '-lrem'],
    ['put aside', '-lrem'],
    ['leave', '-lmove'],
    ['pluck', '-lrem'],
    ['assign', '-rpush'],
    ['claim from the backlog', '-rpush'],
    ['add to the backlog', '-rpush'],
    ['cancel', '-lrem'],
  ])('%s writes nothing for a user with %s', async (step, denied) => {
    const stage = await setStage(format)
    const limited = await connectAs(here, denied)
    onTestFinished(() => limited.disconnect())
    const before = await everything(stage)
    const lease = { ...stage.lease, redis: limited }
    await expect(STEPS[step]({ ...stage, lease })).rejects.toThrow(/^NOPERM .* key tt:/)
    expect(await everything(stage)).toEqual(before)
  })

  it('claim keeps what is due where the inbox is of another type', async () => {
    const stage = await setStage(format)
    const { lease } = stage
    await STEPS.retry(stage)
    await here.redis.set(lease.agent.inbox, 'something else')
    await expect(claimMessage(lease)).rejects.toThrow(/^WRONGTYPE/)
    expect(await here.redis.zcard(lease.agent.delayed)).toBe(1)
  })

  it.each(['1.0', 'many', '', '1e999'])('a counter that says %j costs no result', async (count) => {
    const { town, lease, taskId, digest } = await setStage(format)
    const record = lease.agent.record
    const fields = { tasks_completed: count, rounds_completed: count }
    if (format === 'hash') await here.redis.hset(record, fields)
    else
      await here.redis.set(
        record,
        JSON.stringify({ ...JSON.parse((await here.redis.get(record)) ?? ''), ...fields }),
      )
    expect(await settleTask(lease, settlement(digest, taskId))).toMatchObject({ kind: 'ok' })
    expect(await getTask(here.redis, town, taskId)).toMatchObject({ state: 'completed', result: 'ok' })
    const counted = count === '1.0' ? 2 : 1
    expect(await getAgent(here.redis, town, lease.agentId)).toMatchObject({
      tasksCompleted: counted,
      roundsCompleted: counted,
    })
    expect(await here.redis.exists(lease.agent.inFlight)).toBe(0)
  })
})

describe('a registration', () => {
  it.each(['watched', 'names', 'owner'] as const)(
    'leaves no lease behind where the key %s is of another type',
    async (name) => {
      const { town, lease } = await setStage('hash')
      const key = name === 'owner' ? lease.agent.owner : town[name]
      await here.redis.del(lease.agent.lease, key)
      await here.redis.zadd(key, 1, 'something else')
      await expect(useWorker(here).register()).rejects.toThrow(/^WRONGTYPE/)
      expect(await here.redis.exists(lease.agent.lease)).toBe(0)
    },
  )
})

describe('the count of deaths of another type', () => {
  it('costs the count alone', async () => {
    const { lease } = await setStage('hash')
    await here.redis.set(lease.agent.deaths, 'something else')
    await here.redis.del(lease.agent.lease)
    const again = await useWorker(here).register()
    expect(await claimMessage(again)).toMatchObject({ kind: 'message' })
  })
})

describe('an unreadable message of a receiver', () => {
  it.each(['0', '1'])('stays where the dead letters do not take it (popped already: %s)', async (popped) => {
    const { town, lease } = await setStage('hash')
    const { urgent, record } = lease.agent
    await here.redis.set(town.deadLetters, 'something else')
    if (popped === '0') await here.redis.rpush(urgent, 'no JSON')
    const args = ['no JSON', lease.agentId, 'bad-task', 'no use', popped]
    await expect(runScript(here.redis, take, [urgent, town.deadLetters, record], args)).rejects.toThrow(
      /WRONGTYPE/,
    )
    expect(await here.redis.lrange(urgent, 0, -1)).toEqual(['no JSON'])
  })
})

describe('what is put aside', () => {
  it("fails the task that it is about, which is this agent's", async () => {
    const { town, lease, taskId, digest } = await setStage('hash')
    await STEPS['put aside']({ town, lease, taskId, digest, inBacklog: '' })
    expect(await getTask(here.redis, town, taskId)).toMatchObject({
      state: 'failed',
      reason: 'bad-task',
      result: 'no use',
    })
    expect(await listDeadLetters(here.redis, town)).toMatchObject([{ taskId, reason: 'bad-task' }])
  })
})
