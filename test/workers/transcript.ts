import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ToldReason } from '../../src/domain/outcome.ts'
import type { AgentEvent, Profile, ToldError } from '../../src/process/profile.ts'
import { addEvent, EMPTY_REPORT } from '../../src/process/report.ts'

const root = fileURLToPath(new URL('./transcripts/', import.meta.url))

/** The names of the runs recorded for `cli`, such as `codex-0.169.0`. */
export function casesOf(cli: string): string[] {
  return readdirSync(root + cli)
    .filter((file) => file.endsWith('.stdout'))
    .map((file) => file.slice(0, -'.stdout'.length))
    .sort()
}

/** What a profile makes of a recorded run, as a row of a table. What did not happen is absent. */
export interface Reading {
  session?: string
  model?: string
  /** Tools that were started, with the first letters of their details. */
  tools?: string[]
  /** How many of them did not work. */
  failedTools?: number
  messages?: string[]
  final?: string
  /** Input tokens, those of them from the cache, output tokens, US dollars. */
  usage?: (number | undefined)[]
  /** Status, code and the beginning of the message. */
  error?: string
  notices?: number
  /** Why it tried again and got no further. */
  retries?: ToldReason
  reason?: ToldReason
  end?: boolean
}

export function readCase(profile: Profile, cli: string, name: string): Reading {
  const lines = readFileSync(`${root}${cli}/${name}.stdout`, 'utf8').split('\n')
  const events = lines.flatMap((line) => profile.parseLine?.(line) ?? [])
  const of = <T extends AgentEvent['type']>(type: T) =>
    events.filter((event): event is Extract<AgentEvent, { type: T }> => event.type === type)

  const fatal = of('error').find((error) => error.fatal)
  const { retrying } = events.reduce(addEvent, EMPTY_REPORT)
  const stderr = `${root}${cli}/${name}.stderr`
  const facts: { [K in keyof Reading]: Reading[K] | undefined } = {
    session: of('session')[0]?.id,
    model: of('session')[0]?.model,
    tools: some(of('tool-started').map(({ name, detail }) => `${name}: ${detail}`)),
    failedTools: of('tool-finished').filter(({ ok }) => !ok).length || undefined,
    messages: some(of('message').map(({ text }) => text)),
    final: of('final').at(-1)?.text,
    usage: of('usage')
      .map(({ usage }) => [usage.inputTokens, usage.cachedInputTokens, usage.outputTokens, usage.costUsd])
      .at(-1),
    error: fatal && [fatal.status, fatal.code, fatal.message.slice(0, 60)].filter(Boolean).join(' '),
    notices: of('notice').length || undefined,
    retries: retrying ? reasonOf(profile, retrying) : undefined,
    reason: fatal ? reasonOf(profile, fatal) : stderrReason(profile, existsSync(stderr) ? stderr : null),
    end: of('end')[0]?.ok,
  }
  return Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== undefined))
}

export function reasonOf(profile: Profile, error: ToldError): ToldReason | undefined {
  return profile.failures.find(({ match }) =>
    typeof match === 'function' ? match(error) : match.test(error.message),
  )?.reason
}

function stderrReason(profile: Profile, path: string | null): ToldReason | undefined {
  if (path === null) return undefined
  const stderr = readFileSync(path, 'utf8')
  return profile.stderrFailures?.find(({ match }) => match.test(stderr))?.reason
}

function some<T>(list: T[]): T[] | undefined {
  return list.length === 0 ? undefined : list
}
