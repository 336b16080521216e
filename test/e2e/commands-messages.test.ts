import { describe, expect, it } from 'vitest'
import { newId, SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { decodeMessage, newMessage } from '../../src/domain/message.ts'
import { peekMail, sendMessage } from '../../src/store/mail.ts'
import { useTowns } from '../rig/towns.ts'
import { until } from '../rig/until.ts'

const { townWithAgent, townWithWorker } = useTowns()

describe('send', () => {
  async function sender() {
    const made = await townWithAgent()
    const { cli, redis, keys, id } = made
    return {
      ...made,
      /** Sends, and returns the newest message of the list it went to. */
      async sent(...words: string[]) {
        const { exit, stderr } = await cli('send', 'worker-1', ...words)
        expect({ exit, stderr }).toMatchObject({ exit: 0 })
        const list = words.includes('--urgent') ? 'urgent' : 'inbox'
        const raws = await peekMail(redis, keys, id, { list })
        const decoded = decodeMessage(raws.at(-1) ?? '')
        if (!decoded.ok) throw new Error(decoded.error)
        return decoded.message
      },
    }
  }

  it('sends every kind that tt sends, as tt reads them', async () => {
    const { sent, id } = await sender()
    expect(await sent('Do', 'it')).toMatchObject({
      from: SUPERVISOR_ID,
      to: id,
      body: { type: 'task', description: 'Do it' },
      priority: 'normal',
    })
    expect(await sent('Why?', '--query')).toMatchObject({ body: { type: 'query', question: 'Why?' } })
    expect(await sent('v2 is out', '--info')).toMatchObject({
      body: { type: 'informational', summary: 'v2 is out' },
    })
    expect(await sent('rejected: no tests', '--ack')).toMatchObject({
      body: { type: 'confirmation', ack_type: { type: 'rejected', reason: 'no tests' } },
    })
    expect(await sent('now', '--urgent', '--priority', 'low')).toMatchObject({
      body: { type: 'task', description: 'now' },
      priority: 'low',
    })
  })

  it('shows what was sent, and says that nobody takes it', async () => {
    const { cli, cliWith, id } = await sender()
    const told = await cli('send', 'WORKER-1', 'Why?', '--query', '--urgent')
    expect(told.stdout).toMatch(/^Sent urgent query [0-9a-f-]{36} to worker-1\n$/)
    expect(told.stderr).toMatch(/Sent; worker-1 is not running: start it with/)
    const piped = await cliWith({ input: 'from stdin\n' }, 'send', 'worker-1', '-', '--json')
    expect(JSON.parse(piped.stdout)).toMatchObject({
      kind: 'task',
      to: 'worker-1',
      toId: id,
      from: 'supervisor',
      fromId: SUPERVISOR_ID,
      urgent: false,
      waiting: 1,
    })
  })

  it('says who sends: who is named, else the agent in whose run it happens, else the supervisor', async () => {
    const { cliWith, redis, keys, id } = await sender()
    const other = newId()
    await redis.hset(keys.agent(other).record, { id: other, name: 'worker-2', state: 'idle' })
    const from = async (env: object, ...words: string[]) => {
      const { stdout, stderr } = await cliWith({ env }, 'send', 'supervisor', 'x', '--json', ...words)
      return { ...JSON.parse(stdout || stderr), told: stderr }
    }
    const [byId, byName] = [{ TINYTOWN_AGENT_ID: id }, { TINYTOWN_AGENT_NAME: 'worker-2' }]
    expect(await from({})).toMatchObject({ from: 'supervisor', toId: SUPERVISOR_ID })
    expect(await from({ ...byId, ...byName })).toMatchObject({ from: 'worker-1', fromId: id })
    expect(await from(byName)).toMatchObject({ from: 'worker-2', fromId: other })
    expect(await from(byId, '--from', 'worker-2')).toMatchObject({ fromId: other })
    const nobody = newId()
    expect(await from(byId, '--from', nobody)).toMatchObject({ from: nobody, fromId: nobody })
    expect(await from({ TINYTOWN_AGENT_NAME: 'gone' })).toMatchObject({
      from: 'supervisor',
      told: expect.stringMatching(/TINYTOWN_AGENT_NAME=gone is no agent of this town/),
    })
    expect(await from({}, '--from', 'gone')).toMatchObject({
      error: { code: 'not-found', exitCode: 2, remedy: 'Known agents: worker-1, worker-2' },
    })
  })

  it('names the candidates where two agents have one name', async () => {
    const { cli, redis, keys, id } = await sender()
    const other = newId()
    await redis.hset(keys.agent(other).record, { id: other, name: 'Worker-1', state: 'stopped' })
    const { exit, stderr } = await cli('send', 'worker-1', 'x')
    expect(exit).toBe(2)
    expect(stderr).toMatch(/means more than one agent: .*\n.*Use the whole id/)
    for (const candidate of [id, other]) expect(stderr).toContain(candidate)
    expect((await cli('send', other, 'x')).exit).toBe(0)
  })

  it('is run by a worker, whose answer comes into the inbox of the sender', async () => {
    const { cli, agents } = await townWithWorker()
    const { id } = JSON.parse((await cli('send', 'worker-1', 'Is it green?', '--query', '--json')).stdout)
    const run = await agents.next()
    expect(run.hello.prompt).toContain('Is it green?')
    const inHand = JSON.parse((await cli('inbox', 'worker-1', '--json')).stdout)
    expect(inHand).toMatchObject({ inbox: 0, inFlight: 1, messages: [{ place: 'in-flight', id }] })
    await run.stdout('yes\n')
    await run.exit(0)
    await until(async () => (await cli('inbox', 'supervisor')).stdout.includes('yes'), 'the answer is there')
    const answer = JSON.parse((await cli('inbox', 'supervisor', '--json')).stdout)
    expect(answer.messages).toMatchObject([{ fromName: 'worker-1', correlationId: id }])
  })
})

describe('inbox', () => {
  async function full() {
    const made = await townWithAgent()
    const { redis, keys, id } = made
    const agent = keys.agent(id)
    const about = { from: SUPERVISOR_ID, to: id, createdAt: new Date().toISOString() } as const
    const say = (summary: string) => newMessage({ ...about, body: { type: 'informational', summary } })
    await sendMessage(redis, keys, say('first \u001b[31mline\nsecond line'))
    await sendMessage(redis, keys, say('now'), { urgentList: true })
    await redis.rpush(agent.inFlight, JSON.stringify({ nonsense: true }))
    const taskId = newId()
    await redis.hset(keys.task(taskId), { id: taskId, description: 'Do X', state: 'assigned' })
    const body = { type: 'task_assign', task_id: taskId } as const
    await sendMessage(redis, keys, newMessage({ ...about, from: newId(), body }))
    await sendMessage(
      redis,
      keys,
      newMessage({ ...about, from: id, to: SUPERVISOR_ID, body: { type: 'pong' } }),
    )
    return { ...made, taskId }
  }

  it('shows what waits in the order in which it is taken, and takes nothing', async () => {
    const { cli } = await full()
    const { stdout } = await cli('inbox', 'worker-1')
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^WHERE +KIND +FROM +AGE +MESSAGE$/),
      expect.stringMatching(/^urgent +informational +supervisor +\d+s +now$/),
      expect.stringMatching(/^inbox +informational +supervisor +\d+s +first line$/),
      expect.stringMatching(/^inbox +task_assign +[0-9a-f]{8} \(deleted\) +\d+s +Do X$/),
      expect.stringMatching(/^in flight +unreadable +- +- +The message has no field id$/),
      '',
    ])
    expect((await cli('inbox', 'worker-1')).stdout.split('\n')).toHaveLength(6)
  })

  it('tells a program all of it', async () => {
    const { cli, id, taskId } = await full()
    const { messages, ...counts } = JSON.parse((await cli('inbox', 'worker-1', '--json')).stdout)
    expect(counts).toEqual({ town: 'test', id, name: 'worker-1', urgent: 1, inbox: 2, inFlight: 1 })
    expect(messages).toMatchObject([
      { place: 'urgent', kind: 'informational', text: 'now', fromName: 'supervisor' },
      { place: 'inbox', text: expect.stringContaining('second line') },
      { kind: 'task_assign', text: 'Do X', body: { task_id: taskId } },
      { place: 'in-flight', kind: 'unreadable', raw: '{"nonsense":true}' },
    ])
  })

  it('counts what waits for each, and shows all of it with --all', async () => {
    const { cli } = await full()
    expect((await cli('inbox')).stdout).toMatch(
      /^AGENT +URGENT +INBOX +IN FLIGHT\nworker-1 +1 +2 +1\nsupervisor +0 +1 +0\n$/,
    )
    const all = (await cli('inbox', '--all')).stdout
    expect(all).toMatch(/\nworker-1 +in flight +unreadable .*\nsupervisor +inbox +pong +worker-1 +\d+s\n$/)
    expect(JSON.parse((await cli('inbox', '--json')).stdout).mailboxes).toMatchObject([
      { name: 'worker-1', urgent: 1, inbox: 2, inFlight: 1 },
      { name: 'supervisor', id: SUPERVISOR_ID },
    ])
    const { mailboxes } = JSON.parse((await cli('inbox', '--all', '--json')).stdout)
    expect(mailboxes[1].messages).toMatchObject([{ kind: 'pong', text: '' }])
  })

  it('says when nothing waits, and which agents there are', async () => {
    const { cli } = await townWithAgent()
    expect(await cli('inbox', 'worker-1')).toMatchObject({
      exit: 0,
      stdout: '',
      stderr: 'Nothing waits for worker-1\n',
    })
    expect((await cli('inbox', '--all')).stderr).toBe('Nothing waits for anybody\n')
    expect(await cli('inbox', 'nobody')).toMatchObject({
      exit: 2,
      stderr: expect.stringMatching(/Known agents: worker-1/),
    })
  })
})
