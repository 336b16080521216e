import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { type MessageBody, newMessage } from '../../src/domain/message.ts'
import { type Route, routeMessage } from '../../src/worker/route.ts'

const TASK = newId()

function routed(body: MessageBody): Route {
  const message = {
    ...newMessage({ from: SUPERVISOR_ID, to: newId(), body, createdAt: '2026-11-21T09:05:50Z' }),
  }
  const route = routeMessage({ ...message, id: 'message-1' }, { state: 'working', currentTask: TASK })
  return route
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
})
