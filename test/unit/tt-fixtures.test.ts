import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { decodeEvent } from '../../src/domain/event.ts'
import { parseId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { decodeMessage, encodeMessage, type MessageBody } from '../../src/domain/message.ts'
import { readAgent, readTask } from '../../src/store/records.ts'

// What the real `tt` 0.10.0 wrote; test/interop/fixtures.test.ts recorded it and checks that it still writes the same.
function fixture<T>(name: string): T {
  const path = new URL(`../fixtures/tt-0.10.0/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(path, 'utf8')) as T
}

const agents = fixture<Record<string, Record<string, string>>>('agents')
const tasks = fixture<Record<string, Record<string, string>>>('tasks')
const messages = fixture<Record<string, string>>('messages')

describe('a message of tt', () => {
  it.each(Object.entries(messages))('%s is written again byte for byte', (_, raw) => {
    const decoded = decodeMessage(raw)
    if (!decoded.ok) throw new Error(decoded.error)
    expect(encodeMessage(decoded.message)).toBe(raw)
  })

  it.each<[string, MessageBody]>([
    ['task_assign', { type: 'task_assign', task_id: tasks.assigned?.id ?? '' }],
    ['task', { type: 'task', description: 'Tidy "up"\nüber 🚀 \\ / </script>' }],
    ['query', { type: 'query', question: 'What is 6 x 7?' }],
    ['informational', { type: 'informational', summary: 'The API moved\tto v2' }],
    ['confirmationReceived', { type: 'confirmation', ack_type: { type: 'received' } }],
    ['confirmationApproved', { type: 'confirmation', ack_type: { type: 'approved' } }],
    ['confirmationThanks', { type: 'confirmation', ack_type: { type: 'thanks' } }],
    ['confirmationAcknowledged', { type: 'confirmation', ack_type: { type: 'acknowledged' } }],
    ['confirmationRejected', { type: 'confirmation', ack_type: { type: 'rejected', reason: 'no tests' } }],
    ['urgentTask', { type: 'task', description: 'At once' }],
    ['taskFromAgent', { type: 'task', description: 'From another agent' }],
  ])('%s says what was meant', (name, body) => {
    const from = name === 'taskFromAgent' ? agents.spawned?.id : SUPERVISOR_ID
    expect(decodeMessage(messages[name] ?? '')).toMatchObject({
      ok: true,
      message: { from, to: agents.working?.id, body, priority: 'normal' },
    })
  })
})

describe('an agent record of tt', () => {
  it.each([
    ['spawned', { name: 'lead', state: 'stopped', tasksCompleted: 0, roundsCompleted: 0 }],
    ['spawnedWithRole', { name: 'coder', state: 'stopped', roleId: 'backend', nickname: 'The coder' }],
    ['working', { state: 'working', currentTask: tasks.assigned?.id, tasksCompleted: 0 }],
    ['workingOnOne', { state: 'working', currentTask: tasks.running?.id }],
    ['paused', { state: 'paused', tasksCompleted: 1 }],
    ['draining', { state: 'draining', tasksCompleted: 1 }],
    ['stopped', { state: 'stopped', tasksCompleted: 1, roundsCompleted: 1 }],
  ])('%s is read', (name, expected) => {
    const agent = readAgent(agents[name] ?? {})
    expect(agent).toMatchObject({ cli: 'fake', ...expected })
    for (const time of [agent?.createdAt, agent?.lastHeartbeat, agent?.lastActiveAt])
      expect(Date.parse(time ?? '')).not.toBeNaN()
    if (!('currentTask' in expected)) expect(agent).not.toHaveProperty('currentTask')
  })
})

describe('a task record of tt', () => {
  const description = 'Say "hi"\nin two lines: ü 🚀'
  it.each([
    ['assigned', { state: 'assigned', description, assignedTo: agents.working?.id, tags: [] }],
    ['running', { state: 'running', description: 'only one', startedAt: tasks.running?.started_at }],
    [
      'completed',
      { state: 'completed', description, result: 'said\n"hi"', completedAt: tasks.completed?.completed_at },
    ],
    ['backlog', { state: 'pending', description: 'Document it', tags: ['docs', 'api'] }],
  ])('%s is read', (name, expected) => {
    const task = readTask(tasks[name] ?? {})
    expect(task).toMatchObject(expected)
    for (const time of [task?.createdAt, task?.updatedAt]) expect(Date.parse(time ?? '')).not.toBeNaN()
    if (name === 'backlog') expect(task).not.toHaveProperty('assignedTo')
  })
})

describe('an event of tt', () => {
  it.each(fixture<string[][]>('events'))('%s %s is read', (_, type, field, data = '') => {
    expect(field).toBe('data')
    const event = decodeEvent(data)
    expect(event).toMatchObject({ event_type: type, agent_id: agents.working?.id })
    expect(Date.parse(event?.timestamp ?? '')).not.toBeNaN()
  })
})

describe('the backlog of tt', () => {
  it('is a list of task ids as we write them', () => {
    const [id = ''] = fixture<string[]>('backlog')
    expect(parseId(id)).toBe(id)
    expect(id).toBe(tasks.backlog?.id)
  })
})
