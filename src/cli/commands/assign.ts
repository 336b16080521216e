import { viewAgent } from '../../client/summary.ts'
import { findAgent } from '../../store/agents.ts'
import { assignTask, type NewTask } from '../../store/tasks.ts'
import { awaitTask, troubleOf } from '../await.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, limitOfWait, priorityFlag, priorityOf, timeoutFlag, wordFlag } from '../flags.ts'
import { fileFlag, readTags, readText, tagFlag, wordsOf } from '../text-input.ts'
import { withTown } from '../with-town.ts'

/** Gives an agent a task. */
export const assign: Command = {
  name: 'assign <agent> [text..]',
  describe: 'Give an agent a task; prints the id of the task',
  settings: ['town', 'redis'],
  flags: {
    ...fileFlag('task'),
    ...tagFlag,
    ...priorityFlag,
    wait: { type: 'boolean', describe: 'Wait for the end and print the result; exit with 1 when it failed' },
    follow: { type: 'boolean', describe: 'Like --wait, and show on stderr what the CLI says meanwhile' },
    ...timeoutFlag,
    ...jsonFlag,
  },
  build: (yargs) =>
    yargs
      .positional('agent', { type: 'string', describe: 'Name or id of the agent' })
      .positional('text', { type: 'string', array: true, describe: 'The task; - reads it from stdin' }),
  examples: [
    ['assign worker-1 "Fix the failing test" --wait', 'and wait for the result'],
    ['assign worker-1 --file task.md --tag docs', 'a task from a file'],
    ['assign worker-1 - < task.md', 'a task from stdin'],
  ],
  run: runAssign,
}

async function runAssign(invocation: Invocation): Promise<number> {
  const { flags, terminal } = invocation
  const follow = flags.follow === true
  const waits = follow || flags.wait === true
  const limit = limitOfWait(flags, waits, '--wait or --follow')
  const task = await readTask(invocation)
  return await withTown(invocation, { purpose: 'assign', lasting: waits }, async (session) => {
    const { redis, keys, json } = session
    const agent = await findAgent(redis, keys, wordFlag(flags, 'agent'))
    const { taskId, agentState, waiting } = await assignTask(redis, keys, agent.id, task)
    if (waits) {
      terminal.note(`Task ${taskId} is assigned to ${agent.name}`)
      return await awaitTask(session, taskId, { follow, ...limit })
    }
    if (json) terminal.json({ id: taskId, agent: agent.name, agentId: agent.id, agentState, waiting })
    else terminal.line(taskId)
    const trouble = troubleOf(await viewAgent(redis, keys, agent))
    if (trouble) terminal.note(`Assigned; ${trouble}`)
    else terminal.progress(`Assigned to ${agent.name}; ${waiting} in its inbox`)
    return EXIT.done
  })
}

async function readTask(invocation: Invocation): Promise<NewTask> {
  const { flags } = invocation
  const tags = readTags(flags)
  const priority = priorityOf(flags)
  const description = await readText(invocation, { what: 'task', words: wordsOf(flags, 'text') })
  return { description, tags, priority }
}
