import { readdirSync, readFileSync } from 'node:fs'

/** By what the processes of a run are known: the variables that the run's environment has. */
export type Mark = { readonly taskId: string } | { readonly runId: string } | { readonly agentId: string }

/** One process that was found; its command line tells in a failed assertion what was left. */
export interface Found {
  readonly pid: number
  readonly command: string
}

interface Entry {
  readonly pid: number
  readonly parent: number
  readonly group: number
  readonly session: number
}

/**
 * Every living process of a run: those that carry the mark in their environment, whatever they did to their ancestry (setsid,
 * nohup, a second fork), with all that is in their groups and sessions and all that descends from these. Without the code under test.
 */
export function census(mark: Mark): Found[] {
  const entries = pids().flatMap((pid) => entryOf(pid) ?? [])
  const found = new Set(entries.filter(({ pid }) => environOf(pid).includes(textOf(mark))))
  const own = entryOf(process.pid)
  // A set goes on to what is added while it is walked through.
  for (const one of found) {
    for (const entry of entries) {
      if (entry.pid === own?.pid || entry.group === own?.group) continue
      const shares = one.session !== own?.session && entry.session === one.session
      if (entry.parent === one.pid || entry.group === one.group || shares) found.add(entry)
    }
  }
  return [...found].map(({ pid }) => ({ pid, command: commandOf(pid) }))
}

/** The guards of runs; of one run, where its id is given. Not what they fork, which has their command line at first. */
export function guards(runId = ''): Found[] {
  return pids()
    .filter((pid) => entryOf(pid)?.session === pid)
    .map((pid) => ({ pid, command: commandOf(pid) }))
    .filter(({ command }) => command.includes(` run-guard ${runId}`))
}

/** True when the process runs; a zombie does not. */
export function isAlive(pid: number): boolean {
  return entryOf(pid) !== null
}

function textOf(mark: Mark): string {
  if ('runId' in mark) return `TINYTOWN_RUN_ID=${mark.runId}`
  if ('taskId' in mark) return `TINYTOWN_TASK_ID=${mark.taskId}`
  return `TINYTOWN_AGENT_ID=${mark.agentId}`
}

function pids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger)
}

/** Null for what is gone or only waits to be collected. */
function entryOf(pid: number): Entry | null {
  const stat = read(pid, 'stat')
  // The name, in parentheses, may hold spaces and parentheses.
  const [state, parent, group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (stat === '' || state === 'Z' || state === 'X') return null
  return { pid, parent: Number(parent), group: Number(group), session: Number(session) }
}

function environOf(pid: number): string[] {
  return read(pid, 'environ').split('\0')
}

function commandOf(pid: number): string {
  return read(pid, 'cmdline').split('\0').join(' ').trim()
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    // Gone, or of another user.
    return ''
  }
}
