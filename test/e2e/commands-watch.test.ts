import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { useTowns } from '../rig/towns.ts'
import { until } from '../rig/until.ts'

const { townWithAgent, townWithWorker } = useTowns()

describe('events', () => {
  async function eventful() {
    const made = await townWithAgent()
    const { redis, keys, id } = made
    let count = 0
    return {
      ...made,
      async happen(fields: object = {}) {
        count += 1
        const event = {
          event_type: 'task_assigned',
          agent_id: id,
          message: `number ${count}`,
          timestamp: '2026-11-21T09:05:50.237692465Z',
          ...fields,
        }
        for (const stream of [keys.events, keys.agent(event.agent_id).events]) {
          await redis.xadd(stream, '*', 'event_type', event.event_type, 'data', JSON.stringify(event))
        }
      },
    }
  }

  it('shows the newest, oldest first, and leaves out what is none', async () => {
    const { cli, redis, keys, happen } = await eventful()
    expect(await cli('events')).toMatchObject({ stdout: '', stderr: 'Nothing has happened that is kept\n' })
    for (let at = 0; at < 3; at += 1) await happen()
    const taskId = newId()
    const other = newId()
    await happen({
      agent_id: other,
      task_id: taskId,
      old_state: 'Idle',
      new_state: 'Working',
      message: '\u001b[2Jx',
    })
    await redis.xadd(keys.events, '*', 'data', 'nonsense')
    const { stdout } = await cli('events', '-n', '3')
    expect(stdout.split('\n')).toEqual([
      '2026-11-21T09:05:50Z  task_assigned        worker-1      -         number 3',
      `2026-11-21T09:05:50Z  task_assigned        ${other.slice(0, 8)} (deleted)  ${taskId.slice(0, 8)}  Idle -> Working: x`,
      '',
    ])
    const own = (await cli('events', '--agent', 'worker-1', '--json')).stdout.trim().split('\n')
    expect(own.map((line) => JSON.parse(line).message)).toEqual(['number 1', 'number 2', 'number 3'])
    expect(JSON.parse(own[0] ?? '')).toMatchObject({
      at: expect.stringMatching(/^\d+-\d+$/),
      event_type: 'task_assigned',
    })
  })

  it('goes on with -f, prints nothing twice and ends at Ctrl-C with 130', async () => {
    const { start, happen } = await eventful()
    await happen()
    await happen()
    const following = start('events', '-f', '-n', '1')
    await following.says(/number 2/)
    for (let at = 3; at <= 5; at += 1) {
      await happen()
      await following.says(new RegExp(`number ${at}`))
    }
    const seen = [...following.stdout().matchAll(/number (\d)/g)].map(([, number]) => number)
    expect(seen).toEqual(['2', '3', '4', '5'])
    following.signal('SIGINT')
    expect(await following.exit).toBe(130)
  })

  it('begins with what is new with -n 0, and names an agent that came later', async () => {
    const { start, redis, keys, happen } = await eventful()
    await happen()
    const following = start('events', '-f', '-n', '0')
    await until(async () => /:events:.*cmd=xread/.test(String(await redis.client('LIST'))), 'it follows')
    const late = newId()
    await redis.hset(keys.agent(late).record, { id: late, name: 'late-1' })
    await happen({ agent_id: late })
    await following.says(/late-1 .*number 2/)
    expect(following.stdout()).not.toContain('number 1')
    following.signal('SIGTERM')
    expect(await following.exit).toBe(143)
  })

  it('tells the life of a task', async () => {
    const { cli, agents } = await townWithWorker()
    const taskId = (await cli('assign', 'worker-1', 'x')).stdout.trim()
    const run = await agents.next()
    await run.stdout('done\n')
    await run.exit(0)
    await cli('wait', taskId)
    const types = (await cli('events', '--json')).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).event_type)
    expect(types).toEqual([
      'agent_spawned',
      'agent_state_changed',
      'task_assigned',
      'agent_state_changed',
      'task_completed',
    ])
  })
})

describe('status --watch', () => {
  it('prints a block per change into a pipe, and ends at Ctrl-C with 130', async () => {
    const { cli, start, redis, keys, id } = await townWithAgent()
    const watching = start('status', '--watch')
    await watching.says(/Waiting +0\n(.*\n)*worker-1 +idle/)
    // Neither a sign of life nor an event that changes nothing is a change.
    await redis.hset(keys.agent(id).record, { last_heartbeat: new Date().toISOString() })
    await redis.xadd(keys.events, '*', 'event_type', 'x', 'data', '{}')
    await cli('assign', 'worker-1', 'x')
    await watching.says(/Waiting +1\n/)
    expect(watching.stdout().match(/^Town +test$/gm)).toHaveLength(2)
    watching.signal('SIGINT')
    expect(await watching.exit).toBe(130)
  })

  it('tells a program each change in a line', async () => {
    const { start, agents, cli } = await townWithWorker()
    const watching = start('status', '--watch', '--json')
    await watching.says(/"idle":1/)
    await cli('assign', 'worker-1', 'x')
    const run = await agents.next()
    await watching.says(/"working":1/)
    await run.stdout('done\n')
    await run.exit(0)
    await watching.says(/"completed":1/)
    watching.signal('SIGTERM')
    expect(await watching.exit).toBe(143)
    const lines = watching.stdout().trim().split('\n')
    expect(lines.map((line) => JSON.parse(line).town)).toEqual(lines.map(() => 'test'))
  })
})
