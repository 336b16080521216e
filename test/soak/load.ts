import { sleep } from '../../src/base/clock.ts'
import { newId, type Town, WorkerError } from '../../src/index.ts'
import type { Grounds } from './grounds.ts'
import type { Dice } from './random.ts'

/** How many may wait for an agent; a longer queue would only be waited for at the end. */
const LONGEST_QUEUE = 4
const ASSIGNERS = 3
const TRIES = 3

/** The tasks that were handed in. */
export interface Handed {
  /** Those of which the town said that it has them. */
  readonly accepted: Set<string>
  /** Those whose every reply got lost: the town may have them. */
  readonly unsure: Set<string>
}

interface LoadOptions {
  readonly grounds: Grounds
  readonly town: Town
  readonly agents: readonly string[]
  readonly dice: Dice
  readonly signal: AbortSignal
}

/** Assigns tasks through the library until the signal comes. */
export async function assignTasks(options: LoadOptions, handed: Handed): Promise<void> {
  const assigner = async (dice: Dice) => {
    while (!options.signal.aborted) {
      await handIn({ ...options, dice }, handed)
      await sleep(dice.between(50, 600), options.signal)
    }
  }
  await Promise.all(Array.from({ length: ASSIGNERS }, () => assigner(options.dice.fork())))
}

async function handIn(options: LoadOptions, handed: Handed): Promise<void> {
  const { grounds, town, agents, dice, signal } = options
  const name = dice.pick(agents) ?? ''
  const id = newId()
  const task = { id, description: planOf(dice), ...(dice.chance(0.1) && { priority: 'high' as const }) }
  const agent = await town.agent(name).catch(() => null)
  if (agent === null) return
  const waiting =
    (await grounds
      .redis()
      ?.llen(grounds.keys.agent(agent.id).inbox)
      .catch(() => null)) ?? null
  if (waiting === null || waiting >= LONGEST_QUEUE) return
  handed.unsure.add(id)
  for (let tries = 0; tries < TRIES; tries += 1) {
    try {
      await agent.assign(task)
    } catch (error) {
      // An earlier try did it, and the task has even ended.
      if (!(error instanceof WorkerError && error.code === 'wrong-state')) {
        await sleep(200, signal)
        continue
      }
    }
    handed.unsure.delete(id)
    handed.accepted.add(id)
    return
  }
}

/** What the run of a task does, as test/soak/agent.mjs reads it. */
function planOf(dice: Dice): string {
  const plan = {
    ms: dice.spread(10, 5000),
    ...(dice.chance(0.15) && { grandchild: { detached: dice.chance(0.6), keepsStdout: dice.chance(0.5) } }),
    ...(dice.chance(0.15) && { fails: dice.chance(0.4) ? 'always' : 'first' }),
    ...(dice.chance(0.15) && { ignoresTerm: true }),
    ...(dice.chance(0.1) && { outputBytes: dice.spread(64 * 1024, 1024 * 1024) }),
  }
  return `Do what the plan says.\n\nSOAK ${JSON.stringify(plan)}`
}
