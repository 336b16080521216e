import { describe, expect, it } from 'vitest'
import { hasVerdict, missionKind, verdictText } from '../../src/domain/mission.ts'
import { composePrompt } from '../../src/domain/prompt.ts'
import type { Task } from '../../src/domain/task.ts'
import { endMissionTask } from '../../src/worker/mission.ts'

const WORK = ['mission-work-item', 'mission-task:work', 'mission:m', 'work-item:w']
const REVIEW = ['mission-review-task', 'mission-task:review', 'mission:m']

describe('missionKind', () => {
  it.each([
    [[], null],
    [['backend', 'mission:m'], null],
    [WORK, 'work'],
    [REVIEW, 'review'],
    [['mission-fix-task', 'watch:x'], 'fix'],
    [['mission-work-item', 'mission-review-task'], 'review'],
  ])('%j is %s', (tags, kind) => {
    expect(missionKind(tags)).toBe(kind)
  })
})

describe('a verdict', () => {
  it.each([
    ['approved: all good', true, 'approved: all good'],
    ['Approved', true, 'Approved'],
    ['\n## **Approved:** fine', true, 'Approved: fine'],
    ['REJECTED: no tests', true, 'REJECTED: no tests'],
    ['**Changes requested**: rename it', true, 'Changes requested: rename it'],
    ['rejected, as it has no tests', false, 'rejected, as it has no tests'],
    ['I reviewed it and it looks good', false, 'I reviewed it and it looks good'],
    ['Not approved', false, 'Not approved'],
    ['approvedly', false, 'approvedly'],
    ['Approved? No: it has no tests', false, 'Approved? No: it has no tests'],
    ['Approved — ship it', true, 'Approved — ship it'],
    ['', false, ''],
  ])('%j', (text, is, said) => {
    expect(hasVerdict(text)).toBe(is)
    expect(verdictText(text)).toBe(said)
  })
})

describe('endMissionTask', () => {
  const task = (tags: string[], state = 'running') =>
    ({ id: 't-1', description: 'Do X', tags, state }) as unknown as Task
  const settle = (change: object = {}) =>
    ({ kind: 'settle', state: 'completed', result: 'approved: ok', facts: {}, ...change }) as never

  async function end(
    tags: string[],
    settling = settle(),
    { obstacle = null as string | null, now = 'running' } = {},
  ) {
    const reported: string[] = []
    const made = await endMissionTask(task(tags), settling, {
      report: async (_, result) => {
        reported.push(result)
        return obstacle
      },
      read: async () => task(tags, now),
    })
    return { ...made, reported }
  }

  it('leaves a task alone that belongs to no mission', async () => {
    expect(await end(['backend'])).toEqual({ state: 'completed', reported: [] })
  })

  it('reports work through tt', async () => {
    expect(await end(WORK, settle({ result: 'PR: https://github.com/o/r/pull/1' }))).toEqual({
      state: 'completed',
      reported: ['PR: https://github.com/o/r/pull/1'],
    })
  })

  it('does not report again what the CLI reported', async () => {
    expect(await end(WORK, settle(), { now: 'completed' })).toEqual({ state: 'completed', reported: [] })
  })

  it.each(['cancelled', 'failed', 'completed'])('leaves a task alone that is %s by now', async (now) => {
    for (const state of ['completed', 'failed'])
      expect(await end(WORK, settle({ state, reason: 'exit' }), { now })).toEqual({ state, reported: [] })
  })

  it('leaves work running when it cannot be reported, and says why', async () => {
    const made = await end(WORK, settle({ result: 'done' }), { obstacle: 'tt is not in PATH' })
    expect(made.state).toBe('running')
    expect(made.letter).toMatch(
      /could not be reported: tt is not in PATH[\s\S]*Its result: done[\s\S]*tt task complete t-1/,
    )
  })

  it('never takes a review without a verdict for an approval', async () => {
    const made = await end(REVIEW, settle({ result: 'Looks good to me' }))
    expect(made).toMatchObject({ state: 'running', reported: [] })
    expect(made.letter).toMatch(/does not begin with approved/)
    expect(await end(REVIEW, settle({ result: '**Rejected:** no tests' }))).toMatchObject({
      state: 'completed',
      reported: ['Rejected: no tests'],
    })
  })

  it('tells the conductor of a failure, which the mission does not learn of', async () => {
    const made = await end(WORK, settle({ state: 'failed', reason: 'timeout', result: 'took too long' }))
    expect(made).toMatchObject({ state: 'failed', reported: [] })
    expect(made.letter).toMatch(/failed: timeout[\s\S]*took too long/)
  })
})

it('a prompt says how the final message is read, before the task', () => {
  const prompt = composePrompt({
    description: 'Review it',
    tags: [],
    notes: [],
    ending: 'Begin with approved:',
  })
  expect(prompt).toBe('# Your final message\n\nBegin with approved:\n\n# Task\n\nReview it')
})
