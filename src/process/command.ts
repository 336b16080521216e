import type { Profile } from './profile.ts'

/** What is started: a program, its arguments, and the way in which it gets the prompt. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  /** Null: an empty stdin, at its end from the start. */
  readonly stdin: string | null
  /** A file to be written before the start and removed after the end. */
  readonly promptFile: { readonly path: string; readonly text: string } | null
}

export type BuiltCommand =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly reason: 'bad-task'; readonly detail: string }

export interface CommandParts {
  readonly prompt: string
  /** Where the prompt goes when the CLI reads it from a file. */
  readonly promptFile?: string
  /** Arguments of this run alone, put after those of the profile. */
  readonly extra: readonly string[]
}

/** Linux refuses a single argument of this size with E2BIG (MAX_ARG_STRLEN, 32 pages, its NUL included). */
export const MAX_ARGUMENT_BYTES = 131_072

/** The longest prompt, in bytes, that a CLI takes in the way in which it gets it. */
export function longestPrompt({ prompt: { via, maxBytes } }: Pick<Profile, 'prompt'>): number {
  // An argument may get a space before it.
  const room = via === 'argument' ? MAX_ARGUMENT_BYTES - 2 : Number.POSITIVE_INFINITY
  return Math.min(room, maxBytes ?? room)
}

/** Makes the command of a run. A prompt that cannot be handed over is an error value: nothing of a prompt is ever cut. */
export function buildCommand(
  profile: Pick<Profile, 'command' | 'prompt' | 'title'>,
  { prompt, promptFile, extra }: CommandParts,
): BuiltCommand {
  const { via, flag, maxBytes } = profile.prompt
  const bytes = Buffer.byteLength(prompt)
  if (maxBytes !== undefined && bytes > maxBytes) return tooLong(bytes, `${profile.title} takes`, maxBytes)
  const { program } = profile.command
  const args = [...profile.command.args, ...extra]
  const flags = flag === undefined ? [] : [flag]
  if (via === 'stdin') return built({ program, args, stdin: prompt, promptFile: null })
  if (via === 'file') {
    if (promptFile === undefined) throw new TypeError('A prompt that goes through a file needs a path')
    const file = { path: promptFile, text: prompt }
    return built({ program, args: [...args, ...flags, promptFile], stdin: null, promptFile: file })
  }
  const argument = asArgument(prompt)
  const refused = refusedArgument(argument)
  return refused ?? built({ program, args: [...args, ...flags, argument], stdin: null, promptFile: null })
}

/** A prompt that begins with a hyphen would be read as an option; `--` is not understood by all. */
function asArgument(prompt: string): string {
  return prompt.startsWith('-') ? ` ${prompt}` : prompt
}

function refusedArgument(argument: string): BuiltCommand | null {
  if (argument.includes('\0')) {
    return bad('The prompt holds a NUL character, which no argument can. Set prompt = "stdin" or "file".')
  }
  const bytes = Buffer.byteLength(argument)
  if (bytes < MAX_ARGUMENT_BYTES) return null
  return tooLong(bytes, 'an argument holds', MAX_ARGUMENT_BYTES - 1, 'Set prompt = "file" or "stdin".')
}

function tooLong(
  bytes: number,
  who: string,
  limit: number,
  remedy = 'Put the long part into a file of the working folder and name it in the task.',
): BuiltCommand {
  return bad(`The prompt has ${bytes} bytes; ${who} at most ${limit}. ${remedy}`)
}

function bad(detail: string): BuiltCommand {
  return { ok: false, reason: 'bad-task', detail }
}

function built(command: Command): BuiltCommand {
  return { ok: true, command }
}
