import { isForRole } from '../domain/backlog-role.ts'
import { isTerminal } from '../domain/task.ts'
import { claimBacklogTask, listBacklog } from '../store/backlog.ts'
import type { Lease } from '../store/lease.ts'

/** Moves the first task of the backlog that fits the role into the agent's inbox. False: there is none. */
export async function takeFromBacklog(lease: Lease, role: string | undefined): Promise<boolean> {
  const { redis, town, agentId, agentName } = lease
  if ((await redis.llen(town.backlog)) === 0) return false
  const entries = await listBacklog(redis, town)
  for (const { id, task } of entries) {
    if (!task || isTerminal(task.state) || !isForRole(task, role ?? agentName)) continue
    const claim = await claimBacklogTask(redis, town, { taskId: id, agentId })
    if (claim.kind === 'claimed') return true
    // The record is gone: the claim script says so again, as evicted.
    if (claim.kind === 'no-agent') return false
  }
  return false
}
