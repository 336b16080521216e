import { cutBytes } from '../base/text.ts'

/** What a prompt is made of. The text of the task is never cut. */
export interface PromptParts {
  readonly description: string
  readonly tags: readonly string[]
  readonly role?: string
  /** Instructions for the role, from the role's file. */
  readonly roleInstructions?: string
  /** Informational messages and confirmations that came in since the last run, oldest first. */
  readonly notes: readonly string[]
  /** How many newer ones wait for the next prompt, for want of room in this one. */
  readonly notesLeft?: number
  /** How the final message is read. */
  readonly ending?: string
}

/**
 * Composes the prompt of a run: the role, then the messages that came in, then the task, whole and last, where an agent
 * gives it most weight. A task without role, tags and messages is its own text and nothing else.
 */
export function composePrompt(parts: PromptParts): string {
  const sections: string[] = []
  if (parts.roleInstructions?.trim()) sections.push(`# Your role\n\n${parts.roleInstructions.trim()}`)
  else if (parts.role) sections.push(`# Your role\n\nYou are the ${parts.role} of this team.`)
  const messages = messageLines(parts)
  if (messages.length > 0) sections.push(`# Messages since your last task\n\n${messages.join('\n')}`)
  if (parts.tags.length > 0) sections.push(`# Tags\n\n${parts.tags.join(', ')}`)
  if (parts.ending) sections.push(`# Your final message\n\n${parts.ending}`)
  if (sections.length === 0) return parts.description
  return [...sections, `# Task\n\n${parts.description}`].join('\n\n')
}

/** A prompt, and how many of the notes it holds, from the oldest on. */
export interface FittedPrompt {
  readonly prompt: string
  readonly notesUsed: number
}

/**
 * Composes a prompt of at most `maxBytes` bytes: where the notes do not fit, the oldest that do stand in it, with a word on the
 * newer ones, which are for the next prompt. A note that is long by itself is cut. Without notes it is as long as it is: nothing
 * else may be left out.
 */
export function fitPrompt(parts: PromptParts, maxBytes: number): FittedPrompt {
  const fits = (prompt: string) => Buffer.byteLength(prompt) <= maxBytes
  const { notesLeft = 0 } = parts
  const notes = parts.notes.map((note) => shortened(note, Math.min(LONGEST_NOTE, Math.floor(maxBytes / 2))))
  const withFirst = (count: number) =>
    composePrompt({ ...parts, notes: notes.slice(0, count), notesLeft: notesLeft + notes.length - count })
  const whole = withFirst(notes.length)
  if (fits(whole)) return { prompt: whole, notesUsed: notes.length }
  let notesUsed = 0
  let tooMany = notes.length + 1
  while (tooMany - notesUsed > 1) {
    const middle = Math.floor((notesUsed + tooMany) / 2)
    if (fits(withFirst(middle))) notesUsed = middle
    else tooMany = middle
  }
  const prompt = withFirst(notesUsed)
  return { prompt: fits(prompt) ? prompt : composePrompt({ ...parts, notes: [], notesLeft: 0 }), notesUsed }
}

/** The text of a task may be long; what somebody says beside it is not. */
const LONGEST_NOTE = 32 * 1024

const REMARK_BYTES = 100

/** A message as it is kept for the next prompt: cut to what any prompt tells of it. */
export function keptNote(note: string): string {
  return Buffer.byteLength(note) <= LONGEST_NOTE ? note : shortened(note, LONGEST_NOTE - REMARK_BYTES)
}

/** One that takes more than half of a prompt would stand before all others for ever. */
function shortened(note: string, maxBytes: number): string {
  const { text, cut } = cutBytes(note, maxBytes)
  return cut ? `${text} [… cut: this message has ${Buffer.byteLength(note)} bytes]` : note
}

function messageLines({ notes, notesLeft = 0 }: PromptParts): string[] {
  const lines = notes.map((note) => `- ${indent(note)}`)
  if (notesLeft === 0) return lines
  const what = notesLeft === 1 ? '1 newer message does' : `${notesLeft} newer messages do`
  return [...lines, `- (${what} not fit in here: to be told with your next task)`]
}

/** Keeps the further lines of a note under its bullet; a NUL, which no argument can hold, is left out. */
function indent(note: string): string {
  return note.replaceAll('\0', '').trim().split('\n').join('\n  ')
}
