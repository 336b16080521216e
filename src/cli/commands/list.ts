import { viewAgents } from '../../client/summary.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag } from '../flags.ts'
import { agentJson, agentTable } from '../show.ts'
import { withTown } from '../with-town.ts'

/** Said where a list of agents is empty. */
export const NO_AGENTS = 'No agents yet. Start one: tinytown-worker --name worker-1 --cli codex'

/** Lists the agents of the town. */
export const list: Command = {
  name: 'list',
  describe: 'List the agents of the town',
  settings: ['town', 'redis'],
  flags: jsonFlag,
  run: (invocation) =>
    withTown(invocation, { purpose: 'list' }, async ({ terminal, redis, keys, json }) => {
      const views = await viewAgents(redis, keys)
      if (json) terminal.json({ town: keys.town, agents: views.map(agentJson) })
      else if (views.length === 0) terminal.note(NO_AGENTS)
      else for (const line of agentTable(terminal, views)) terminal.line(line)
      return EXIT.done
    }),
}
