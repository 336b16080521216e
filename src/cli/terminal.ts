import { stripVTControlCharacters, styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** What a command prints with. Results go to stdout, everything else to stderr. */
export interface Terminal {
  readonly isTerminal: boolean
  readonly color: boolean
  /** A line of the result. */
  line(text?: string): void
  /** A line beside the result: progress, hints. */
  note(text: string): void
  /** A value for programs, in one line of JSON. */
  json(value: unknown): void
  style(style: Style, text: string): string
}

/** The terminal of this process. NO_COLOR and FORCE_COLOR are honoured (no-color.org). */
export function processTerminal(env: NodeJS.ProcessEnv = process.env): Terminal {
  const isTerminal = process.stdout.isTTY === true
  const color = env.FORCE_COLOR ? env.FORCE_COLOR !== '0' : isTerminal && !env.NO_COLOR && env.TERM !== 'dumb'
  const line = (text = '') => void process.stdout.write(`${text}\n`)
  return {
    isTerminal,
    color,
    line,
    note: (text) => void process.stderr.write(`${text}\n`),
    json: (value) => line(JSON.stringify(value)),
    style: (style, text) => (color ? styleText(style, text) : text),
  }
}

const STATE_STYLES: Readonly<Record<string, Style>> = {
  idle: 'green',
  working: 'cyan',
  running: 'cyan',
  completed: 'green',
  failed: 'red',
  error: 'red',
  cancelled: 'yellow',
  paused: 'yellow',
  draining: 'yellow',
  stopped: 'gray',
}

/** A state word in its colour. */
export function styledState(terminal: Terminal, state: string): string {
  const style = STATE_STYLES[state]
  return style ? terminal.style(style, state) : state
}

/** Columns that line up, for people. Cells may hold colours. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => visibleLength(row[column] ?? ''))))
  return all.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - visibleLength(cell))))
      .join('  ')
      .trimEnd(),
  )
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length
}
