import { describe, expect, it } from 'vitest'
import { AGENT_STATES, readAgentState, TERMINAL_AGENT_STATES } from '../../src/domain/agent.ts'
import {
  allowedFrom,
  canBecome,
  isTerminal,
  readTaskState,
  TASK_STATES,
  type TaskState,
} from '../../src/domain/task.ts'

// Written once more, as what users are told, so that a change of the table is a change of this one as well.
const ALLOWED: Readonly<Record<TaskState, readonly TaskState[]>> = {
  pending: ['assigned', 'running', 'completed', 'failed', 'cancelled'],
  assigned: ['running', 'completed', 'failed', 'cancelled'],
  running: ['running', 'assigned', 'completed', 'failed', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
}

const PAIRS = TASK_STATES.flatMap((from) => TASK_STATES.map((to) => [from, to] as const))
const isAllowed = ([from, to]: readonly [TaskState, TaskState]) => ALLOWED[from].includes(to)

describe('the states of a task', () => {
  it.each(PAIRS.filter(isAllowed))('go from %s to %s', (from, to) => {
    expect(canBecome(from, to)).toBe(true)
    expect(allowedFrom(to)).toContain(from)
  })

  it.each(PAIRS.filter((pair) => !isAllowed(pair)))('do not go from %s to %s', (from, to) => {
    expect(canBecome(from, to)).toBe(false)
    expect(allowedFrom(to)).not.toContain(from)
  })

  it.each(TASK_STATES)('say of %s whether it is an end: nothing follows it', (state) => {
    expect(isTerminal(state)).toBe(TASK_STATES.every((to) => !canBecome(state, to)))
  })

  it('end only where work was finished, failed or cancelled', () => {
    expect(TASK_STATES.filter(isTerminal)).toEqual(['completed', 'failed', 'cancelled'])
  })

  it.each(TASK_STATES)('can be completed in %s unless it is an end', (state) => {
    expect(canBecome(state, 'completed')).toBe(!isTerminal(state))
  })

  it.each(TASK_STATES)('can be cancelled in %s unless it is an end', (state) => {
    expect(canBecome(state, 'cancelled')).toBe(!isTerminal(state))
  })
})

describe('readTaskState', () => {
  it.each([
    ...TASK_STATES.map((state) => [state, state] as const),
    ['in_flight', 'running'],
    ['Running', 'pending'],
    ['', 'pending'],
    ['__proto__', 'pending'],
    ['something new', 'pending'],
    [undefined, 'pending'],
  ] as const)('reads %j as %s', (word, state) => {
    expect(readTaskState(word)).toBe(state)
  })
})

describe('readAgentState', () => {
  it.each([
    ...AGENT_STATES.map((state) => [state, state] as const),
    ['Idle', 'starting'],
    ['', 'starting'],
    ['toString', 'starting'],
    [undefined, 'starting'],
  ] as const)('reads %j as %s', (word, state) => {
    expect(readAgentState(word)).toBe(state)
  })

  it('knows which states tt takes for the end of an agent', () => {
    expect(AGENT_STATES.filter((state) => TERMINAL_AGENT_STATES.includes(state))).toEqual([
      'cold',
      'stopped',
      'error',
    ])
  })
})
