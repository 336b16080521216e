import { closeAgent, stopAnswer } from '../../store/steer.ts'
import type { Command } from '../command.ts'
import { agentPositional, granted, runStop, stopFlags } from '../steering.ts'

/** Lets an agent finish and stop. */
export const close: Command = {
  name: 'close <agent>',
  describe: 'Like kill, for an agent that is at work: refused when it has stopped or is in error',
  settings: ['town', 'redis'],
  flags: stopFlags,
  build: agentPositional,
  run: (invocation) =>
    runStop(invocation, 'close', async ({ redis, keys }, agent) => {
      const answer = await closeAgent(redis, keys, agent.id)
      return stopAnswer(granted(agent, answer, () => 'there is nothing to close'))
    }),
}
