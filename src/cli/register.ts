import { hostname } from 'node:os'
import { sleep } from '../base/clock.ts'
import { agentNames } from '../domain/agent-names.ts'
import { WorkerError } from '../domain/errors.ts'
import { takeName } from '../reliability/name-pool.ts'
import { holderIsGone, processInfo } from '../server/process-info.ts'
import { listAgents, type Registered, registerAgent } from '../store/agents.ts'
import type { Lease } from '../store/lease.ts'
import { readQueues } from '../store/queues.ts'
import { isHeard } from '../store/wake.ts'
import { describeTown } from './context.ts'
import type { Host, Seat } from './seat.ts'
import { VERSION } from './version.ts'

/** How long after the end of its lease a name is asked for again. */
const NAME_MARGIN_MS = 500

/** An agent that may write, under the name that it got. */
export interface Registration {
  readonly seat: Seat
  readonly lease: Lease
}

/** Registers an agent under its name. `before`: what it held until it had to register again. Throws `name-in-use`. */
export async function register(host: Host, seat: Seat, before?: Lease): Promise<Lease> {
  const { name, voice } = seat
  let registered = await ask(host, seat, before)
  if (registered.kind === 'held' && host.waitsForName) {
    // A worker that lives renews its lease meanwhile; that of a machine that crashed runs out.
    const waitMs = registered.expiresInMs + NAME_MARGIN_MS
    const holder = `pid ${registered.pid} on ${registered.host}`
    voice.logger.warn({ event: 'name-held', waitMs }, `the name ${name} is held by ${holder}: waiting`)
    if (await sleep(waitMs, host.control.draining)) registered = await ask(host, seat, before)
    host.control.draining.throwIfAborted()
  }
  if (registered.kind === 'held') throw nameInUse(seat.name, host, registered)
  await welcome(host, seat, registered)
  return registered.lease
}

/** Registers an agent under the first name of its pool that no live worker has. Throws `name-in-use` when each has one. */
export async function registerFree(host: Host, seat: Seat): Promise<Registration> {
  const { name, namePool } = host.context.settings
  const names = agentNames(name, namePool)
  const taken = await takeName(names, {
    register: (each) => ask(host, { ...seat, name: each }),
    isHeard: (agentId) => isHeard(seat.redis, seat.town.keys.agent(agentId)),
    onWait: (each, { host: where, pid, expiresInMs }) =>
      seat.voice.logger.info(
        { event: 'name-waited-for', name: each, host: where, pid, expiresInMs },
        `the worker of ${each} says nothing; its name is free in ${Math.ceil(expiresInMs / 1000)} s unless it lives`,
      ),
    signal: host.control.draining,
  })
  if (taken.kind === 'all-held') throw poolInUse(names, host)
  const named = { ...seat, name: taken.name }
  if (taken.name !== seat.name) {
    host.health.rename(seat.name, taken.name)
    Object.assign(named, { voice: host.voiceOf(taken.name) })
  }
  await welcome(host, named, taken)
  return { seat: named, lease: taken.lease }
}

async function ask({ context, profile }: Host, seat: Seat, before?: Lease): Promise<Registered> {
  const { role, leaseMs, delivery } = context.settings
  const host = hostname()
  const startedAt = (await processInfo(process.pid))?.startedAt
  return await registerAgent(seat.redis, seat.town.keys, {
    name: seat.name,
    cli: profile.id,
    role,
    leaseMs,
    former: before,
    extra: {
      host,
      pid: process.pid,
      ...(startedAt && { pid_started: startedAt }),
      worker_version: VERSION,
      circuit: seat.circuit.state,
      delivery,
    },
    isGone: (holder) => holderIsGone(holder, { hostname: host }),
  })
}

async function welcome(
  { context, profile, workdir }: Host,
  seat: Seat,
  { lease, isNew }: Extract<Registered, { kind: 'registered' }>,
): Promise<void> {
  const { delivery } = context.settings
  const { name, voice } = seat
  voice.emit({ type: 'registered', agentId: lease.agentId, name, isNew })
  voice.logger.info(
    { agentId: lease.agentId, cli: profile.id, workdir, delivery },
    `in town ${describeTown(context)}, delivery ${delivery}`,
  )
  await warnOfTwins(seat, lease)
}

/** Whoever assigns to a name that two agents have may mean the other one. */
async function warnOfTwins({ name, redis, town, voice }: Seat, { agentId }: Lease): Promise<void> {
  const agents = await listAgents(redis, town.keys)
  for (const twin of agents) {
    if (twin.id === agentId || twin.name.toLowerCase() !== name.toLowerCase()) continue
    const [queues] = await readQueues(redis, town.keys, [twin.id])
    const waiting = (queues?.inbox ?? 0) + (queues?.urgent ?? 0)
    voice.logger.warn(
      { event: 'name-shared', agentId: twin.id, state: twin.state, waiting },
      `another agent is named ${name} too: ${twin.id}, ${twin.state}, ${waiting} waiting; this worker is ${agentId}. Remove the one that nobody needs: tt prune`,
    )
  }
}

function nameInUse(
  name: string,
  { context: { townName } }: Host,
  holder: { host: string; pid: string; expiresInMs: number },
): WorkerError {
  const sentence = `The agent name ${name} is in use by a live worker: pid ${holder.pid} on ${holder.host} in town ${townName}`
  const remedy =
    `Give this one another name (--name worker-2), or stop that one: tinytown-worker kill ${name}. ` +
    `If it died, its name is free in ${Math.ceil(holder.expiresInMs / 1000)} s`
  return new WorkerError('name-in-use', sentence, { remedy })
}

function poolInUse(names: readonly string[], { context: { townName } }: Host): WorkerError {
  const sentence =
    names.length === 1
      ? `The agent name ${names[0]} is in use by a live worker in town ${townName}`
      : `All ${names.length} agent names from ${names[0]} to ${names.at(-1)} are in use by live workers in town ${townName}`
  return new WorkerError('name-in-use', sentence, {
    remedy: `Allow more of them: --name-pool ${names.length + 1} (TINYTOWN_NAME_POOL), or stop one: tinytown-worker kill ${names[0]}`,
  })
}
