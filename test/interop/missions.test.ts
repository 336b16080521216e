import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type TtTown, useTtTowns } from '../rig/tt.ts'

const newTown = useTtTowns()

/** Starts a mission of one work item, which the scheduler of `tt` gives to an idle worker at once. */
async function startMission(town: TtTown, ...flags: string[]): Promise<void> {
  await writeFile(join(town.root, 'implement.md'), '# Implement the importer\n')
  expect(await town.tt('mission', 'start', '--doc', 'implement.md', ...flags)).toMatch(
    /1 promoted, 1 assigned/,
  )
}

async function answer(town: TtTown, says: RegExp, text: string): Promise<string> {
  const run = await town.agents.next()
  expect(run.hello.prompt).toMatch(says)
  await run.stdout(`${text}\n`)
  await run.exit(0)
  return run.hello.env.TINYTOWN_TASK_ID ?? ''
}

it('a mission learns that its work is done', async () => {
  const town = await newTown()
  await town.worker()
  await startMission(town, '--no-reviewer')
  const id = await answer(town, /\[Mission Work Item\] implement\.md/, 'The importer stands')
  await town.ttSays(['mission', 'status'], /No active missions/)
  expect(await town.tt('task', 'show', id)).toMatch(/State: Completed[\s\S]*Result: The importer stands/)
  expect(await town.redis.hget((await town.keysOf('worker-1')).record, 'tasks_completed')).toBe('1')
  expect(await town.tt('inbox', 'conductor')).toContain('0 messages')
})

it('a review is reported only with a verdict; else the conductor is told and may end it', async () => {
  const town = await newTown()
  const daemon = await town.worker('--name', 'critic', '--role', 'reviewer')
  const review = async (text: string) => {
    const said = await town.tt('backlog', 'add', text, '--tags', 'mission-review-task')
    const id = /Added task to backlog: (\S+)/.exec(said)?.[1] ?? ''
    await town.tt('backlog', 'claim', id, 'critic')
    return id
  }
  const open = await review('Review the importer')
  await answer(town, /Begin your final message with your verdict/, 'I looked at it and it is fine')
  await daemon.says(/task left running/)
  expect(await town.tt('task', 'show', open)).toMatch(/State: Running/)
  const mail = await town.ttSays(['inbox', 'conductor'], /1 messages?/)
  expect(mail).toContain('[Mission]')
  await town.tt('task', 'complete', open, '--result', 'approved: by the conductor')
  const clear = await review('Review it again')
  await answer(town, /Review it again/, '**Changes requested:** no tests')
  const shown = await town.ttSays(['task', 'show', clear], /State: Completed/)
  expect(shown).toContain('Result: Changes requested: no tests')
})
