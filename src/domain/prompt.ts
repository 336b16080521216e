/** What a prompt is made of. Nothing of it is ever cut. */
export interface PromptParts {
  readonly description: string
  readonly tags: readonly string[]
  readonly role?: string
  /** Instructions for the role, from the role's file. */
  readonly roleInstructions?: string
  /** Informational messages and confirmations that came in since the last run, oldest first. */
  readonly notes: readonly string[]
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
  if (parts.notes.length > 0) {
    sections.push(
      `# Messages since your last task\n\n${parts.notes.map((note) => `- ${indent(note)}`).join('\n')}`,
    )
  }
  if (parts.tags.length > 0) sections.push(`# Tags\n\n${parts.tags.join(', ')}`)
  if (parts.ending) sections.push(`# Your final message\n\n${parts.ending}`)
  if (sections.length === 0) return parts.description
  return [...sections, `# Task\n\n${parts.description}`].join('\n\n')
}

/** Keeps the further lines of a note under its bullet. */
function indent(note: string): string {
  return note.trim().split('\n').join('\n  ')
}
