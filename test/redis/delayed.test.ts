import { expect, it } from 'vitest'
import { idWithin, newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { encodeMessage, type MessageBody, newMessage } from '../../src/domain/message.ts'
import { nextAttemptAt } from '../../src/store/delayed.ts'
import { useTown } from '../rig/redis.ts'

const here = useTown()

it('tells when the next attempt of a task is due, whatever kind of message brought it', async () => {
  const [agentId, taskId] = [newId(), newId()]
  const message = (body: MessageBody, to = agentId) =>
    newMessage({ from: SUPERVISOR_ID, to, body, createdAt: '2026-11-21T20:00:00Z' })
  const assigned = message({ type: 'task_assign', task_id: taskId })
  const asked = message({ type: 'query', question: 'what?' })
  const toAll = message({ type: 'task', description: 'all of you' }, newId())
  const { delayed } = here.town.agent(agentId)
  const at = 1_795_000_000_123
  const due = [assigned, asked, toAll].flatMap((one, index) => [at + index, encodeMessage(one)])
  await here.redis.zadd(delayed, 1, 'what nobody can read', ...due)
  const found = (id: string) => nextAttemptAt(here.redis, here.town, { agentId, taskId: id })
  expect(await found(taskId)).toBe(at)
  expect(await found(asked.id)).toBe(at + 1)
  expect(await found(idWithin(toAll.id, agentId))).toBe(at + 2)
  expect(await found(newId())).toBeNull()
})
