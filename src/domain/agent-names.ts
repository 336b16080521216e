/**
 * The names of `count` agents of one daemon: `worker-1` and 4 give worker-1 to worker-4, `backend` and 2 give backend-1 and
 * backend-2. One agent has the name as it is.
 */
export function agentNames(name: string, count: number): string[] {
  if (count === 1) return [name]
  const [, base = name, first = '1'] = /^(.*?)-(\d+)$/.exec(name) ?? []
  return Array.from({ length: count }, (_, at) => `${base}-${Number(first) + at}`)
}
