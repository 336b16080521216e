import { waitForStop } from '../client/wait-agent.ts'
import type { Agent, AgentState } from '../domain/agent.ts'
import { WorkerError } from '../domain/errors.ts'
import { findAgent } from '../store/agents.ts'
import type { Steered, StopAnswer } from '../store/steer.ts'
import { startHint, tellAgentEnd } from './await.ts'
import type { Command, Invocation } from './command.ts'
import { EXIT } from './exit-codes.ts'
import { jsonFlag, limitOfWait, timeoutFlag, wordFlag } from './flags.ts'
import { type Session, withTown } from './with-town.ts'

/** The positional of a command that asks one agent for something. */
export const agentPositional: NonNullable<Command['build']> = (yargs) =>
  yargs.positional('agent', { type: 'string', describe: 'Name or id of the agent' })

/** The flags of a command that stops an agent. */
export const stopFlags: NonNullable<Command['flags']> = {
  wait: { type: 'boolean', describe: 'Wait until it has stopped' },
  ...timeoutFlag,
  ...jsonFlag,
}

const SENTENCES = {
  draining: 'is asked to stop: it finishes its run first',
  stopped: 'is stopped; no worker was running it',
  ended: 'had stopped before',
} as const satisfies Record<StopAnswer, string>

/** Runs a command that stops an agent, by what `ask` does. */
export async function runStop(
  invocation: Invocation,
  purpose: string,
  ask: (session: Session, agent: Agent) => Promise<StopAnswer>,
): Promise<number> {
  const { flags } = invocation
  const waits = flags.wait === true
  const limit = limitOfWait(flags, waits)
  return await withTown(invocation, { purpose, lasting: waits }, async (session) => {
    const { terminal, redis, keys, json, signal } = session
    const agent = await findAgent(redis, keys, wordFlag(flags, 'agent'))
    const answer = await ask(session, agent)
    const sentence = `${agent.name} ${SENTENCES[answer]}`
    if (waits && answer === 'draining') {
      terminal.progress(sentence)
      const end = await waitForStop({ redis, town: keys, signal, agentId: agent.id, ...limit })
      return tellAgentEnd(session, agent, end)
    }
    if (json) {
      const state = answer === 'draining' ? 'draining' : 'stopped'
      terminal.json({ id: agent.id, name: agent.name, state, answer })
    } else terminal.line(sentence)
    return EXIT.done
  })
}

/** What an agent was asked for and did. Throws `wrong-state` where its state did not allow it, with what to do instead. */
export function granted(
  agent: Agent,
  answer: Steered,
  why: (state: AgentState) => string,
  remedy: (agent: Agent, state: AgentState) => string = remedyIn,
): Extract<Steered, { kind: 'done' }> {
  if (answer.kind === 'done') return answer
  throw new WorkerError('wrong-state', `${agent.name} is ${answer.state}: ${why(answer.state)}`, {
    remedy: remedy(agent, answer.state),
  })
}

/** What to do instead in a state that does not allow it. */
export function remedyIn(agent: Agent, state: AgentState): string {
  if (state === 'stopped' || state === 'cold') return startRemedy(agent)
  if (state === 'error')
    return `tinytown-worker kill ${agent.name} stops it; tinytown-worker list tells its error`
  return `tinytown-worker interrupt ${agent.name} pauses it, tinytown-worker kill ${agent.name} stops it`
}

export function startRemedy(agent: Agent): string {
  return startHint(agent).replace(/^s/, 'S')
}
