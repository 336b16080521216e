import { describe, expect, it } from 'vitest'
import { Channel } from '../../src/client/channel.ts'
import { newAgent } from '../../src/domain/agent.ts'
import { encodeMessage, newMessage } from '../../src/domain/message.ts'
import { useTtTowns } from '../rig/tt.ts'
import { ID, IDS, NO_IDS, NO_TIMES, TIMES } from '../rig/wire-forms.ts'

const newTown = useTtTowns()
const AT = '2026-11-21T09:05:50Z'

/** Which of these texts `tt inbox` reads, where each stands in a message of its own. */
async function readByTt(texts: readonly string[], field: 'id' | 'created_at'): Promise<string[]> {
  const town = await newTown()
  const agent = newAgent({ name: 'worker-1', cli: 'fake' })
  await new Channel(town.redis, town.keys.town).setAgentState(agent)
  const read: string[] = []
  for (const text of texts) {
    const body = { type: 'informational', summary: 'readable' } as const
    const message = newMessage({ from: ID, to: agent.id, body, createdAt: AT })
    const raw = JSON.stringify({ ...JSON.parse(encodeMessage(message)), [field]: text })
    const { inbox } = town.keys.agent(agent.id)
    await town.redis.del(inbox)
    await town.redis.rpush(inbox, raw)
    if (/\[I\] readable/.test(await town.tt('inbox', 'worker-1'))) read.push(text)
  }
  return read
}

describe('in a message of somebody else, the real tt reads', () => {
  it('the times that we read, and no others', async () => {
    const times = TIMES.map(([text]) => text)
    expect(await readByTt([...times, ...NO_TIMES], 'created_at')).toEqual(times)
  })

  it('the ids that we read, and no others', async () => {
    const ids = IDS.map(([, text]) => text)
    expect(await readByTt([...ids, ...NO_IDS], 'id')).toEqual(ids)
  })
})
