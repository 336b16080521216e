import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { type MessageBody, newMessage } from '../../src/domain/message.ts'
import { type Route, routeMessage } from '../../src/worker/route.ts'

const TASK = newId()

const AGENT = newId()

function routed(body: MessageBody, { to = AGENT, agentId = AGENT } = {}): Route {
  const message = newMessage({ from: SUPERVISOR_ID, to, body, createdAt: '2026-11-21T09:05:50Z' })
  return routeMessage({ ...message, id: 'message-1' }, { agentId, state: 'working', currentTask: TASK })
}

describe('routeMessage', () => {
  it.each<[MessageBody, Route]>([
    [
      { type: 'task_assign', task_id: TASK },
      { kind: 'run', taskId: TASK },
    ],
    [
      { type: 'task', description: 'do it' },
      { kind: 'run', taskId: 'message-1', description: 'do it' },
    ],
    [
      { type: 'query', question: 'why?' },
      { kind: 'run', taskId: 'message-1', description: 'why?' },
    ],
    [
      { type: 'informational', summary: 'news' },
      { kind: 'note', text: 'news' },
    ],
    ...(['received', 'acknowledged', 'thanks', 'approved'] as const).map((type): [MessageBody, Route] => [
      { type: 'confirmation', ack_type: { type } },
      { kind: 'note', text: `Confirmation: ${type}` },
    ]),
    [
      { type: 'confirmation', ack_type: { type: 'rejected', reason: 'too big' } },
      { kind: 'note', text: 'Rejected: too big' },
    ],
    [
      { type: 'task_done', task_id: 't', result: 'ok' },
      { kind: 'note', text: 'Task t is done: ok' },
    ],
    [
      { type: 'task_failed', task_id: 't', error: 'bad' },
      { kind: 'note', text: 'Task t failed: bad' },
    ],
    [
      { type: 'custom', kind: 'k', payload: '{"a":1}' },
      { kind: 'note', text: 'k: {"a":1}' },
    ],
    [{ type: 'ping' }, { kind: 'answer', body: { type: 'pong' } }],
    [
      { type: 'status_request' },
      { kind: 'answer', body: { type: 'status_response', state: 'working', current_task: TASK } },
    ],
    [{ type: 'shutdown' }, { kind: 'drain' }],
    [{ type: 'pong' }, { kind: 'drop' }],
    [{ type: 'status_response', state: 'idle' }, { kind: 'drop' }],
  ])('sends %j the way %j', (body, route) => {
    expect(routed(body)).toEqual(route)
  })

  it('makes a task for each agent of what was told to all of them, the same one at every reading', () => {
    const body = { type: 'query', question: 'why?' } as const
    const [one, again, other] = [AGENT, AGENT, newId()].map((agentId) =>
      routed(body, { to: SUPERVISOR_ID, agentId }),
    )
    expect(one).toMatchObject({ kind: 'run', taskId: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect(again).toEqual(one)
    expect(other).not.toEqual(one)
  })
})
