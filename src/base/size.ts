const UNITS = {
  '': 1,
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
} as const
const SHAPE = /^(\d+(?:\.\d+)?)\s*((?:[kmgt]i?)?b)?$/i

/** Reads `500MB`, `1.5GB`, `64KiB` or a bare number of bytes; null when it is none of these. */
export function parseSize(text: string): number | null {
  const match = SHAPE.exec(text.trim())
  if (!match) return null
  const unit = (match[2] ?? '').toLowerCase() as keyof typeof UNITS
  return Math.round(Number(match[1]) * UNITS[unit])
}

/** A number of bytes for people: `850 B`, `4.2 MB`, `1 GB`. */
export function formatSize(bytes: number): string {
  const names = ['KB', 'MB', 'GB', 'TB'] as const
  let value = bytes
  let name: string = 'B'
  for (const next of names) {
    // What would be rounded up to 1000.0 KB is a megabyte.
    if (value < (name === 'B' ? 1000 : 999.95)) break
    value /= 1000
    name = next
  }
  return `${name === 'B' ? value : Number(value.toFixed(1))} ${name}`
}
