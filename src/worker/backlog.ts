import { monotonicMs } from '../base/clock.ts'
import { isForRole } from '../domain/backlog-role.ts'
import { claimBacklogTask, lookAtBacklog } from '../store/backlog.ts'
import type { Lease } from '../store/lease.ts'

/** How many tasks of the backlog are looked at in one step. */
const PAGE = 100
/** A backlog that is as it was is looked through again after so long: the tasks in it may have changed. */
const AGAIN_MS = 60_000

/** Looks for work in the backlog; one in which nothing fitted is not read again until it changes. */
export class BacklogLook {
  readonly #lease: Lease
  readonly #role: string
  #seen = ''
  #seenAt = 0

  constructor(lease: Lease, role: string | undefined) {
    this.#lease = lease
    this.#role = role ?? lease.agentName
  }

  /** Moves the first task that fits the role into the agent's inbox. False: there is none. */
  async take(): Promise<boolean> {
    const { redis, town, agentId } = this.#lease
    const seen = monotonicMs() - this.#seenAt < AGAIN_MS ? this.#seen : ''
    for (let from = 0; ; ) {
      const look = await lookAtBacklog(redis, town, { from, count: PAGE, ...(from === 0 ? { seen } : {}) })
      if (look.mark === seen && from === 0) return false
      for (const task of look.tasks) {
        if (!isForRole(task, this.#role)) continue
        const claim = await claimBacklogTask(redis, town, { taskId: task.id, agentId })
        if (claim.kind === 'claimed') return true
        // The record is gone: the claim script says so again, as evicted.
        if (claim.kind === 'no-agent') return false
      }
      if (look.next === null) {
        this.#seen = look.mark
        this.#seenAt = monotonicMs()
        return false
      }
      from = look.next
    }
  }
}
