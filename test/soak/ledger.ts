/** One run of the coding CLI, as it told it itself. */
export interface Run {
  readonly id: string
  readonly taskId: string
  readonly pid: number
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Processes of other runs of the same task that lived when it started. */
  readonly beside: readonly string[]
  /** Null: it was killed before it came to its end. */
  readonly exitCode: number | null
}

/** Reads what the runs wrote, in the order of their starts. */
export function readLedger(text: string): Run[] {
  const runs = new Map<string, Run>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    const entry = JSON.parse(line)
    if (entry.what === 'start') {
      const { task: taskId, run: id, pid, at: startedAt, beside } = entry
      runs.set(id, { id, taskId, pid, startedAt, beside, exitCode: null })
    } else {
      const run = runs.get(entry.run)
      if (run) runs.set(run.id, { ...run, exitCode: entry.code })
    }
  }
  return [...runs.values()]
}
