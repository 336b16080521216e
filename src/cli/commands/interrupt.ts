import { findAgent } from '../../store/agents.ts'
import { interruptAgent } from '../../store/steer.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { agentPositional, granted } from '../steering.ts'
import { withTown } from '../with-town.ts'

/** Pauses an agent. */
export const interrupt: Command = {
  name: 'interrupt <agent>',
  describe:
    'Pause an agent: it takes nothing more until it is resumed; its run goes on unless --pause-signal',
  settings: ['town', 'redis'],
  flags: jsonFlag,
  build: agentPositional,
  run: (invocation) =>
    withTown(invocation, { purpose: 'interrupt' }, async ({ flags, terminal, redis, keys, json }) => {
      const agent = await findAgent(redis, keys, wordFlag(flags, 'agent'))
      const answer = await interruptAgent(redis, keys, agent.id)
      const { before, state } = granted(agent, answer, () => 'there is nothing to pause')
      if (json) terminal.json({ id: agent.id, name: agent.name, state, before })
      else if (before === state) terminal.line(`${agent.name} was paused already`)
      else terminal.line(`${agent.name} is paused: it takes no task until it is resumed`)
      return EXIT.done
    }),
}
