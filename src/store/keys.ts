import type { Id } from '../domain/ids.ts'
import type { RecordFormat } from '../domain/record-format.ts'

/**
 * Every key of a town. A town named `{name}` keeps all of them in one Redis Cluster slot. Extension keys stand under
 * `worker:` and in `dead-letters`; one under `agent:` or `task:` that is not a record would empty every `tt list`.
 */
export interface TownKeys {
  readonly town: string
  /** What every key of the town begins with. */
  readonly base: string
  /** The form of records that are made new; those that are there keep theirs. */
  readonly recordFormat: RecordFormat
  readonly events: string
  /** List of the ids of tasks that nobody has yet. */
  readonly backlog: string
  /** PubSub channels of broadcasts: the town's own, on which is sent, and the one of Tinytown's guide, which is heard too. */
  readonly broadcast: string
  readonly guideBroadcast: string
  readonly deadLetters: string
  /** Hash of agent name (lower case) to agent id: the same name takes the same inbox again. */
  readonly names: string
  /** Set of the ids of agents whose worker did not leave: their peers look whether it lives. */
  readonly watched: string
  /** Hash of what the peers saw at their last look. */
  readonly seen: string
  readonly agentPattern: string
  readonly agentPrefix: string
  readonly taskPattern: string
  readonly taskPrefix: string
  task(id: Id): string
  agent(id: Id): AgentKeys
}

/** The keys of one agent. */
export interface AgentKeys {
  readonly record: string
  readonly inbox: string
  readonly urgent: string
  readonly activity: string
  readonly stop: string
  readonly events: string
  /** Holds the token of the one live worker; expires when it is not renewed. */
  readonly lease: string
  /** The token of the worker that registered last: it may take its own lease again after it ran out, unless a peer took it for dead. */
  readonly owner: string
  /** Messages that were claimed and not yet settled, oldest first. */
  readonly inFlight: string
  /** Sorted set of messages whose next attempt is not due yet, by the time at which it is. */
  readonly delayed: string
  /** Hash of the digest of a message to how many workers died with it in hand. */
  readonly deaths: string
  /** Copies of the two lists while the agent is in `error`, in which `tt prune` deletes it. */
  readonly spareUrgent: string
  readonly spareInbox: string
  /** Informational messages that wait for the next prompt. */
  readonly notes: string
  /** Sorted set of the ids of messages that were handled, by the time at which they were; none where all is run at least once. */
  readonly handled: string
  /** What the last run wrote last, so that a repeated start or settle is recognised. */
  readonly receipt: string
  /** PubSub channel that tells a worker to look at once: an urgent message, a cancel, a pause. */
  readonly wake: string
  /** Stream of what the CLI says, capped. */
  readonly output: string
}

/** The keys of the town named `town`. */
export function townKeys(town: string, recordFormat: RecordFormat = 'hash'): TownKeys {
  const base = `tt:${town}`
  return {
    town,
    base,
    recordFormat,
    events: `${base}:events`,
    backlog: `${base}:backlog`,
    broadcast: `${base}:broadcast`,
    guideBroadcast: 'tt:broadcast',
    deadLetters: `${base}:dead-letters`,
    names: `${base}:worker:names`,
    watched: `${base}:worker:watched`,
    seen: `${base}:worker:seen`,
    agentPattern: `${escapeGlob(base)}:agent:*`,
    agentPrefix: `${base}:agent:`,
    taskPattern: `${escapeGlob(base)}:task:*`,
    taskPrefix: `${base}:task:`,
    task: (id) => `${base}:task:${id}`,
    agent: (id) => ({
      record: `${base}:agent:${id}`,
      inbox: `${base}:inbox:${id}`,
      urgent: `${base}:urgent:${id}`,
      activity: `${base}:activity:${id}`,
      stop: `${base}:stop:${id}`,
      events: `${base}:events:agent:${id}`,
      lease: `${base}:worker:${id}:lease`,
      owner: `${base}:worker:${id}:owner`,
      inFlight: `${base}:worker:${id}:in-flight`,
      delayed: `${base}:worker:${id}:delayed`,
      deaths: `${base}:worker:${id}:deaths`,
      spareUrgent: `${base}:worker:${id}:spare-urgent`,
      spareInbox: `${base}:worker:${id}:spare-inbox`,
      notes: `${base}:worker:${id}:notes`,
      handled: `${base}:worker:${id}:handled`,
      receipt: `${base}:worker:${id}:receipt`,
      wake: `${base}:worker:${id}:wake`,
      output: `${base}:worker:${id}:output`,
    }),
  }
}

/** A key of an agent whose id only a script knows, as what stands before and after the id. */
export function agentKeyParts(
  town: TownKeys,
  key: Exclude<keyof AgentKeys, 'record'>,
): readonly [prefix: string, suffix: string] {
  const mark = '*'
  const [prefix = '', suffix = ''] = town.agent(mark)[key].slice(town.base.length).split(mark)
  return [town.base + prefix, suffix]
}

/** A glob character in a town name stands for itself. */
function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}
