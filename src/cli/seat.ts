import type { Closers } from '../base/closers.ts'
import type { Context } from '../client/context.ts'
import type { OpenTown } from '../client/open-town.ts'
import type { Settings } from '../config/settings.ts'
import { agentNames } from '../domain/agent-names.ts'
import type { Emit } from '../domain/worker-event.ts'
import type { Health } from '../observability/health.ts'
import type { Logger } from '../observability/logger.ts'
import type { Profile } from '../process/profile.ts'
import type { Circuit } from '../reliability/circuit.ts'
import type { Redis } from '../store/connection.ts'
import type { Control } from '../worker/control.ts'
import type { Runner } from '../worker/run.ts'
import type { Redaction } from './redaction.ts'

/** Where one agent tells what happens to it. */
export interface Voice {
  readonly logger: Logger
  readonly emit: Emit
}

/** What the agents of this process share. */
export interface Host {
  readonly context: Context
  readonly profile: Profile
  readonly workdir: string
  readonly control: Control
  readonly closers: Closers
  readonly env: NodeJS.ProcessEnv
  /** One for all agents: they run the same program. */
  readonly cliVersion: (signal: AbortSignal) => Promise<string | undefined>
  /** Holds the runners of the agents, for an exit that waits for nothing. */
  readonly runners: Set<Runner>
  readonly redaction: Redaction
  readonly voiceOf: (agent: string) => Voice
  /** Told how the agents are, for whoever asks. */
  readonly health: Health
  /** True: a name that is held is waited for until the lease of its holder would have run out. */
  readonly waitsForName: boolean
}

/** What an agent of this process works with. Each has connections of its own: one that is given up takes no other with it. */
export interface Seat {
  readonly name: string
  readonly town: OpenTown
  readonly redis: Redis
  readonly blocking: Redis
  readonly listening: Redis
  readonly voice: Voice
  /** Stays as it is when the agent registers again. */
  readonly circuit: Circuit
}

/** What the agents of a process are called: one that takes its name from a pool, after the pool until it has it. */
export function seatNames({
  name,
  count,
  namePool,
}: Pick<Settings, 'name' | 'count' | 'namePool'>): readonly string[] {
  if (namePool <= 1) return agentNames(name, count)
  const pool = agentNames(name, namePool)
  return [`${pool[0]}..${pool.at(-1)}`]
}
