import { describe, expect, it } from 'vitest'
import { type TtTown, useTtTowns } from '../rig/tt.ts'

const newTown = useTtTowns()

/** Takes the next run, answers and ends it. Gives the prompt. */
async function serve(town: TtTown, answer: string): Promise<string> {
  const run = await town.agents.next()
  await run.stdout(`${answer}\n`)
  await run.exit(0)
  return run.hello.prompt
}

const ACKS = [
  ['received it', 'Confirmation: received'],
  ['approved', 'Confirmation: approved'],
  ['many thanks', 'Confirmation: thanks'],
  ['fine', 'Confirmation: acknowledged'],
  ['rejected: no tests', 'Rejected: no tests'],
] as const

describe('a message of tt send', () => {
  it('that is a task is run as one, and the conductor finds the answer in its inbox', async () => {
    const town = await newTown()
    await town.worker()
    expect(await town.tt('send', 'worker-1', 'Tidy up')).toContain("Sent task message to 'worker-1'")
    expect(await serve(town, 'tidy now')).toMatch(/Tidy up$/)
    const inbox = await town.ttSays(['inbox', 'conductor'], /1 messages/)
    expect(inbox).toMatch(/\[I\] task [0-9a-f-]{36} done: tidy now/)
    expect(await town.tt('task', 'list')).toMatch(/✅ \w{4} - Tidy up \[worker-1/)
    expect(await town.tt('inbox', '--all')).toContain('supervisor/conductor (well-known mailbox)')
  })

  it('that is a query is answered to the one who asked', async () => {
    const town = await newTown()
    await town.worker()
    await town.tt('send', '--query', 'worker-1', 'What is 6 x 7?')
    expect(await serve(town, '42')).toMatch(/What is 6 x 7\?$/)
    expect(await town.ttSays(['inbox', 'supervisor'], /1 messages/)).toMatch(/\[I\] 42/)
  })

  it('that is a query of another worker (--from) is answered into its next prompt', async () => {
    const town = await newTown()
    await town.worker()
    const asker = await town.worker('--name', 'worker-2')
    const sent = await town.tt('send', '--from', 'worker-2', '--query', 'worker-1', 'Which port?')
    expect(sent).toContain(`(from ${await town.idOf('worker-2')})`)
    expect(await serve(town, 'port 8080')).toMatch(/Which port\?$/)
    await asker.says(/informational message kept/)
    await town.tt('assign', 'worker-2', 'Start the server')
    const prompt = await serve(town, 'ok')
    expect(prompt).toMatch(/- port 8080\n[\s\S]*Start the server$/)
    expect(await town.tt('inbox', 'conductor')).toContain('0 messages')
  })

  it('that only informs or confirms is no run of its own, and stands in the next prompt', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    await town.tt('send', '--info', 'worker-1', 'The API moved to v2')
    await daemon.says(/informational message kept/)
    for (const [text] of ACKS) await town.tt('send', '--ack', 'worker-1', text)
    await town.ttSays(['inbox', 'worker-1'], /0 messages/)
    expect(town.agents.started).toBe(0)
    await town.tt('assign', 'worker-1', 'Go on')
    const notes = ['The API moved to v2', ...ACKS.map(([, note]) => note)]
    expect(await serve(town, 'ok')).toMatch(
      new RegExp(`# Messages since your last task\n\n- ${notes.join('\n- ')}\n\n# Task\n\nGo on$`),
    )
    await town.tt('assign', 'worker-1', 'And on')
    expect(await serve(town, 'ok')).not.toContain('# Messages')
  })

  it('that is urgent comes before everything that waits, the newest first', async () => {
    const town = await newTown()
    await town.worker()
    await town.tt('assign', 'worker-1', 'running')
    const run = await town.agents.next()
    await town.tt('assign', 'worker-1', 'ordinary')
    const sent = await town.tt('send', '--urgent', 'worker-1', 'urgent, older')
    expect(sent).toContain("Sent URGENT task message to 'worker-1'")
    await town.tt('send', '--urgent', '--query', 'worker-1', 'urgent, newer')
    await town.tt('send', '--urgent', '--info', 'worker-1', 'urgent news')
    await run.stdout('ok\n')
    await run.exit(0)
    const prompts = [await serve(town, 'a'), await serve(town, 'b'), await serve(town, 'c')]
    const tasks = prompts.map((prompt) => prompt.split('# Task\n\n').at(-1))
    expect(tasks).toEqual(['urgent, newer', 'urgent, older', 'ordinary'])
    expect(prompts[0]).toContain('- urgent news')
  })

  it('that is urgent wakes an idle worker', async () => {
    const town = await newTown()
    await town.worker()
    await town.tt('send', '--urgent', 'worker-1', 'now!')
    expect(await serve(town, 'ok')).toMatch(/now!$/)
  })
})

describe('what waits', () => {
  it('is counted by kind in inbox and status, while the worker is paused', async () => {
    const town = await newTown()
    const daemon = await town.worker()
    await town.tt('interrupt', 'worker-1')
    await daemon.says(/paused: no task is taken/)
    await town.assign('worker-1', 'an assignment')
    await town.tt('send', 'worker-1', 'a task')
    await town.tt('send', '--query', 'worker-1', 'a question')
    await town.tt('send', '--info', 'worker-1', 'news')
    await town.tt('send', '--ack', 'worker-1', 'thanks')
    const inbox = await town.tt('inbox', 'worker-1')
    expect(inbox).toContain("Inbox for 'worker-1': 5 messages")
    for (const line of ['[T] 2 tasks', '[Q] 1 queries', '[I] 1 informational', '[C] 1 confirmations'])
      expect(inbox).toContain(line)
    expect(inbox).toMatch(
      /\[T\] task [0-9a-f-]{36}: an assignment\n +\[T\] a task\n +\[Q\] question: a question\n/,
    )
    expect(await town.tt('inbox', '--all')).toMatch(/worker-1 .*\(Paused\):[\s\S]*Total: 3 actionable/)
    expect(await town.tt('status')).toContain('(Paused) - 5 pending (T:2 Q:1 I:1 C:1)')
    expect(await town.tt('status', '--deep')).toContain('📬 2 tasks, 1 query, 1 info, 1 ack')
    expect((await town.ours('list')).stdout).toMatch(/worker-1 +paused +fake +\S+ +5 /)
    await town.tt('resume', 'worker-1')
    for (const task of ['an assignment', 'a task', 'a question'])
      expect(await serve(town, 'ok')).toMatch(new RegExp(`${task}$`))
    await town.ttSays(['status'], /\(Idle\) - 0 pending \(T:0 Q:0 I:0 C:0\)/)
  })
})
