import { readFileSync } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import { buffer as readAll } from 'node:stream/consumers'
import { z } from 'zod'
import { viewAgent } from '../../client/summary.ts'
import * as schema from '../../config/schemas.ts'
import { messageOf, WorkerError } from '../../domain/errors.ts'
import { PRIORITIES } from '../../domain/message.ts'
import { findAgent } from '../../store/agents.ts'
import { assignTask, type NewTask } from '../../store/tasks.ts'
import { awaitTask, troubleOf } from '../await.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag, timeoutFlag, timeoutOf, wordFlag } from '../flags.ts'
import { utf8Text } from '../utf8-text.ts'
import { withTown } from '../with-town.ts'

/** Gives an agent a task. */
export const assign: Command = {
  name: 'assign <agent> [text..]',
  describe: 'Give an agent a task; prints the id of the task',
  settings: ['town', 'redis'],
  flags: {
    file: { type: 'string', requiresArg: true, describe: 'Read the task from this file' },
    tag: { type: 'string', array: true, requiresArg: true, describe: 'A tag of the task; may be repeated' },
    priority: {
      type: 'string',
      requiresArg: true,
      describe: `${PRIORITIES.join(', ')}; high and urgent go before what waits [default: normal]`,
    },
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
  const limit = timeoutOf(flags)
  if (!waits && limit.timeoutMs !== undefined) {
    throw new WorkerError('usage', '--timeout limits a wait: use it with --wait or --follow')
  }
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

const tagsRule = z.array(schema.label, 'one line of 1 to 64 characters')

async function readTask(invocation: Invocation): Promise<NewTask> {
  const { flags } = invocation
  const tags = flagValue(flags, 'tag', tagsRule) ?? []
  const priority = flagValue(flags, 'priority', schema.oneOf(PRIORITIES)) ?? 'normal'
  const description = await readText(invocation)
  if (description.trim() !== '') return { description, tags, priority }
  throw new WorkerError('usage', 'Expected the text of the task, got nothing', {
    remedy: 'Give it as words, with --file PATH, or with - on stdin',
  })
}

async function readText({ flags, terminal, signal }: Invocation): Promise<string> {
  // What follows a bare -- comes here, behind the name of the command.
  const behind = (flags._ as readonly unknown[]).slice(1)
  const words = [...((flags.text as readonly unknown[] | undefined) ?? []), ...behind].map(String)
  const file = flagValue(flags, 'file', schema.text)
  if (file !== undefined && words.length > 0) {
    throw new WorkerError(
      'usage',
      `Expected the task in words or in a file, got both (--file ${file}, ${words[0]} …)`,
    )
  }
  if (file === '-' || (words.length === 1 && words[0] === '-')) {
    if (process.stdin.isTTY) terminal.note('Type the task, then Ctrl-D:')
    return utf8Text(await readAll(addAbortSignal(signal, process.stdin)), 'stdin')
  }
  return file === undefined ? words.join(' ') : readTextFile(file)
}

function readTextFile(path: string): string {
  try {
    return utf8Text(readFileSync(path), path)
  } catch (error) {
    if (error instanceof WorkerError) throw error
    throw new WorkerError('usage', `Cannot read the task from ${path}: ${messageOf(error)}`, { cause: error })
  }
}
