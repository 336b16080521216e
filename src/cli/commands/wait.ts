import { findAgentOrTask } from '../../client/find.ts'
import { awaitAgent, awaitTask } from '../await.ts'
import type { Command } from '../command.ts'
import { jsonFlag, timeoutFlag, timeoutOf, wordFlag } from '../flags.ts'
import { withTown } from '../with-town.ts'

/** Waits for a task or an agent. */
export const wait: Command = {
  name: 'wait <what>',
  describe: 'Wait until a task has ended, or an agent has nothing more to do',
  settings: ['town', 'redis'],
  flags: { ...timeoutFlag, ...jsonFlag },
  build: (yargs) =>
    yargs.positional('what', { type: 'string', describe: 'A task by its id, or an agent by its name' }),
  examples: [
    [
      'wait 5ba22b1d --timeout 10m',
      'prints the result; exits with 1 when the task failed or the time is over',
    ],
    ['wait worker-1', 'until its inbox is empty and it is idle'],
  ],
  run(invocation) {
    const limit = timeoutOf(invocation.flags)
    return withTown(invocation, { purpose: 'wait', lasting: true }, async (session) => {
      const found = await findAgentOrTask(session.redis, session.keys, wordFlag(session.flags, 'what'))
      return found.kind === 'agent'
        ? await awaitAgent(session, found.agent, limit)
        : await awaitTask(session, found.task.id, limit)
    })
  },
}
