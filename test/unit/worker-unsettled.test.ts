import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { encodeMessage, newMessage } from '../../src/domain/message.ts'
import { newTask } from '../../src/domain/task.ts'
import { decodeUnsettled, encodeUnsettled, type Unsettled } from '../../src/worker/unsettled.ts'

const agentId = newId()
const task = { ...newTask({ description: 'Do X', tags: ['a'] }), sessionId: 's-1' }
const message = newMessage({
  from: SUPERVISOR_ID,
  to: agentId,
  body: { type: 'task_assign', task_id: task.id },
  createdAt: '2026-01-01T00:00:00Z',
})
const run: Unsettled = {
  agentId,
  startId: newId(),
  settleId: newId(),
  claimed: { raw: encodeMessage(message), digest: 'd' },
  task,
  startedAt: '2026-01-01T00:00:01Z',
  attempt: 2,
  notesUsed: 3,
  cliVersion: '1.2.3',
  end: {
    kind: 'settle',
    state: 'failed',
    result: 'line 1\nline 2 — ü',
    truncated: true,
    reason: 'exit',
    facts: { durationMs: 12.5, toolCalls: 1, exitCode: 1, costUsd: 0.25 },
    eventMessage: 'exit: line 1',
    activity: 'failed',
  },
}

describe('a run that is over and not settled', () => {
  it('is read back as it was written, with its message', () => {
    expect(decodeUnsettled(encodeUnsettled(run), agentId)).toEqual({ run, message })
  })

  it('is read back without what is not known of it', () => {
    const { cliVersion: _, ...bare } = run
    const { reason: __, ...end } = run.end
    const less = { ...bare, end: { ...end, state: 'completed' as const } }
    expect(decodeUnsettled(encodeUnsettled(less), agentId)?.run).toEqual(less)
  })

  it.each<[string, string]>([
    ['no text', ''],
    ['no JSON', '{"version":1,'],
    ['no object', '[]'],
    ['of another version', JSON.stringify({ ...run, version: 2 })],
    ['of another agent', encodeUnsettled({ ...run, agentId: newId() })],
    ['without its end', JSON.stringify({ ...run, version: 1, end: undefined })],
    [
      'with a state that is no end',
      encodeUnsettled({ ...run, end: { ...run.end, state: 'running' as never } }),
    ],
    ['of a task without an id', encodeUnsettled({ ...run, task: { ...task, id: 'x' } })],
    ['with a message that is none', encodeUnsettled({ ...run, claimed: { raw: '{', digest: 'd' } })],
  ])('is not read where it is %s', (_, text) => {
    expect(decodeUnsettled(text, agentId)).toBeNull()
  })
})
