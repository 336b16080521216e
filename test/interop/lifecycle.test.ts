import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { encodeMessage, newMessage } from '../../src/domain/message.ts'
import { FAKE_AGENT } from '../rig/fake-agent.ts'
import { type TtTown, useTtTowns } from '../rig/tt.ts'
import { until } from '../rig/until.ts'

const newTown = useTtTowns()

/** Waits until an agent has shown so many more signs of life. */
async function lives(town: TtTown, name: string, count: number): Promise<void> {
  const { record } = await town.keysOf(name)
  const seen = new Set<string | null>()
  const more = async () => seen.add(await town.redis.hget(record, 'last_heartbeat')).size > count
  await until(more, `${name} shows ${count} more signs of life`)
}

describe('tt interrupt', () => {
  it('on an idle worker keeps it from taking anything until tt resume', async () => {
    const town = await newTown()
    const daemon = await town.worker('--lease-ms', '3000')
    expect(await town.tt('interrupt', 'worker-1')).toContain("Interrupted agent 'worker-1'")
    await daemon.says(/paused: no task is taken/)
    const id = await town.assign('worker-1', 'x')
    await town.tt('send', '--urgent', 'worker-1', 'y')
    // It looks once a second whether it may go on; by its next two signs of life it has looked.
    await lives(town, 'worker-1', 2)
    expect(town.agents.started).toBe(0)
    expect(await town.tt('task', 'show', id)).toContain('State: Assigned')
    expect(await town.tt('list')).toMatch(/worker-1 .* - Paused$/m)
    expect(await town.tt('resume', 'worker-1')).toContain("Resumed agent 'worker-1'")
    for (const text of ['y', 'x']) {
      const run = await town.agents.next()
      expect(run.hello.prompt).toBe(text)
      await run.stdout('ok\n')
      await run.exit(0)
    }
    await town.ttSays(['task', 'show', id], /State: Completed/)
  })

  it('hides nothing that comes the moment after: a ping is answered, a task is counted', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    const { inbox } = await town.keysOf('worker-1')
    await town.tt('interrupt', 'worker-1')
    // The wait that was open at the interrupt takes it.
    const createdAt = new Date().toISOString()
    const ping = {
      from: SUPERVISOR_ID,
      to: await town.idOf('worker-1'),
      body: { type: 'ping' },
      createdAt,
    } as const
    await town.redis.rpush(inbox, encodeMessage(newMessage(ping)))
    const id = await town.assign('worker-1', 'x')
    await daemon.says(/paused: no task is taken/)
    await town.ttSays(['inbox', 'supervisor'], /pong|Pong/)
    await town.ttSays(['inbox', 'worker-1'], /1 messages/)
    expect(await town.tt('task', 'show', id)).toContain('State: Assigned')
    expect(town.agents.started).toBe(0)
  })

  it('during a run lets it end with its result, and nothing else is taken', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await town.assign('worker-1', 'not yet')
    await town.tt('interrupt', 'worker-1')
    await run.stdout('ok\n')
    await run.exit(0)
    await daemon.says(/paused: no task is taken/)
    expect(await town.tt('task', 'show', id)).toMatch(/State: Completed[\s\S]*Result: ok/)
    expect(await town.tt('list')).toMatch(/worker-1 .* - Paused$/m)
    expect(await town.tt('inbox', 'worker-1')).toContain('1 messages')
    expect(town.agents.started).toBe(1)
  })

  it('and resume during a run show the worker at work again', async () => {
    const town = await newTown()
    await town.worker()
    await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await town.tt('interrupt', 'worker-1')
    await town.tt('resume', 'worker-1')
    await town.ttSays(['list'], /worker-1 .* - Working$/m)
    await run.exit(0)
  })
})

describe('tt kill', () => {
  it('ends an idle worker, and leaves no stop behind for the next one', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    expect(await town.tt('kill', 'worker-1')).toContain("Requested stop for agent 'worker-1'")
    expect(await daemon.exit).toBe(0)
    expect(await town.tt('wait', 'worker-1')).toContain('Stopped')
    expect(await town.tt('list')).toMatch(/worker-1 .* - Stopped$/m)
    expect(await town.redis.exists((await town.keysOf('worker-1')).stop)).toBe(0)
    await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await run.stdout('ok\n')
    await run.exit(0)
    await town.ttSays(['task', 'show', id], /State: Completed/)
  })

  it('during a run shows draining, so that reclaim, prune and restart leave it alone until the run has ended', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    const waiting = await town.assign('worker-1', 'not any more')
    await town.tt('kill', 'worker-1')
    await town.ttSays(['list'], /worker-1 .* - Draining$/m)
    expect(await town.tt('reclaim')).toContain('No dead agents found')
    expect(await town.tt('prune')).toContain('No agents to prune')
    expect(await town.tt('restart', 'worker-1')).toContain('is still active (Draining)')
    await run.stdout('finished\n')
    await run.exit(0)
    expect(await daemon.exit).toBe(0)
    expect(await town.tt('task', 'show', id)).toMatch(/State: Completed[\s\S]*Result: finished/)
    expect(await town.tt('task', 'show', waiting)).toContain('State: Assigned')
    expect(await town.tt('inbox', 'worker-1')).toContain('1 messages')
    expect(await town.tt('list')).toMatch(/worker-1 .* - Stopped$/m)
    expect(town.agents.started).toBe(1)
  })
})

describe('tt close', () => {
  it('drains the run in hand, and tt wait returns when its result is there', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    expect(await town.tt('close', 'worker-1')).toContain('draining current work')
    const waiter = town.startTt(['wait', 'worker-1'])
    await until(() => /Waiting for agent/.test(waiter.text()), 'tt waits')
    expect(await town.tt('wait', 'worker-1', '--timeout', '1')).toContain('Draining')
    await run.stdout('finished\n')
    await run.exit(0)
    expect(await waiter.ended).toMatchObject({ exit: 0, text: expect.stringContaining('Stopped') })
    expect(await town.tt('task', 'show', id)).toMatch(/State: Completed[\s\S]*Result: finished/)
    expect(await daemon.exit).toBe(0)
    expect(await town.ttFails('close', 'worker-1')).toContain('terminal state Stopped')
    expect(await town.ttFails('interrupt', 'worker-1')).toContain('terminal state Stopped')
    expect(await town.ttFails('resume', 'worker-1')).toContain('not Paused')
  })

  it('ends an idle worker', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    await town.tt('close', 'worker-1')
    expect(await town.tt('wait', 'worker-1', '--timeout', '20')).toContain('Stopped')
    expect(await daemon.exit).toBe(0)
  })

  it('ends a paused worker', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    await town.tt('interrupt', 'worker-1')
    await daemon.says(/paused: no task is taken/)
    await town.tt('close', 'worker-1')
    expect(await daemon.exit).toBe(0)
    expect(await town.tt('list')).toMatch(/worker-1 .* - Stopped$/m)
  })
})

describe('tt stop', () => {
  it('ends every worker of the town', async () => {
    const town = await newTown()
    const daemons = [await town.worker(), await town.worker('--name', 'worker-2')]
    expect(await town.tt('stop')).toContain('graceful stop for 2 agent(s)')
    expect(await Promise.all(daemons.map(({ exit }) => exit))).toEqual([0, 0])
    expect(await town.tt('stop')).toContain('No active agents')
  })
})

describe('tt restart', () => {
  it('is refused for a live worker', async () => {
    const town = await newTown()
    await town.worker()
    expect(await town.tt('restart', 'worker-1')).toContain("'worker-1' is still active (Idle)")
  })

  it('runs the loop of tt under the id of a stopped worker, which takes its name back afterwards', async () => {
    const town = await newTown()
    const first = await town.worker()
    const id = await town.idOf('worker-1')
    first.signal('SIGTERM')
    await first.exit
    const upstream = await town.assign('worker-1', 'for the loop of tt')
    const loop = town.startTt(['restart', 'worker-1', '--foreground', '--rounds', '1'])
    const round = await town.agents.next()
    expect(round.hello.env).toMatchObject({ TINYTOWN_AGENT_ID: id, TINYTOWN_AGENT_NAME: 'worker-1' })
    await town.tt('task', 'complete', upstream, '--result', 'by the loop')
    await round.exit(0)
    expect((await loop.ended).text).toContain("Agent 'worker-1' finished: 1 rounds, 1 tasks")
    await town.worker()
    expect(await town.idOf('worker-1')).toBe(id)
    const ours = await town.assign('worker-1', 'for the worker')
    const run = await town.agents.next()
    await run.stdout('by the worker\n')
    await run.exit(0)
    await town.ttSays(['task', 'show', ours], /Result: by the worker/)
    expect((await town.tt('list')).match(/worker-1/g)).toHaveLength(2)
  })
})

describe('tt prune', () => {
  it('of a worker whose CLI is missing costs no task: it comes back with its queue', async () => {
    const town = await newTown()
    const program = join(town.root, 'later')
    await appendFile(
      join(town.root, 'tinytown.toml'),
      `\n[agent_clis.later]\nname = "later"\ncommand = ${JSON.stringify(program)}\npass_env = ["FAKE_AGENT_SOCKET"]\n`,
    )
    const daemon = await town.worker('--cli', 'later')
    const id = await town.assign('worker-1', 'precious')
    await until(
      async () => (await town.redis.exists((await town.keysOf('worker-1')).spareInbox)) === 1,
      'it is put by',
    )
    expect(await town.tt('prune')).toMatch(/Removed worker-1 .* - Error/)
    await daemon.says(/pruned while it stood in error[\s\S]*registered as worker-1/)
    await town.ttSays(['inbox', 'worker-1'], /1 messages/)
    await writeFile(program, `#!/bin/sh\nexec ${FAKE_AGENT}\n`, { mode: 0o755 })
    const run = await town.agents.next()
    expect(run.hello.prompt).toBe('precious')
    await run.stdout('ok\n')
    await run.exit(0)
    await town.ttSays(['task', 'show', id], /State: Completed/)
  })

  it('removes a stopped worker, and its name can start again', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    expect(await town.tt('prune')).toContain('No agents to prune')
    daemon.signal('SIGTERM')
    await daemon.exit
    expect(await town.tt('prune')).toMatch(/Removed worker-1 .* - Stopped/)
    expect(await town.tt('list')).toContain('No agents')
    await town.worker()
    expect(await town.tt('list')).toMatch(/worker-1 .* - Idle$/m)
  })

  it('--all during a run evicts the worker: the run ends with its result, the agent is not made again', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    expect(await town.tt('prune', '--all')).toMatch(/Removed worker-1 .* - Working/)
    await daemon.says(/draining \(the agent record was deleted\)/)
    await run.stdout('finished\n')
    await run.exit(0)
    await daemon.exit
    expect(await town.tt('task', 'show', id)).toMatch(/State: Completed[\s\S]*Result: finished/)
    expect(await town.tt('list')).toContain('No agents')
  })
})

describe('tt reset', () => {
  it('--agents-only evicts an idle worker and keeps the tasks', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    const id = await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await run.stdout('ok\n')
    await run.exit(0)
    await town.ttSays(['task', 'show', id], /State: Completed/)
    expect(await town.tt('reset', '--agents-only', '--force')).toContain('Reset complete')
    await daemon.exit
    expect(await town.tt('list')).toContain('No agents')
    expect(await town.tt('task', 'list')).toMatch(/✅ \w{4} - x/)
  })

  it('takes everything away, and a live worker registers in the empty town again', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    expect(await town.tt('reset', '--force')).toContain('Reset complete')
    expect(await town.tt('task', 'list')).toContain('No tasks')
    await town.ttSays(['list'], /worker-1 .* - Idle$/m)
    const id = await town.assign('worker-1', 'in the new town')
    const run = await town.agents.next()
    await run.stdout('ok\n')
    await run.exit(0)
    await town.ttSays(['task', 'show', id], /State: Completed/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
  })
})
