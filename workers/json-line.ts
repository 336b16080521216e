/** A JSON object whose fields are not to be trusted. */
export type Fields = Readonly<Record<string, unknown>>

/** Reads a line as a JSON object; null for anything else, which a CLI may print among its events. */
export function readFields(line: string): Fields | null {
  // A parser that throws for each of millions of lines takes minutes.
  if (!/^\s*\{/.test(line)) return null
  try {
    return asFields(JSON.parse(line))
  } catch {
    return null
  }
}

export function textIn(fields: Fields | null, name: string): string | undefined {
  const value = fields?.[name]
  return typeof value === 'string' ? value : undefined
}

export function numberIn(fields: Fields | null, name: string): number | undefined {
  const value = fields?.[name]
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

export function fieldsIn(fields: Fields | null, name: string): Fields | null {
  return asFields(fields?.[name])
}

/** The objects of a list; other members are left out, and what is no list is an empty one. */
export function listIn(fields: Fields | null, name: string): readonly Fields[] {
  const value = fields?.[name]
  return Array.isArray(value) ? value.map(asFields).filter((member) => member !== null) : []
}

function asFields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}

/** Leaves out the fields that are undefined, so that a missing field stays a missing field. */
export function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

/** The longest `detail` of a tool event, in characters. */
export const MAX_DETAIL = 500
