import { requestStop } from '../../store/steer.ts'
import type { Command } from '../command.ts'
import { agentPositional, runStop, stopFlags } from '../steering.ts'

/** Asks an agent to stop. */
export const kill: Command = {
  name: 'kill <agent>',
  describe: 'Ask an agent to stop when its run in hand has ended; what waits stays in its inbox',
  settings: ['town', 'redis'],
  flags: stopFlags,
  build: agentPositional,
  run: (invocation) => runStop(invocation, 'kill', ({ redis, keys }, { id }) => requestStop(redis, keys, id)),
}
