/** Lines on a terminal that are drawn again and again, in place. */
export interface Screen {
  draw(lines: readonly string[]): void
  /** Gives the terminal back as it was; what was drawn last stays. */
  close(): void
}

const CODES = {
  noWrap: '\u001b[?7l',
  wrap: '\u001b[?7h',
  clear: '\u001b[2J',
  home: '\u001b[H',
  clearLine: '\u001b[K',
  clearBelow: '\u001b[J',
} as const

/** Clears the terminal and draws on it; what is too wide or too long for it is cut. */
export function openScreen(out: { readonly rows?: number; write(text: string): unknown }): Screen {
  out.write(CODES.noWrap + CODES.clear)
  return {
    draw(lines) {
      const text = fitting(lines, out.rows ?? 24).map((line) => `${line}${CODES.clearLine}\n`)
      out.write(CODES.home + text.join('') + CODES.clearBelow)
    },
    close: () => void out.write(CODES.wrap),
  }
}

/** The line after the last one is the cursor's: a line there would scroll the first one away. */
function fitting(lines: readonly string[], rows: number): readonly string[] {
  const room = Math.max(2, rows - 1)
  if (lines.length <= room) return lines
  const hidden = lines.length - room + 1
  return [...lines.slice(0, room - 1), `… ${hidden} more lines`]
}
