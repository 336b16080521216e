import fc from 'fast-check'
import { AGENT_STATES, AGENT_TYPES, type Agent, CIRCUIT_STATES, SPAWN_MODES } from '../../src/domain/agent.ts'
import { DELIVERIES } from '../../src/domain/delivery.ts'
import { REASONS } from '../../src/domain/outcome.ts'
import { TASK_STATES, type Task } from '../../src/domain/task.ts'

export const text = fc.string({ unit: 'binary', maxLength: 40 })
export const id = fc.uuid()

/** An id in one of the forms that upstream reads. */
export const writtenId = fc
  .tuple(id, fc.nat(4))
  .map(
    ([one, form]) =>
      [one, one.toUpperCase(), one.replaceAll('-', ''), `urn:uuid:${one}`, `{${one}}`][form] ?? one,
  )

/** A time as upstream writes and reads it: 0, 3, 6 or 9 digits of a second, `Z` or an offset. */
export const time = fc
  .tuple(
    fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01T00:00:00Z') }),
    fc.constantFrom(0, 3, 6, 9),
    fc.nat(999_999_999),
    fc.constantFrom('Z', '+00:00', '+05:30', '-08:00'),
  )
  .map(([date, digits, nanos, zone]) => {
    const fraction = String(nanos).padStart(9, '0').slice(0, digits)
    return `${date.toISOString().slice(0, 19)}${digits === 0 ? '' : `.${fraction}`}${zone}`
  })

const count = fc.nat(1_000_000)

export const agent: fc.Arbitrary<Agent> = fc.record(
  {
    id,
    name: text,
    state: fc.constantFrom(...AGENT_STATES),
    cli: text,
    createdAt: time,
    lastHeartbeat: time,
    lastActiveAt: time,
    tasksCompleted: count,
    roundsCompleted: count,
    nickname: text,
    roleId: text,
    agentType: fc.constantFrom(...AGENT_TYPES),
    spawnMode: fc.constantFrom(...SPAWN_MODES),
    parentAgentId: id,
    currentTask: id,
    host: text,
    pid: count,
    workerVersion: text,
    circuit: fc.constantFrom(...CIRCUIT_STATES),
    delivery: fc.constantFrom(...DELIVERIES),
    lastError: text,
  },
  {
    requiredKeys: [
      ...(['id', 'name', 'state', 'cli', 'createdAt', 'lastHeartbeat', 'lastActiveAt'] as const),
      ...(['tasksCompleted', 'roundsCompleted'] as const),
    ],
  },
)

export const task: fc.Arbitrary<Task> = fc.record(
  {
    id,
    description: text,
    state: fc.constantFrom(...TASK_STATES),
    createdAt: time,
    updatedAt: time,
    tags: fc.array(text, { maxLength: 4 }),
    startedAt: time,
    completedAt: time,
    assignedTo: id,
    result: text,
    parentId: id,
    attempts: count,
    reason: fc.constantFrom(...REASONS),
    exitCode: fc.integer({ min: -255, max: 255 }),
    signal: text,
    cli: text,
    sessionId: text,
    inputTokens: count,
    costUsd: count.map((units) => units / 10_000),
    durationMs: count,
    resultTruncated: fc.boolean(),
    log: text,
  },
  { requiredKeys: ['id', 'description', 'state', 'createdAt', 'updatedAt', 'tags'] },
)
