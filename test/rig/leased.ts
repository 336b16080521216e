import { newId } from '../../src/domain/ids.ts'
import { registerAgent, setAgentState } from '../../src/store/agents.ts'
import { type Claimed, claimMessage } from '../../src/store/inbox.ts'
import type { Lease } from '../../src/store/lease.ts'
import { assignTask, type Settlement, startTask } from '../../src/store/tasks.ts'
import type { useTown } from './redis.ts'

/** The steps of a worker at the town of a test, without its daemon. */
export function useWorker(here: Pick<ReturnType<typeof useTown>, 'redis' | 'town'>) {
  const register = async (name = 'worker-1'): Promise<Lease> => {
    const who = { name, cli: 'demo', role: 'backend', leaseMs: 30_000, extra: { host: 'box', pid: 42 } }
    const registered = await registerAgent(here.redis, here.town, who)
    if (registered.kind !== 'registered') throw new Error(`the name is held by ${registered.host}`)
    await setAgentState(registered.lease, { state: 'idle', message: 'ready' })
    return registered.lease
  }
  const assign = async (lease: Lease, description = 'Do X'): Promise<string> => {
    const task = { description, tags: ['a'], priority: 'normal' } as const
    return (await assignTask(here.redis, here.town, lease.agentId, task)).taskId
  }
  const claimed = async (lease: Lease): Promise<Claimed> => {
    const claim = await claimMessage(lease)
    if (claim.kind !== 'message') throw new Error(`claimed nothing: ${claim.kind}`)
    return claim
  }
  const claimAndStart = async (lease: Lease, taskId: string, startId = newId()) => {
    const { raw, digest } = await claimed(lease)
    return { raw, digest, started: await startTask(lease, { digest, taskId, startId, cli: 'demo' }) }
  }
  return { register, assign, claimed, claimAndStart }
}

/** The end of a run that went well, or what `change` makes of it. */
export function settlement(digest: string, taskId: string, change: Partial<Settlement> = {}): Settlement {
  const fixed = {
    notesUsed: 0,
    extras: { toolCalls: 2, attempts: 1 },
    eventMessage: 'done',
    activity: 'completed',
  }
  return { digest, taskId, settleId: newId(), state: 'completed', result: 'ok', ...fixed, ...change }
}
