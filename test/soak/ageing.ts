import { readdirSync, readFileSync } from 'node:fs'

/** What a process holds at a moment. */
export interface Sample {
  /** Seconds since the soak began. */
  readonly at: number
  readonly pid: number
  readonly rssMb: number
  readonly files: number
}

/** What a process held in the first third of its time, after it had warmed up, and in the last. Medians. */
export interface Ageing {
  readonly samples: number
  readonly rssMb: { readonly first: number; readonly last: number; readonly max: number }
  readonly files: { readonly first: number; readonly last: number; readonly max: number }
}

const WARM_UP_S = 10

/** What the process holds now; null when it is gone. Linux. */
export function sampleOf(pid: number, at: number): Sample | null {
  try {
    const [, kilobytes = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    const files = readdirSync(`/proc/${pid}/fd`).length
    return kilobytes === '0' ? null : { at, pid, rssMb: Number(kilobytes) / 1024, files }
  } catch {
    return null
  }
}

/** Null where there are too few samples of the process to say anything. */
export function ageingOf(samples: readonly Sample[]): Ageing | null {
  const born = samples[0]?.at ?? 0
  const warm = samples.filter(({ at }) => at - born >= WARM_UP_S)
  const third = Math.floor(warm.length / 3)
  if (third < 3) return null
  const compare = (read: (sample: Sample) => number) => ({
    first: median(warm.slice(0, third).map(read)),
    last: median(warm.slice(-third).map(read)),
    max: Math.max(...warm.map(read)),
  })
  return {
    samples: samples.length,
    rssMb: compare(({ rssMb }) => Math.round(rssMb)),
    files: compare(({ files }) => files),
  }
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

/** The value below which this share of the values lies; 0 where there are none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}
