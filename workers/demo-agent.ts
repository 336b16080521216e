import { readdir, readFile, writeFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The program behind `--cli demo`: reads a task on stdin, does a little real work in its folder and tells of it
 * in JSON lines: `say`, `tool`, `tool_result`, `answer`. Exit 0 with an answer, 1 without.
 */

const FILE = 'hello-from-tinytown.md'
// Six steps: about 3 s in all.
const DEFAULT_STEP_MS = 500

let tools = 0

// As the first process of a container Node is not ended by a signal that it does not handle.
process.once('SIGTERM', () => process.exit(143))

try {
  await work((await text(process.stdin)).trim())
} catch (error) {
  process.stderr.write(`demo agent: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function work(prompt: string): Promise<void> {
  if (prompt === '') throw new Error('the prompt is empty')
  const task = taskLine(prompt)
  const agent = process.env.TINYTOWN_AGENT_NAME ?? 'demo'
  const pause = () => sleep(stepMs())

  tell({ type: 'say', text: `I am ${agent}. My task: ${task}` })
  await pause()

  const files = await tool({ name: 'list', detail: '.' }, () => readdir('.'))
  await pause()
  tell({ type: 'say', text: `I see ${count(files.length, 'entry', 'entries')} here and will leave a note.` })
  await pause()

  const note = noteText(task, agent)
  await tool({ name: 'write', detail: FILE }, () => writeFile(FILE, note))
  await pause()
  const written = await tool({ name: 'read', detail: FILE }, () => readFile(FILE, 'utf8'))
  await pause()
  if (written !== note) throw new Error(`${FILE} does not hold what was written to it`)

  tell({ type: 'say', text: 'The note reads as I wrote it.' })
  await pause()
  tell({ type: 'answer', text: `Wrote ${FILE} (${written.length} characters) for the task: ${task}` })
}

async function tool<T>(
  { name, detail }: { name: string; detail: string },
  use: () => Promise<T>,
): Promise<T> {
  tools += 1
  const id = `tool_${tools}`
  tell({ type: 'tool', id, name, detail })
  try {
    const result = await use()
    tell({ type: 'tool_result', id, ok: true })
    return result
  } catch (error) {
    tell({ type: 'tool_result', id, ok: false })
    throw error
  }
}

function tell(event: { type: 'say' | 'tool' | 'tool_result' | 'answer' } & Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

/** The worker puts the task last, under a heading, when there is more to tell. */
function taskLine(prompt: string): string {
  const heading = '# Task\n'
  const at = prompt.lastIndexOf(heading)
  const task = at < 0 ? prompt : prompt.slice(at + heading.length)
  return task.trim().split('\n', 1)[0]?.trim() ?? ''
}

function noteText(task: string, agent: string): string {
  const id = process.env.TINYTOWN_TASK_ID
  const lines = ['# Hello from Tinytown', '', `- Task: ${task}`, `- Agent: ${agent}`]
  if (id !== undefined) lines.push(`- Task id: ${id}`)
  return `${lines.join('\n')}\n`
}

function stepMs(): number {
  const value = Number(process.env.DEMO_AGENT_STEP_MS ?? DEFAULT_STEP_MS)
  if (!Number.isFinite(value) || value < 0) {
    throw new Error(`Expected DEMO_AGENT_STEP_MS to be milliseconds, got ${process.env.DEMO_AGENT_STEP_MS}`)
  }
  return value
}

function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`
}
