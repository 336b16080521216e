const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const SHAPE = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/

/** Reads `30s`, `10m`, `1h`, `500ms`, `2d` or a bare number of seconds as milliseconds; null when it is none of these. */
export function parseDuration(text: string): number | null {
  const match = SHAPE.exec(text.trim())
  if (!match) return null
  const unit = (match[2] ?? 's') as keyof typeof UNITS
  return Math.round(Number(match[1]) * UNITS[unit])
}

/** A duration for people: `850ms`, `4.2s`, `3m05s`, `2h10m`. */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)}ms`
  // What would be rounded up to 60.0s is a minute.
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)}s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`
}
