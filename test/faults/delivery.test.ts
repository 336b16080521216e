import { describe, expect, it } from 'vitest'
import type { Delivery } from '../../src/domain/delivery.ts'
import { newId } from '../../src/domain/ids.ts'
import { encodeMessage, type MessageBody, newMessage } from '../../src/domain/message.ts'
import { listDeadLetters } from '../../src/store/dead-letters.ts'
import { recentEvents } from '../../src/store/events.ts'
import { settle } from '../../src/store/scripts/settle.ts'
import { start } from '../../src/store/scripts/start.ts'
import { type Daemon, processLives, type TestTown, useClosers } from '../rig/daemon.ts'
import type { FakeAgents } from '../rig/fake-agent.ts'
import { runOf, useFaultyTown } from '../rig/faulty-town.ts'
import { agentOf, assign, ended, taskThat } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const newTown = useFaultyTown(onClose)

const SHORT = ['--cli', 'fake', '--lease-ms', '1000', '--kill-grace', '500ms', '--max-attempts', '3']
const PEER = [...SHORT, '--name', 'peer']
const worker = (delivery: Delivery) => [...SHORT, '--delivery', delivery]

/** A message of somebody who waits for its answer. */
async function letter(town: TestTown, body: MessageBody) {
  const { id: to } = await agentOf(town)
  const message = newMessage({ from: newId(), to, body, createdAt: new Date().toISOString() })
  const raw = encodeMessage(message)
  const { inbox, urgent } = town.keys.agent(to)
  const redis = await town.redis()
  return {
    ...message,
    push: () => redis.rpush(inbox, raw),
    pushUrgent: () => redis.lpush(urgent, raw),
    answers: async () =>
      (await redis.lrange(town.keys.agent(message.from).inbox, 0, -1)).map((text) => JSON.parse(text)),
  }
}

async function succeed(agents: FakeAgents, text = 'ok'): Promise<string> {
  const run = await agents.next()
  await run.stdout(text)
  await run.exit(0)
  return run.hello.prompt
}

async function killed(daemon: Daemon): Promise<void> {
  daemon.signal('SIGKILL')
  await daemon.exit
}

/** Has one more task done: whatever was to be run before it was run. */
async function doOneMore(town: TestTown, agents: FakeAgents): Promise<string> {
  const id = await assign(town, 'one more')
  const prompt = await succeed(agents)
  expect(await ended(town, id)).toMatchObject({ state: 'completed' })
  return prompt
}

async function letters(town: TestTown) {
  return await listDeadLetters(await town.redis(), town.keys)
}

/** The ends that the events of the town tell of a task. */
async function endsOf(town: TestTown, id: string): Promise<string[]> {
  const events = await recentEvents(await town.redis(), town.keys.events, 200)
  return events
    .filter(({ event }) => event.task_id === id && /^task_(completed|failed)$/.test(event.event_type))
    .map(({ event }) => event.event_type)
}

/** Asserts that a task has failed once, as its only run died, and that its message is kept. */
async function hasFailedVisibly(town: TestTown, id: string): Promise<void> {
  expect(await ended(town, id)).toMatchObject({
    state: 'failed',
    reason: 'crashed',
    attempts: 1,
    result: expect.stringMatching(/died in the middle of the run/),
  })
  expect(await letters(town)).toMatchObject([{ taskId: id, reason: 'crashed' }])
  expect(await endsOf(town, id)).toEqual(['task_failed'])
}

describe('kill -9 in the middle of a run', () => {
  it.each(['at-least-once', 'exactly-once'] as const)(
    '%s: has the task run again, and its result written and answered once',
    async (delivery) => {
      const { town, agents } = await newTown()
      const first = await town.worker(...worker(delivery))
      const asked = await letter(town, { type: 'task', description: 'x' })
      await asked.push()
      const run = await agents.next()
      await killed(first)
      await town.worker(...worker(delivery))
      await succeed(agents, 'the only result')
      expect(await ended(town, asked.id)).toMatchObject({
        state: 'completed',
        result: 'the only result',
        attempts: 2,
      })
      expect(await processLives(run.hello.pid)).toBe(false)
      expect(await endsOf(town, asked.id)).toEqual(['task_completed'])
      expect(await asked.answers()).toMatchObject([{ type: 'task_done', correlation_id: asked.id }])
      expect(await letters(town)).toEqual([])
      expect(agents.started).toBe(2)
    },
  )

  it('at-most-once: the next start fails the task, answers, and keeps its message for a person', async () => {
    const { town, agents } = await newTown()
    const first = await town.worker(...worker('at-most-once'))
    const asked = await letter(town, { type: 'task', description: 'x' })
    await asked.push()
    const run = await agents.next()
    await killed(first)
    // The mode of the run counts, not that of whoever finds it.
    const next = await town.worker(...worker('at-least-once'))
    await hasFailedVisibly(town, asked.id)
    await next.says(/task failed: The worker died in the middle of the run/)
    expect(await asked.answers()).toMatchObject([{ type: 'task_failed', correlation_id: asked.id }])
    expect(await doOneMore(town, agents)).toBe('one more')
    expect(agents.started).toBe(2)
    await until(async () => !(await processLives(run.hello.pid)), 'the run of the dead worker is ended')
    const [{ id = '' } = {}] = await letters(town)
    expect(await town.cli('dead-letters', 'retry', id)).toMatchObject({ exit: 0 })
    expect(await succeed(agents)).toBe('x')
    expect(await taskThat(town, asked.id, ({ state }) => state === 'completed', 'is done')).toMatchObject({
      attempts: 1,
    })
  })
})

describe('kill -9 in the middle of a run, with a peer', () => {
  it.each(['at-least-once', 'exactly-once'] as const)(
    '%s: the peer gives the task back for the next start',
    async (delivery) => {
      const { town, agents } = await newTown()
      const peer = await town.worker(...PEER)
      const first = await town.worker(...worker(delivery))
      const id = await assign(town, 'x')
      await agents.next()
      await killed(first)
      await peer.says(/its inbox has 1 message\(s\) back/)
      expect(await taskThat(town, id, ({ state }) => state === 'assigned', 'is given back')).toBeDefined()
      await town.worker(...worker(delivery))
      await succeed(agents)
      expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 2 })
      expect(await endsOf(town, id)).toEqual(['task_completed'])
    },
  )

  it('at-most-once: the peer fails the task and answers, and nobody runs it', async () => {
    const { town, agents } = await newTown()
    const peer = await town.worker(...PEER)
    const first = await town.worker(...worker('at-most-once'))
    const asked = await letter(town, { type: 'query', question: 'x' })
    await asked.push()
    await agents.next()
    const waiting = await assign(town, 'waits')
    await killed(first)
    await peer.says(
      new RegExp(`its inbox has 0 message\\(s\\) back; run at most once and failed: ${asked.id}`),
    )
    await hasFailedVisibly(town, asked.id)
    expect(await asked.answers()).toMatchObject([{ type: 'task_failed', correlation_id: asked.id }])
    expect(await agentOf(town)).toMatchObject({ state: 'error' })
    await town.worker(...worker('at-most-once'))
    expect(await succeed(agents)).toBe('waits')
    expect(await ended(town, waiting)).toMatchObject({ state: 'completed' })
    expect(agents.started).toBe(2)
  })

  it('at-most-once: a worker that was only asleep ends its run and does not run the task again', async () => {
    const { town, agents } = await newTown()
    const peer = await town.worker(...PEER)
    const sleeper = await town.worker(...worker('at-most-once'))
    const id = await assign(town, 'x')
    const run = await agents.next()
    sleeper.signal('SIGSTOP')
    await peer.says(/run at most once and failed/)
    sleeper.signal('SIGCONT')
    await sleeper.says(/a peer took it for dead/)
    await doOneMore(town, agents)
    expect(await processLives(run.hello.pid)).toBe(false)
    await hasFailedVisibly(town, id)
    expect(agents.started).toBe(2)
  })
})

describe.each(['at-least-once', 'at-most-once', 'exactly-once'] as const)('%s', (delivery) => {
  it('runs what was claimed and not started when the worker was killed, once', async () => {
    const { town, agents, proxy, behindProxy } = await newTown()
    const first = await behindProxy(...worker(delivery))
    const held = proxy.hold(runOf(start))
    const id = await assign(town, 'x')
    await held.arrived
    await killed(first)
    await town.worker(...worker(delivery))
    await succeed(agents)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
    expect(agents.started).toBe(1)
  })

  it('24: runs one of two copies that lie in inbox and urgent, and answers once', async () => {
    const { town, agents } = await newTown()
    await town.worker(...worker(delivery))
    const blocker = await assign(town, 'first')
    const run = await agents.next()
    const asked = await letter(town, { type: 'task', description: 'x' })
    await asked.push()
    await asked.pushUrgent()
    await run.stdout('ok')
    await run.exit(0)
    await ended(town, blocker)
    expect(await succeed(agents)).toBe('x')
    expect(await doOneMore(town, agents)).toBe('one more')
    expect(agents.started).toBe(3)
    expect(await asked.answers()).toHaveLength(1)
    expect(await ended(town, asked.id)).toMatchObject({ attempts: 1 })
  })

  it('24: kill -9 behind a settle whose reply got lost leaves one result, and a copy that comes later', async () => {
    const { town, agents, proxy, behindProxy } = await newTown()
    const first = await behindProxy(...worker(delivery))
    // The server learns the scripts: a reply that says it does not know one is not the reply to a settle.
    await doOneMore(town, agents)
    const asked = await letter(town, { type: 'task', description: 'x' })
    await asked.push()
    const lost = proxy.loseReply(runOf(settle))
    await succeed(agents, 'the only result')
    await lost
    await killed(first)
    const next = await town.worker(...worker(delivery))
    expect(await doOneMore(town, agents)).toBe('one more')
    expect(await ended(town, asked.id)).toMatchObject({
      state: 'completed',
      result: 'the only result',
      attempts: 1,
    })
    expect(await endsOf(town, asked.id)).toEqual(['task_completed'])
    expect(await asked.answers()).toHaveLength(1)
    // Only an id that is remembered outlives the record of its task.
    await (await town.redis()).del(town.keys.task(asked.id))
    await asked.push()
    if (delivery === 'at-least-once') {
      expect(await succeed(agents)).toBe('x')
      await ended(town, asked.id)
      expect(await asked.answers()).toHaveLength(2)
      return
    }
    await next.says(new RegExp(`task message ${asked.id} was handled before`))
    expect(await doOneMore(town, agents)).toBe('one more')
    expect(agents.started).toBe(4)
    expect(await asked.answers()).toHaveLength(1)
  })

  it('24: tells a note that came twice across a kill -9 as often as it promises', async () => {
    const { town, agents } = await newTown()
    const first = await town.worker(...worker(delivery))
    const note = await letter(town, { type: 'informational', summary: 'The API moved' })
    await note.push()
    await first.says(/informational message kept/)
    await killed(first)
    const next = await town.worker(...worker(delivery))
    await note.push()
    await next.says(/informational message (kept|.* was handled before)/)
    const prompt = await doOneMore(town, agents)
    expect(prompt.match(/The API moved/g)).toHaveLength(delivery === 'at-least-once' ? 2 : 1)
  })
})

describe('exactly once', () => {
  it('24: a copy of the message that ended a worker does not end the next one', async () => {
    const { town, agents } = await newTown()
    const first = await town.worker(...worker('exactly-once'))
    const shutdown = await letter(town, { type: 'shutdown' })
    await shutdown.push()
    expect(await first.exit).toBe(0)
    await shutdown.push()
    const next = await town.worker(...worker('exactly-once'))
    await next.says(/shutdown message .* was handled before/)
    await doOneMore(town, agents)
  })
})

describe('exactly once, with a reply that gets lost', () => {
  it('24: takes a message that was a duplicate for one when it is asked again', async () => {
    const { town, agents, proxy, behindProxy } = await newTown()
    const daemon = await behindProxy(...worker('exactly-once'), '--retry-delay', '10m')
    const redis = await town.redis()
    const { inbox, inFlight, delayed } = town.keys.agent((await agentOf(town)).id)
    const id = await assign(town, 'x')
    await (await agents.next()).exit(1)
    await taskThat(town, id, ({ state }) => state === 'assigned', 'waits')
    const waiting = await redis.zrange(delayed, '0', '-1')
    const lost = proxy.loseReply(runOf(start))
    await redis.rpush(inbox, ...waiting)
    await lost
    await daemon.says(/was handled before/)
    expect(await taskThat(town, id, () => true, 'is there')).toMatchObject({ state: 'assigned', attempts: 1 })
    expect(await redis.zcard(delayed)).toBe(1)
    expect(await redis.exists(inFlight)).toBe(0)
    expect(agents.started).toBe(1)
  })
})

describe('at most once, without a crash', () => {
  it('is told at the start and in the status', async () => {
    const { town } = await newTown()
    const daemon = await town.worker(...worker('at-most-once'))
    expect(daemon.stderr()).toContain('delivery at-most-once')
    const { stdout } = await town.cli('status', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ agents: [{ name: 'worker-1', delivery: 'at-most-once' }] })
  })

  it('takes a start whose reply got lost for the same start', async () => {
    const { town, agents, proxy, behindProxy } = await newTown()
    await behindProxy(...worker('at-most-once'))
    // The server learns the scripts: a reply that says it does not know one is not the reply to a start.
    await doOneMore(town, agents)
    const lost = proxy.loseReply(runOf(start))
    const id = await assign(town, 'x')
    await lost
    expect(await succeed(agents)).toBe('x')
    expect(await ended(town, id)).toMatchObject({ state: 'completed', attempts: 1 })
    expect(agents.started).toBe(2)
  })

  it('fails a task whose run failed by itself, whatever --max-attempts says', async () => {
    const { town, agents } = await newTown()
    await town.worker(...worker('at-most-once'))
    const id = await assign(town, 'x')
    await (await agents.next()).exit(1)
    expect(await ended(town, id)).toMatchObject({ state: 'failed', reason: 'exit', attempts: 1 })
    expect(await letters(town)).toMatchObject([{ taskId: id, reason: 'exit' }])
    await doOneMore(town, agents)
    expect(agents.started).toBe(2)
  })

  it('fails a task whose run a second signal ended, and no start takes it up', async () => {
    const { town, agents } = await newTown()
    const first = await town.worker(...worker('at-most-once'))
    const id = await assign(town, 'x')
    await agents.next()
    first.signal('SIGTERM')
    await first.says(/draining/)
    first.signal('SIGTERM')
    await first.exit
    expect(await ended(town, id)).toMatchObject({ state: 'failed', reason: 'shutdown', attempts: 1 })
    expect(await letters(town)).toMatchObject([{ taskId: id, reason: 'shutdown' }])
    await town.worker(...worker('at-most-once'))
    await doOneMore(town, agents)
    expect(agents.started).toBe(2)
  })
})
