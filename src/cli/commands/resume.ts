import { viewAgent } from '../../client/summary.ts'
import type { Agent, AgentState } from '../../domain/agent.ts'
import { findAgent } from '../../store/agents.ts'
import { resumeAgent } from '../../store/steer.ts'
import { troubleOf } from '../await.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { agentPositional, granted, remedyIn, startRemedy } from '../steering.ts'
import { withTown } from '../with-town.ts'

/** Lets a paused agent go on, and one in error look again. */
export const resume: Command = {
  name: 'resume <agent>',
  describe:
    'Let a paused agent take tasks again, have one in error look again at once; also takes back a stop that it has not seen yet',
  settings: ['town', 'redis'],
  flags: jsonFlag,
  build: agentPositional,
  run: (invocation) =>
    withTown(invocation, { purpose: 'resume' }, async ({ flags, terminal, redis, keys, json }) => {
      const agent = await findAgent(redis, keys, wordFlag(flags, 'agent'))
      const answer = await resumeAgent(redis, keys, agent.id)
      const { before, state } = granted(agent, answer, refusal, remedy)
      if (json) terminal.json({ id: agent.id, name: agent.name, state, before })
      else if (state === 'error') terminal.line(`${agent.name} looks again now whether it can go on`)
      else terminal.line(`${agent.name} is resumed`)
      if (state === 'error') return EXIT.done
      const trouble = troubleOf(await viewAgent(redis, keys, { ...agent, state }))
      if (trouble) terminal.note(`Resumed; ${trouble}`)
      return EXIT.done
    }),
}

function refusal(state: AgentState): string {
  return state === 'error'
    ? 'no worker of it runs that could look again'
    : 'only a paused agent can be resumed, or one in error'
}

function remedy(agent: Agent, state: AgentState): string {
  return state === 'error' ? startRemedy(agent) : remedyIn(agent, state)
}
