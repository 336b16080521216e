import { stripVTControlCharacters } from 'node:util'
import { type Line, LineSplitter } from '../base/lines.ts'
import { oneLine } from '../base/text.ts'
import { messageOf } from '../domain/errors.ts'
import type { AgentEvent, Profile } from './profile.ts'
import { ANSWER_CHARS, addEvent, answerTail, EMPTY_REPORT, type RunReport, StderrTail } from './report.ts'

/** The longest line that is read as an event, in UTF-16 units: a whole result may be one. */
export const LONGEST_EVENT = 16 * 1024 * 1024
/** The longest line of plain text of which the beginning is shown. */
const LONGEST_TEXT = 1024 * 1024

/** What is read from the two streams of a run. */
export interface Reading {
  readonly report: RunReport
  /** The whole of stdout when the CLI has no events, at most its last MiB. */
  readonly plain: { readonly text: string; readonly cut: boolean }
  readonly stderr: string
  /** How many lines were too long to be read as events. */
  readonly unreadLines: number
  /** Nothing at all came on stdout. */
  readonly mute: boolean
}

/** Turns the output of a run into events, into readable lines, and into what is known at its end. */
export class OutputReader {
  readonly #profile: Profile
  readonly #show: (text: string) => void
  readonly #onTerminal: () => void
  readonly #onLife: () => void
  readonly #redact: (text: string) => string
  readonly #stdout: LineSplitter
  readonly #stderr = new LineSplitter(LONGEST_TEXT)
  readonly #plain = answerTail()
  readonly #stderrTail = new StderrTail()
  #report: RunReport = EMPTY_REPORT
  #unreadLines = 0
  #mute = true
  /** Whether what was taken shows that the work goes on. */
  #lives = false

  constructor(options: {
    profile: Profile
    show: (text: string) => void
    onTerminal: () => void
    /** Called for output that shows that the work goes on. */
    onLife: () => void
    /** Takes the secrets out of a text. */
    redact?: (text: string) => string
  }) {
    this.#profile = options.profile
    // Of a plain answer the end counts, also where it is one line.
    const isPlain = options.profile.parseLine === null
    this.#stdout = isPlain ? new LineSplitter(LONGEST_TEXT, ANSWER_CHARS) : new LineSplitter(LONGEST_EVENT)
    this.#show = options.show
    this.#onTerminal = options.onTerminal
    this.#onLife = options.onLife
    this.#redact = options.redact ?? ((text) => text)
  }

  push(stream: 'stdout' | 'stderr', chunk: Uint8Array): void {
    if (stream === 'stdout' && chunk.length > 0) this.#mute = false
    this.#lives = this.#profile.parseLine === null
    const lines = (stream === 'stdout' ? this.#stdout : this.#stderr).push(chunk)
    for (const line of lines) this.#take(stream, line)
    // Once for all of it: each sign sets a timer anew, which takes longer than to read a short line.
    if (this.#lives) this.#onLife()
  }

  /** Takes the last lines, which have no line end, and tells what is known. */
  finish(): Reading {
    for (const line of this.#stdout.end()) this.#take('stdout', line)
    for (const line of this.#stderr.end()) this.#take('stderr', line)
    const { text, cut } = this.#plain
    const told = { report: this.#report, unreadLines: this.#unreadLines, mute: this.#mute }
    return { ...told, plain: { text, cut }, stderr: this.#stderrTail.text }
  }

  #take(stream: 'stdout' | 'stderr', line: Line): void {
    if (stream === 'stderr') this.#stderrTail.add(this.#showLine(line))
    else if (this.#profile.parseLine === null) this.#takePlain(line)
    else if (line.cut) this.#takeCut()
    else this.#takeEvents(this.#eventsOf(this.#profile.parseLine, line.text))
  }

  /**
   * The events of a line, without secrets: of the line without them, as a parser may cut a text within one; and of the line as it
   * is where a secret is a word of the CLI's own language, without which the line is no event.
   */
  #eventsOf(parseLine: LineParser, line: string): readonly AgentEvent[] {
    const events = parsed(parseLine, line)
    const clean = this.#redact(line)
    const cleaned = clean === line ? events : parsed(parseLine, clean)
    const same = cleaned.map(({ type }) => type).join() === events.map(({ type }) => type).join()
    return (same ? cleaned : events).map((event) => withoutSecrets(event, this.#redact))
  }

  /** Half an event cannot be read, but it shows that the work goes on. */
  #takeCut(): void {
    this.#lives = true
    this.#unreadLines += 1
    this.#show(`! a line of more than ${LONGEST_EVENT} characters was not read`)
  }

  #takeEvents(events: readonly AgentEvent[]): void {
    // A CLI that cannot reach its model says so for ever; only what is no notice shows that the work goes on.
    if (events.length === 0 || !events.every(({ type }) => type === 'notice' || type === 'limit'))
      this.#lives = true
    for (const event of events) this.#takeEvent(event)
  }

  #takePlain(line: Line): void {
    const shown = this.#showLine(line)
    if (line.cut) this.#plain.add(this.#redact(readable(line.tail)), true)
    else this.#plain.add(shown)
  }

  #showLine(line: Line): string {
    // What colours took apart was none for whoever looked at the bytes.
    const text = this.#redact(readable(line.text))
    this.#show(line.cut ? `${text} […]` : text)
    return text
  }

  #takeEvent(event: AgentEvent): void {
    this.#report = addEvent(this.#report, event)
    // A final answer mostly repeats the last message.
    const isNew = event.type === 'final' && event.text !== this.#report.lastMessage
    const text = isNew ? event.text : renderEvent(event)
    if (text) this.#show(this.#redact(readable(text)))
    if (event.type === 'end') this.#onTerminal()
  }
}

function withoutSecrets(event: AgentEvent, redact: (text: string) => string): AgentEvent {
  const members = Object.entries(event).map(([name, value]) =>
    name === 'type' || typeof value !== 'string' ? [name, value] : [name, redact(value)],
  )
  return Object.fromEntries(members) as AgentEvent
}

type LineParser = NonNullable<Profile['parseLine']>

/** The events of a line. One that breaks the parser costs that line, not the run. */
function parsed(parseLine: LineParser, line: string): readonly AgentEvent[] {
  try {
    return parseLine(line)
  } catch (error) {
    return [{ type: 'notice', text: `a line could not be read (${messageOf(error)}): ${oneLine(line)}` }]
  }
}

/** An event as a person reads it; null when there is nothing to show. */
export function renderEvent(event: AgentEvent): string | null {
  switch (event.type) {
    case 'session':
      return event.model ? `· session ${event.id} (${event.model})` : `· session ${event.id}`
    case 'message':
      return event.text
    case 'tool-started':
      return event.detail ? `$ ${event.name}: ${event.detail}` : `$ ${event.name}`
    case 'tool-finished':
      return event.ok ? null : `! ${event.name ?? 'the tool'} failed`
    case 'error':
      return `! ${event.message}`
    case 'notice':
      return `· ${oneLine(event.text, 500)}`
    // What is new in a final answer is shown by the reader; usage and end are told in the record.
    case 'final':
    case 'limit':
    case 'usage':
    case 'end':
      return null
  }
}

/** Without colours and other control characters, which would act on the terminal of whoever reads it. */
function readable(text: string): string {
  return stripVTControlCharacters(text).replace(/[^\P{Cc}\t\n]/gu, '')
}
