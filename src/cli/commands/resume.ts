import { viewAgent } from '../../client/summary.ts'
import { findAgent } from '../../store/agents.ts'
import { resumeAgent } from '../../store/steer.ts'
import { troubleOf } from '../await.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { agentPositional, granted } from '../steering.ts'
import { withTown } from '../with-town.ts'

/** Lets a paused agent go on. */
export const resume: Command = {
  name: 'resume <agent>',
  describe: 'Let a paused agent take tasks again; also takes back a stop that it has not seen yet',
  settings: ['town', 'redis'],
  flags: jsonFlag,
  build: agentPositional,
  run: (invocation) =>
    withTown(invocation, { purpose: 'resume' }, async ({ flags, terminal, redis, keys, json }) => {
      const agent = await findAgent(redis, keys, wordFlag(flags, 'agent'))
      const answer = await resumeAgent(redis, keys, agent.id)
      const { before, state } = granted(agent, answer, () => 'only a paused agent can be resumed')
      if (json) terminal.json({ id: agent.id, name: agent.name, state, before })
      else terminal.line(`${agent.name} is resumed`)
      const trouble = troubleOf(await viewAgent(redis, keys, { ...agent, state }))
      if (trouble) terminal.note(`Resumed; ${trouble}`)
      return EXIT.done
    }),
}
