import { createReadStream, existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { type Found, findAgentOrTask } from '../../client/find.ts'
import { followAgent } from '../../client/wait-agent.ts'
import { waitForTask } from '../../client/wait-task.ts'
import { WorkerError } from '../../domain/errors.ts'
import type { Id } from '../../domain/ids.ts'
import type { Task } from '../../domain/task.ts'
import { getAgent } from '../../store/agents.ts'
import { type OutputPiece, readOutput } from '../../store/output.ts'
import { getTask, listTasks } from '../../store/tasks.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { idOf, shownResult, taskSentence } from '../show.ts'
import type { Terminal } from '../terminal.ts'
import { type Session, withTown } from '../with-town.ts'

/** Shows what a CLI says. */
export const logs: Command = {
  name: 'logs <what>',
  describe: 'Show what the CLI says: of an agent, or of one task',
  settings: ['town', 'redis'],
  flags: {
    follow: {
      alias: 'f',
      type: 'boolean',
      describe: 'Go on as more comes; with a task, until it has ended',
    },
    raw: { type: 'boolean', describe: 'Print the log file of the run, every byte that the CLI wrote' },
    ...jsonFlag,
  },
  build: (yargs) =>
    yargs.positional('what', { type: 'string', describe: 'An agent by its name, or a task by its id' }),
  examples: [
    ['logs worker-1 -f', 'everything that it does, as it happens'],
    ['logs 5ba22b1d --raw | less', 'the whole log file of a task'],
  ],
  run: runLogs,
}

async function runLogs(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const follow = flags.follow === true
  if (follow && flags.raw === true) {
    throw new WorkerError('usage', '--raw prints a file as it is now: use it without --follow', {
      remedy: 'tail -f follows the file; tinytown-worker task <id> tells its path',
    })
  }
  return await withTown(invocation, { purpose: 'logs', lasting: follow }, async (session) => {
    const found = await findAgentOrTask(session.redis, session.keys, wordFlag(flags, 'what'))
    if (flags.raw === true) return await printRaw(session, found)
    return follow ? await followOutput(session, found) : await printOutput(session, found)
  })
}

async function printOutput(session: Session, found: Found): Promise<number> {
  const { redis, keys, terminal } = session
  const agentId = found.kind === 'agent' ? found.agent.id : found.task.assignedTo
  const taskId = found.kind === 'task' ? found.task.id : undefined
  const pieces = agentId ? await readOutput(redis, keys.agent(agentId).output, taskId) : []
  const print = printer(session, found)
  for (const piece of pieces) print(piece)
  if (pieces.length === 0 && !session.json) terminal.note(await emptySentence(session, found))
  return EXIT.done
}

async function emptySentence(session: Session, found: Found): Promise<string> {
  if (found.kind === 'agent') return `${found.agent.name} has said nothing that is kept`
  const { task } = found
  const where = task.log ? `; its log file is ${await placeOfLog(session, task, task.log)}` : ''
  return `${taskSentence(task)}, and no output of it is kept${where}`
}

async function followOutput(session: Session, found: Found): Promise<number> {
  const { redis, keys: town, signal, terminal } = session
  const onOutput = printer(session, found)
  if (found.kind === 'agent') return await followAgent({ redis, town, signal }, found.agent.id, onOutput)
  const end = await waitForTask({ redis, town, signal, taskId: found.task.id, onOutput })
  if (end.kind === 'ended') terminal.progress(taskSentence(end.task))
  return EXIT.done
}

/** Prints pieces of output; those of an agent under the id of their task. */
function printer(session: Session, found: Found): (piece: OutputPiece) => void {
  const { terminal, json } = session
  if (json) return (piece) => terminal.json(piece)
  let last: Id | null = found.kind === 'task' ? found.task.id : null
  return ({ taskId, text }) => {
    if (taskId !== last) terminal.line(heading(terminal, taskId))
    last = taskId
    terminal.line(shownResult(terminal, text))
  }
}

function heading(terminal: Terminal, taskId: Id): string {
  return terminal.style('bold', `== task ${idOf(taskId)} ==`)
}

async function printRaw(session: Session, found: Found): Promise<number> {
  const { terminal, signal } = session
  const task = found.kind === 'task' ? found.task : await newestLogged(session, found)
  if (!task.log) {
    throw new WorkerError('not-found', `${taskSentence(task)} and has no log file yet`, {
      remedy: `tinytown-worker logs ${idOf(task.id)} shows what its CLI says`,
    })
  }
  if (!existsSync(task.log)) {
    throw new WorkerError(
      'not-found',
      `The log file is not on this machine: ${await placeOfLog(session, task, task.log)}`,
      {
        remedy: `tinytown-worker logs ${idOf(task.id)} shows what is kept in Redis`,
      },
    )
  }
  for await (const chunk of createReadStream(task.log)) {
    await terminal.write(chunk as Uint8Array)
    signal.throwIfAborted()
  }
  return EXIT.done
}

async function newestLogged(
  { redis, keys }: Session,
  { agent }: Extract<Found, { kind: 'agent' }>,
): Promise<Task> {
  const current = agent.currentTask ? await getTask(redis, keys, agent.currentTask) : null
  if (current?.log) return current
  const logged = (await listTasks(redis, keys)).filter(
    ({ assignedTo, log }) => assignedTo === agent.id && log !== undefined,
  )
  const [newest] = logged.sort((a, b) => (b.startedAt ?? '').localeCompare(a.startedAt ?? ''))
  if (newest) return newest
  throw new WorkerError('not-found', `${agent.name} has no task with a log file yet`)
}

/** The path of a log file, and the machine when it is another. */
async function placeOfLog({ redis, keys }: Session, task: Task, log: string): Promise<string> {
  const agent = task.assignedTo ? await getAgent(redis, keys, task.assignedTo) : null
  return agent?.host && agent.host !== hostname() ? `${agent.host}:${log}` : log
}
