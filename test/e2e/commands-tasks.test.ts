import { describe, expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { useTowns } from '../rig/towns.ts'

const { townWithAgent, townWithWorker } = useTowns()

describe('cancel', () => {
  it('ends the run of a task, and waits until nothing of it is left', async () => {
    const { cli, agents } = await townWithWorker()
    const taskId = (await cli('assign', 'worker-1', 'x')).stdout.trim()
    const run = await agents.next()
    const short = taskId.slice(0, 8)
    expect(await cli('cancel', short, '--reason', 'not needed', '--wait', '--timeout', '50s')).toMatchObject({
      exit: 0,
      stdout: `Task ${short} is cancelled; its run by worker-1 has ended\n`,
    })
    await run.gone
    expect(JSON.parse((await cli('task', taskId, '--json')).stdout)).toMatchObject({
      state: 'cancelled',
      result: 'not needed',
    })
    expect((await cli('list')).stdout).toMatch(/worker-1 +idle/)
    expect(await cli('cancel', short)).toMatchObject({
      exit: 0,
      stdout: `Task ${short} was cancelled already\n`,
    })
  })

  it('tells of a task that waits who had it', async () => {
    const { cli } = await townWithAgent()
    const taskId = (await cli('assign', 'worker-1', 'x')).stdout.trim()
    const answer = JSON.parse((await cli('cancel', taskId, '--json', '--wait')).stdout)
    expect(answer).toMatchObject({
      id: taskId,
      state: 'cancelled',
      answer: 'cancelled',
      before: 'assigned',
      agent: 'worker-1',
      letGo: true,
    })
    const other = (await cli('assign', 'worker-1', 'y')).stdout.trim()
    expect((await cli('cancel', other)).stdout).toMatch(/is cancelled; it waited for worker-1\n$/)
  })

  it('exits with 1 where the task had ended', async () => {
    const { cli, redis, keys } = await townWithAgent()
    const id = newId()
    await redis.hset(keys.task(id), { id, state: 'completed', result: 'done' })
    expect(await cli('cancel', id)).toMatchObject({
      exit: 1,
      stdout: '',
      stderr: expect.stringMatching(/is completed already; tinytown-worker task [0-9a-f]{8} shows/),
    })
    expect(JSON.parse((await cli('cancel', id, '--json')).stdout)).toMatchObject({
      state: 'completed',
      answer: 'ended',
    })
    expect(await cli('cancel', newId())).toMatchObject({ exit: 2 })
    expect((await cli('cancel', id, '--timeout', '5s')).stderr).toMatch(/use it with --wait/)
  })
})

describe('backlog', () => {
  it('takes tasks, lists them with what is broken, and gives one to an agent', async () => {
    const { cli, cliWith, redis, keys } = await townWithAgent()
    expect((await cli('backlog', 'list')).stderr).toMatch(/The backlog is empty\. Add a task: /)
    const first = (
      await cli('backlog', 'add', 'Write', 'docs', '--tag', 'docs', '--tag', 'easy')
    ).stdout.trim()
    const piped = await cliWith({ input: '- one\n- two\n' }, 'backlog', 'add', '-', '--json')
    expect(JSON.parse(piped.stdout)).toMatchObject({ id: expect.any(String), waiting: 2 })
    const gone = newId()
    await redis.rpush(keys.backlog, gone)
    const short = first.slice(0, 8)
    expect((await cli('backlog', 'list')).stdout.split('\n')).toEqual([
      expect.stringMatching(/^ID +STATE +AGE +TAGS +TASK$/),
      expect.stringMatching(new RegExp(`^${short} +pending +\\d+s +docs, easy +Write docs$`)),
      expect.stringMatching(/ pending +\d+s +- +- one$/),
      expect.stringMatching(new RegExp(`^${gone} +- +- +- +it has no readable record$`)),
      '',
    ])
    const { entries } = JSON.parse((await cli('backlog', 'list', '--json')).stdout)
    expect(entries).toMatchObject([{ id: first }, {}, { id: gone, task: null }])

    const claimed = await cli('backlog', 'claim', short, 'worker-1')
    expect(claimed).toMatchObject({ exit: 0, stdout: `Task ${short} is assigned to worker-1\n` })
    expect(claimed.stderr).toMatch(/Assigned; worker-1 is not running/)
    expect((await cli('inbox', 'worker-1')).stdout).toMatch(/inbox +task_assign +supervisor .*Write docs/)
    expect(await cli('backlog', 'claim', short, 'worker-1')).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/is not in the backlog: it is assigned\n.*backlog list/),
    })
    expect(await cli('backlog', 'claim', gone, 'worker-1')).toMatchObject({
      exit: 1,
      stderr: expect.stringMatching(/has no readable record: it was only taken off the backlog/),
    })
    expect(JSON.parse((await cli('backlog', 'list', '--json')).stdout).total).toBe(1)
  })
})
