import { waitForStop } from '../../client/wait-agent.ts'
import { WorkerError } from '../../domain/errors.ts'
import { findAgent, requestStop, type StopAnswer } from '../../store/agents.ts'
import { tellAgentEnd } from '../await.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, timeoutFlag, timeoutOf, wordFlag } from '../flags.ts'
import { withTown } from '../with-town.ts'

/** Asks an agent to stop. */
export const kill: Command = {
  name: 'kill <agent>',
  describe: 'Ask an agent to stop when its run in hand has ended; what waits stays in its inbox',
  settings: ['town', 'redis'],
  flags: {
    wait: { type: 'boolean', describe: 'Wait until it has stopped' },
    ...timeoutFlag,
    ...jsonFlag,
  },
  build: (yargs) => yargs.positional('agent', { type: 'string', describe: 'Name or id of the agent' }),
  run: runKill,
}

const SENTENCES = {
  draining: 'is asked to stop: it finishes its run first',
  stopped: 'is stopped; no worker was running it',
  ended: 'had stopped before',
} as const satisfies Record<StopAnswer, string>

async function runKill(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const limit = timeoutOf(flags)
  const waits = flags.wait === true
  if (!waits && limit.timeoutMs !== undefined) {
    throw new WorkerError('usage', '--timeout limits a wait: use it with --wait')
  }
  return await withTown(invocation, { purpose: 'kill', lasting: waits }, async (session) => {
    const { terminal, redis, keys, json, signal } = session
    const agent = await findAgent(redis, keys, wordFlag(flags, 'agent'))
    const answer = await requestStop(redis, keys, agent.id)
    const sentence = `${agent.name} ${SENTENCES[answer]}`
    if (waits && answer === 'draining') {
      terminal.progress(sentence)
      const end = await waitForStop({ redis, town: keys, signal, agentId: agent.id, ...limit })
      return tellAgentEnd(session, agent, end)
    }
    if (json) {
      terminal.json({
        id: agent.id,
        name: agent.name,
        state: answer === 'draining' ? 'draining' : 'stopped',
        answer,
      })
    } else terminal.line(sentence)
    return EXIT.done
  })
}
