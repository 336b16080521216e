import type { Redis } from 'ioredis'
import type { Agent, AgentState, CircuitState } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import { type Id, newId, parseId, RESERVED_NAMES, SUPERVISOR_ID, shortId } from '../domain/ids.ts'
import type { TownKeys } from './keys.ts'
import { type Lease, runLeased } from './lease.ts'
import { readAgent, readRecord, scanRecords } from './records.ts'
import { runScript, texts } from './script.ts'
import { leave as leaveScript } from './scripts/leave.ts'
import { register as registerScript } from './scripts/register.ts'
import { setState as setStateScript } from './scripts/set-state.ts'

/** The process that holds a lease, as its registration tells it; '' for what it did not tell. */
interface Holder {
  readonly host: string
  readonly pid: string
  readonly startedAt: string
}

/** What an agent says of itself when it registers. */
export interface Registration {
  readonly name: string
  readonly cli: string
  readonly role: string | undefined
  readonly leaseMs: number
  /** Fields of the record: `host`, `pid` and `pid_started` are what another registration learns of this one. */
  readonly extra: Readonly<Record<string, string | number>>
  /** A registration that the same worker had before: its lease may still be there, and the id is its own where the name has none. */
  readonly former?: Pick<Lease, 'agentId' | 'token'> | undefined
  /** Whether the holder of the lease is dead for certain. Its lease is taken at once then. */
  readonly isGone?: (holder: Holder) => Promise<boolean>
}

export type Registered =
  | { readonly kind: 'registered'; readonly lease: Lease; readonly isNew: boolean }
  | {
      readonly kind: 'held'
      readonly agentId: Id
      readonly host: string
      readonly pid: string
      readonly expiresInMs: number
    }

/** Registers an agent under its name, with the id that the name had before. */
export async function registerAgent(redis: Redis, town: TownKeys, who: Registration): Promise<Registered> {
  let id = (await idOfName(redis, town, who.name)) ?? who.former?.agentId ?? newId()
  const token = newId()
  let dead = who.former?.token ?? ''
  // The script answers `renamed` when another process registered the name a moment ago: its id is taken then.
  for (;;) {
    const agent = town.agent(id)
    const own = [agent.lease, agent.record, agent.stop, town.names, town.events, agent.events, agent.owner]
    const keys = [...own, agent.urgent, agent.inbox, agent.spareUrgent, agent.spareInbox, town.watched]
    keys.push(agent.inFlight, agent.deaths)
    const extra = Object.entries(who.extra).flat()
    const fixed = [
      token,
      who.leaseMs,
      id,
      who.name,
      who.cli,
      who.role ?? '',
      town.agentPrefix,
      dead,
      town.recordFormat,
      who.former ? '1' : '0',
    ]
    const args = [...fixed, ...extra]
    const [kind, first = '', second = '', , left = '0', holder = '', startedAt = ''] = texts(
      await runScript(redis, registerScript, keys, args),
    )
    if (kind === 'renamed') id = first
    else if (kind === 'unreadable') {
      throw new WorkerError('config', `The key ${agent.record} holds no agent record: ${first}`, {
        remedy: 'Look at it with redis-cli, and delete or rename it',
      })
    } else if (kind === 'held') {
      const found = { host: first, pid: second, startedAt }
      if (holder === dead || !(await who.isGone?.(found)))
        return { kind, agentId: id, host: first, pid: second, expiresInMs: Number(left) }
      dead = holder
    } else {
      const registration = Number(second)
      const lease = {
        redis,
        town,
        agent,
        agentId: id,
        agentName: who.name,
        token,
        registration,
        leaseMs: who.leaseMs,
        left: { receipt: '' },
      }
      return { kind: 'registered', lease, isNew: first === '1' }
    }
  }
}

/** The id that a name has or had; of several agents of that name, the one that was active last. */
export async function idOfName(redis: Redis, town: TownKeys, name: string): Promise<Id | null> {
  const known = await redis.hget(town.names, name.toLowerCase())
  // The entry outlives a record that `tt prune` removed; one that `tt spawn` made has no entry yet.
  if (known && (await getAgent(redis, town, known))) return known
  const same = (await listAgents(redis, town)).filter(
    (agent) => agent.name.toLowerCase() === name.toLowerCase(),
  )
  return same.sort((a, b) => b.lastActiveAt.localeCompare(a.lastActiveAt))[0]?.id ?? known
}

/** Changes the agent's state outside of a run, unless it is in one of the states `keep`; the rest is written all the same. */
export async function setAgentState(
  lease: Lease,
  change: {
    state: AgentState
    message: string
    lastError?: string
    keep?: readonly AgentState[]
    circuit?: CircuitState
    /** RFC 3339. */
    parkedUntil?: string
  },
): Promise<void> {
  const keys = [lease.agent.lease, lease.agent.record, lease.town.events, lease.agent.events]
  const { state, message, lastError = '', keep = [], circuit = '', parkedUntil = '' } = change
  const args = [lease.agentId, state, lastError, message, keep.join(','), circuit, parkedUntil]
  await runLeased(lease, setStateScript, keys, args)
}

/** Gives everything back and writes `stopped`, unless the record is another worker's now. Returns how many messages went back to the inbox. */
export async function leaveTown(
  lease: Lease,
  message: string,
  { keepRecord = false }: { keepRecord?: boolean } = {},
): Promise<number> {
  const { agent, town } = lease
  const own = [agent.lease, agent.inFlight, agent.inbox, agent.record, agent.stop]
  const rest = [agent.owner, agent.spareUrgent, agent.spareInbox, agent.delayed, town.watched]
  const keys = [...own, town.events, agent.events, ...rest]
  const args = [lease.agentId, message, keepRecord ? '1' : '0']
  const [, back] = await runLeased(lease, leaveScript, keys, args)
  return Number(back)
}

/** All agents of the town, by name. */
export async function listAgents(redis: Redis, town: TownKeys): Promise<Agent[]> {
  const agents = await scanRecords(redis, town.agentPattern, readAgent)
  return agents.sort((a, b) => a.name.localeCompare(b.name))
}

/** The agent with this id, or null. */
export async function getAgent(redis: Redis, town: TownKeys, id: Id): Promise<Agent | null> {
  return readAgent(await readRecord(redis, town.agent(id).record))
}

/**
 * The agent that `reference` means: its id, name, nickname or the first four digits of its id, in any case. Throws
 * `not-found` when there is none, with the names that exist, or more than one, with the candidates.
 */
export async function findAgent(redis: Redis, town: TownKeys, reference: string): Promise<Agent> {
  const agents = await listAgents(redis, town)
  const wanted = reference.trim().toLowerCase()
  const id = RESERVED_NAMES.includes(wanted) ? SUPERVISOR_ID : parseId(wanted)
  const found = agents.filter(
    (agent) =>
      agent.id === id ||
      [agent.name.toLowerCase(), agent.nickname?.toLowerCase(), shortId(agent.id)].includes(wanted),
  )
  const [agent] = found
  if (agent && found.length === 1) return agent
  if (!agent) {
    const names = agents.map(({ name }) => name).join(', ')
    throw new WorkerError('not-found', `No agent ${JSON.stringify(reference)} in town ${town.town}`, {
      remedy: names
        ? `Known agents: ${names}`
        : `Start one: tinytown-worker --name ${wanted || 'worker-1'} --cli codex`,
    })
  }
  const candidates = found.map(({ name, id: one }) => `${name} (${one})`).join(', ')
  throw new WorkerError(
    'not-found',
    `${JSON.stringify(reference)} means more than one agent: ${candidates}`,
    {
      remedy: 'Use the whole id',
    },
  )
}
