import { stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type TtTown, useTtTowns } from '../rig/tt.ts'
import { until } from '../rig/until.ts'

const newTown = useTtTowns()

const FIVE_MINUTES_AGO = () => new Date(Date.now() - 300_000)

/** Makes a dead worker look as old as `tt recover` wants it: more than two minutes. */
async function age(town: TtTown, name: string): Promise<void> {
  const { record } = await town.keysOf(name)
  await town.redis.hset(record, 'last_heartbeat', FIVE_MINUTES_AGO().toISOString())
  await utimes(join(town.root, '.tt', 'logs', `${name}.log`), FIVE_MINUTES_AGO(), FIVE_MINUTES_AGO())
}

/** The log file that `tt spawn` leaves behind, as old as `tt recover` wants it. */
async function oldLog(town: TtTown, name: string): Promise<string> {
  const path = join(town.root, '.tt', 'logs', `${name}.log`)
  await writeFile(path, 'what an earlier agent of this name said\n')
  await utimes(path, FIVE_MINUTES_AGO(), FIVE_MINUTES_AGO())
  return path
}

/** A worker that was killed in the middle of `x`, with `y` waiting. */
async function deadWorker(town: TtTown): Promise<{ inHand: string; waiting: string }> {
  const daemon = await town.worker()
  const inHand = await town.assign('worker-1', 'x')
  await town.agents.next()
  const waiting = await town.assign('worker-1', 'y')
  daemon.signal('SIGKILL')
  await daemon.exit
  return { inHand, waiting }
}

/** Makes the last sign of life as old as one of a dead agent, and waits for the next one. */
async function agesAndLivesAgain(town: TtTown, name: string): Promise<void> {
  const { record } = await town.keysOf(name)
  const old = new Date(Date.now() - 10 * 60_000).toISOString()
  await town.redis.hset(record, 'last_heartbeat', old)
  await until(
    async () => (await town.redis.hget(record, 'last_heartbeat')) !== old,
    'it shows a sign of life',
  )
}

describe('tt recover', () => {
  it('leaves an idle and a busy worker alone', async () => {
    const town = await newTown()
    await town.worker('--lease-ms', '3000')
    const nothing = 'No orphaned agents found (1 agents checked)'
    await agesAndLivesAgain(town, 'worker-1')
    expect(await town.tt('recover')).toContain(nothing)
    await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await agesAndLivesAgain(town, 'worker-1')
    expect(await town.tt('recover')).toContain(nothing)
    expect(await town.tt('reclaim')).toContain('No dead agents found')
    expect(await town.tt('list')).toMatch(/worker-1 .* - Working$/m)
    await run.exit(0)
  })

  it('is not misled by the log file of an earlier agent of the name', async () => {
    const town = await newTown()
    const log = await oldLog(town, 'worker-1')
    await town.worker()
    await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    await until(
      async () => (await stat(log)).mtimeMs > Date.now() - 60_000,
      'the worker touches the log file',
    )
    expect(await town.tt('recover')).toContain('No orphaned agents found')
    expect(await town.tt('list')).toMatch(/worker-1 .* - Working$/m)
    await run.exit(0)
  })

  it('that took a live worker for dead is put right, and the worker goes on', async () => {
    const town = await newTown()
    await town.worker()
    await town.assign('worker-1', 'x')
    const run = await town.agents.next()
    const misled = async () => {
      await oldLog(town, 'worker-1')
      return (await town.tt('recover')).includes("Recovered 'worker-1' (Working)")
    }
    // The worker may touch the file in between.
    await until(misled, 'tt recover takes the worker for dead')
    await town.ttSays(['list'], /worker-1 .* - Working$/m)
    await run.stdout('ok\n')
    await run.exit(0)
    await town.ttSays(['task', 'list'], /✅ \w{4} - x/)
    await town.ttSays(['list'], /worker-1 .* - Idle$/m)
  })

  it('stops a worker that died, and its next start takes everything up again', async () => {
    const town = await newTown()
    const { inHand, waiting } = await deadWorker(town)
    await age(town, 'worker-1')
    expect(await town.tt('recover')).toContain("Recovered 'worker-1' (Working)")
    expect(await town.tt('list')).toMatch(/worker-1 .* - Stopped$/m)
    await town.worker()
    for (const [id, text] of [
      [inHand, 'x'],
      [waiting, 'y'],
    ] as const) {
      const run = await town.agents.next()
      expect(run.hello.prompt).toBe(text)
      await run.stdout('ok\n')
      await run.exit(0)
      await town.ttSays(['task', 'show', id], /State: Completed/)
    }
  })
})

describe('tt reclaim', () => {
  it('--to gives what waits in the inbox of a dead worker to another, and what it had in hand stays its own', async () => {
    const town = await newTown()
    const { inHand, waiting } = await deadWorker(town)
    await age(town, 'worker-1')
    await town.tt('recover')
    await town.worker('--name', 'worker-2')
    expect(await town.tt('reclaim', '--to', 'worker-2')).toContain("Moved 1 task(s) to 'worker-2'")
    const moved = await town.agents.next()
    expect(moved.hello.env).toMatchObject({ TINYTOWN_AGENT_NAME: 'worker-2', TINYTOWN_TASK_ID: waiting })
    await moved.stdout('by the other\n')
    await moved.exit(0)
    const shown = await town.ttSays(['task', 'show', waiting], /State: Completed/)
    expect(shown).toMatch(/Assigned to: worker-2[\s\S]*Result: by the other/)
    await town.worker()
    const again = await town.agents.next()
    expect(again.hello.env).toMatchObject({ TINYTOWN_AGENT_NAME: 'worker-1', TINYTOWN_TASK_ID: inHand })
    await again.stdout('by itself\n')
    await again.exit(0)
    await town.ttSays(['task', 'show', inHand], /Result: by itself/)
  })

  it('--to-backlog puts what waits into the backlog, from where a claim brings it to a live worker', async () => {
    const town = await newTown()
    const stopped = await town.worker()
    stopped.signal('SIGTERM')
    await stopped.exit
    const id = await town.assign('worker-1', 'left behind')
    expect(await town.tt('reclaim', '--to-backlog', '--from', 'worker-1')).toContain(
      'Moved 1 task(s) to backlog',
    )
    expect(await town.tt('backlog', 'list')).toContain(`(${id}) - left behind`)
    await town.worker('--name', 'worker-2')
    await town.tt('backlog', 'claim', id, 'worker-2')
    const run = await town.agents.next()
    await run.stdout('ok\n')
    await run.exit(0)
    expect(await town.ttSays(['task', 'show', id], /State: Completed/)).toContain('Assigned to: worker-2')
  })
})
