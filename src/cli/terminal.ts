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
  /** A line beside the result that only a person who watches wants: left out when stderr is no terminal. */
  progress(text: string): void
  /** Bytes of the result, as they are. Settles when there is room for more. */
  write(bytes: Uint8Array): Promise<void>
  /** A value for programs, in one line of JSON. */
  json(value: unknown): void
  style(style: Style, text: string): string
}

/** The terminal of this process. NO_COLOR and FORCE_COLOR are honoured (no-color.org). */
export function processTerminal(env: NodeJS.ProcessEnv = process.env): Terminal {
  const isTerminal = process.stdout.isTTY === true
  const color = env.FORCE_COLOR ? env.FORCE_COLOR !== '0' : isTerminal && !env.NO_COLOR && env.TERM !== 'dumb'
  const line = (text = '') => void process.stdout.write(`${text}\n`)
  const note = (text: string) => void process.stderr.write(`${text}\n`)
  return {
    isTerminal,
    color,
    line,
    note,
    progress: (text) => (process.stderr.isTTY === true ? note(text) : undefined),
    // A reader that went away is found out by whoever watches stdout for errors.
    write: (bytes) => new Promise((resolve) => process.stdout.write(bytes, () => resolve())),
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

/** The same with a heading that stands out. */
export function headedTable(
  terminal: Terminal,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const [head = '', ...lines] = table(headings, rows)
  return [terminal.style('bold', head), ...lines]
}

/** The text without what would steer a terminal: colours, cursor movements, titles, clipboard writes. Lines and tabs stay. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out.
  return stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length
}
