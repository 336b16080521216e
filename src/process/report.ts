import { lastChars } from '../base/text.ts'
import type { Usage } from '../domain/outcome.ts'
import type { AgentEvent, ToldError } from './profile.ts'

/** How much of a plain-text answer is kept: its end. */
export const ANSWER_CHARS = 1024 * 1024
const STDERR_LINES = 40
const STDERR_LINE_CHARS = 400

/** What a run told of itself, folded from its events. Its size is bounded for any number of them. */
export interface RunReport {
  readonly sessionId: string | null
  readonly lastMessage: string | null
  readonly final: string | null
  readonly usage: Usage
  readonly toolCalls: number
  readonly fatal: ToldError | null
  /** The error after which it tries again, and has not got any further since. */
  readonly retrying: ToldError | null
  /** When the limit is over that refuses the run, in milliseconds since 1970; null: none does. */
  readonly resetsAt: number | null
  /** What the terminal event said, null before it. */
  readonly ended: { readonly ok: boolean } | null
}

export const EMPTY_REPORT: RunReport = {
  sessionId: null,
  lastMessage: null,
  final: null,
  usage: {},
  toolCalls: 0,
  fatal: null,
  retrying: null,
  resetsAt: null,
  ended: null,
}

/** Adds one event. The last message, answer and usage count; the first fatal error does. */
export function addEvent(before: RunReport, event: AgentEvent): RunReport {
  if (event.type === 'notice') return event.error ? { ...before, retrying: event.error } : before
  if (event.type === 'limit') return { ...before, resetsAt: event.resetsAt }
  const report = before.retrying === null ? before : { ...before, retrying: null }
  switch (event.type) {
    case 'session':
      return { ...report, sessionId: event.id }
    case 'message':
      return { ...report, lastMessage: event.text }
    case 'final':
      return { ...report, final: event.text }
    case 'usage':
      return { ...report, usage: { ...report.usage, ...event.usage } }
    case 'tool-finished':
      return { ...report, toolCalls: report.toolCalls + 1 }
    case 'error':
      return event.fatal && report.fatal === null ? { ...report, fatal: event } : report
    case 'end':
      return { ...report, ended: { ok: event.ok } }
    case 'tool-started':
      return report
  }
}

/** The end of a text of any length, in whole lines; of a line that is most of it, the end. */
export class TextTail {
  readonly #maxChars: number
  readonly #maxLines: number
  #lines: string[] = []
  /** Where the lines begin that are kept; those before it are let go now and then, as moving all at each line takes for ever. */
  #first = 0
  #chars = 0
  #cut = false

  constructor(maxChars: number, maxLines = Number.POSITIVE_INFINITY) {
    this.#maxChars = maxChars
    this.#maxLines = maxLines
  }

  /** Adds a line; `cut` says that its beginning is missing already. */
  add(line: string, cut = false): void {
    const kept = lastChars(line, this.#maxChars)
    this.#lines.push(kept)
    this.#chars += kept.length + 1
    this.#cut ||= cut || kept.length < line.length
    while (this.#isFull() && this.#first < this.#lines.length - 1) this.#shorten()
    if (this.#first > 1024 && this.#first * 2 > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#first)
      this.#first = 0
    }
  }

  #isFull(): boolean {
    return this.#chars > this.#maxChars || this.#lines.length - this.#first > this.#maxLines
  }

  #shorten(): void {
    const line = this.#lines[this.#first] ?? ''
    this.#cut = true
    const excess = this.#chars - this.#maxChars
    // Without it little would be left.
    if (line.length > this.#maxChars / 2 && line.length > excess && excess > 0) {
      const kept = lastChars(line, line.length - excess)
      this.#lines[this.#first] = kept
      this.#chars -= line.length - kept.length
      return
    }
    this.#chars -= line.length + 1
    this.#lines[this.#first] = ''
    this.#first += 1
  }

  get text(): string {
    return this.#lines.slice(this.#first).join('\n').trim()
  }

  /** True when the beginning is missing. */
  get cut(): boolean {
    return this.#cut
  }
}

/** The plain-text answer of a CLI that has no events. */
export function answerTail(): TextTail {
  return new TextTail(ANSWER_CHARS)
}

/** The last lines of stderr, for the detail of a failure. */
export class StderrTail {
  readonly #tail = new TextTail(STDERR_LINES * STDERR_LINE_CHARS, STDERR_LINES)

  add(line: string): void {
    this.#tail.add(line.length > STDERR_LINE_CHARS ? `${line.slice(0, STDERR_LINE_CHARS)}…` : line)
  }

  get text(): string {
    return this.#tail.text
  }
}
