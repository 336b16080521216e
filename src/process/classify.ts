import { formatDuration } from '../base/duration.ts'
import { formatSize } from '../base/size.ts'
import { cutBytes, endBytes, oneLine } from '../base/text.ts'
import type { Outcome, Reason, RunFacts } from '../domain/outcome.ts'
import type { ProcessEnd } from './agent-process.ts'
import { LONGEST_EVENT, type Reading } from './output-reader.ts'
import type { Profile, ToldError } from './profile.ts'
import type { RunReport } from './report.ts'

const MAX_DETAIL_BYTES = 4096
/** Of which the sentence takes this much at most; the rest is for the end of what it printed. */
const MAX_SENTENCE_BYTES = 2048

/** What to do where no prompt file can be written. */
export const PROMPT_REMEDY =
  'make .tt/tasks of the town writable for this user, with room on its disk, or set prompt = "stdin"'

type Failing = (reason: Reason, sentence: string, more?: { final: boolean }) => Outcome
type Exited = Extract<ProcessEnd, { kind: 'exited' }>

/**
 * Says how a run ended. What we did to it counts first, then what the CLI said of itself in its events, then its exit code, then what it wrote
 * to stderr. Exit 0 alone is no success: there must be an answer and, where the CLI tells the end of its turn, that end.
 */
export function classify(
  profile: Profile,
  end: ProcessEnd,
  reading: Reading,
  limits: { wallMs: number; stallMs: number; outputBytes: number },
  now: number = Date.now(),
): Outcome {
  if (end.kind === 'not-started') return notStarted(profile, end)
  const facts = factsOf(end, reading)
  const failed: Failing = (reason, sentence, more) => ({
    kind: 'failed',
    reason,
    // A CLI without events may say on stdout what went wrong.
    detail: detailOf(sentence, reading.stderr.trim() || reading.plain.text.trim()),
    facts,
    ...resetOf(profile, reading.report, now),
    ...more,
  })
  switch (end.endedBy) {
    case 'timeout':
      return failed('timeout', `The run took longer than ${formatDuration(limits.wallMs)} and was ended`)
    case 'stalled': {
      const { retrying } = reading.report
      const silent = `The run was silent for longer than ${formatDuration(limits.stallMs)} and was ended`
      if (retrying === null) return failed('stalled', silent)
      // It waits for what another run would wait for as well.
      return failed(
        reasonOf(profile, retrying) ?? 'stalled',
        `${silent}; it tried again after: ${retrying.message}`,
      )
    }
    case 'output-limit':
      return failed(
        'output-limit',
        `The run printed more than ${formatSize(limits.outputBytes)} and was ended (--output-limit)`,
      )
    case 'cancelled':
      return { kind: 'cancelled', facts }
    case 'shutdown':
    case 'lease-lost':
      return { kind: 'released', reason: end.endedBy, facts }
    case 'lingering':
    case null:
      return judge(profile, end, reading, facts, failed)
  }
}

/** When the limit is over: what the CLI's events say of it, else what its error message does. */
function resetOf(profile: Profile, report: RunReport, now: number): { resetsAt?: number } {
  if (report.resetsAt !== null) return { resetsAt: report.resetsAt }
  const message = report.fatal?.message ?? report.retrying?.message
  // The CLI tells the time of the place where it thinks that it is.
  const timeZone = profile.env.set.TZ ?? new Intl.DateTimeFormat().resolvedOptions().timeZone
  const resetsAt = message === undefined ? undefined : profile.resetsAt?.(message, { now, timeZone })
  return resetsAt === undefined ? {} : { resetsAt }
}

function judge(profile: Profile, end: Exited, reading: Reading, facts: RunFacts, failed: Failing): Outcome {
  const { report, plain } = reading
  // What we sent to one that lingers says nothing of its run.
  const exit = end.endedBy === 'lingering' ? { signal: null, exitCode: 0 } : end
  const meant = exit.exitCode === null ? undefined : profile.exitCodes?.[exit.exitCode]
  if (report.fatal) return failed(reasonOf(profile, report.fatal) ?? meant ?? 'exit', report.fatal.message)
  if (exit.signal !== null || exit.exitCode !== 0) {
    if (meant === undefined && isWithoutProgram(exit, reading)) return withoutProgram(profile, exit, reading)
    const reason = exit.signal === null ? 'exit' : 'crashed'
    const how = exit.signal === null ? `exited with ${exit.exitCode}` : `was ended by ${exit.signal}`
    return failed(meant ?? stderrReason(profile, reading) ?? reason, `${profile.id} ${how}`)
  }
  if (report.ended?.ok === false) return failed('exit', `${profile.id} said that its turn failed`)
  if (profile.terminalEvent && report.ended === null) {
    const reason = stderrReason(profile, reading)
    if (reason === undefined && reading.unreadLines > 0) return unread(profile, reading, failed)
    return failed(
      reason ?? 'no-final-answer',
      `${profile.id} exited with 0 without saying that its turn was over`,
    )
  }
  const isPlain = profile.parseLine === null
  const answer = (isPlain ? plain.text : (report.final ?? report.lastMessage ?? '')).trim()
  if (answer === '') {
    if (reading.unreadLines > 0) return unread(profile, reading, failed)
    return failed('no-final-answer', `${profile.id} exited with 0 without a final answer`)
  }
  // Of plain output the end is the answer; what comes before is how it got there.
  if (isPlain) return { kind: 'completed', result: answer, part: 'end', truncated: plain.cut, facts }
  return { kind: 'completed', result: answer, truncated: false, facts }
}

/** What is missing stood in a line that was too long to be read, and would stand there again. */
function unread(profile: Profile, { unreadLines }: Reading, failed: Failing): Outcome {
  const lines = unreadLines === 1 ? 'an event' : `${unreadLines} events`
  const sentence = `${profile.id} printed ${lines} of more than ${LONGEST_EVENT} characters, which cannot be read, and its answer in no other`
  return failed('output-limit', `${sentence}; have it write a result of that size into a file`, {
    final: true,
  })
}

/** Why a CLI gave up before it printed events. After a terminal event anything on stderr is talk. */
function stderrReason(profile: Profile, { report, stderr }: Reading): Reason | undefined {
  if (report.ended !== null) return undefined
  return profile.stderrFailures?.find(({ match }) => match.test(stderr))?.reason
}

function notStarted(profile: Profile, end: Extract<ProcessEnd, { kind: 'not-started' }>): Outcome {
  if (end.code === 'ENOTDIR')
    return { kind: 'held', reason: 'config', detail: `${end.message}; make it (mkdir -p)` }
  // Also when the program is there and the interpreter of its first line is not.
  if (['ENOENT', 'EACCES', 'ENOEXEC'].includes(end.code)) {
    const detail = `${profile.command.program} cannot be started (${end.code}); ${profile.install}`
    return { kind: 'held', reason: 'not-installed', detail }
  }
  const remedy = end.code === 'PROMPT_FILE' ? `; ${PROMPT_REMEDY}` : ''
  return {
    kind: 'held',
    reason: 'config',
    detail: `${profile.command.program} cannot be started: ${end.message}${remedy}`,
  }
}

/** What env and every shell say of a program that is not there (127) or cannot be executed (126). Whoever said something did run. */
function isWithoutProgram({ exitCode }: { readonly exitCode: number | null }, { mute }: Reading): boolean {
  return mute && (exitCode === 126 || exitCode === 127)
}

/** It began with a program that is there, `#!/usr/bin/env node` say, and ended at one that is not. */
function withoutProgram(
  profile: Profile,
  { exitCode }: { readonly exitCode: number | null },
  { stderr }: Reading,
): Outcome {
  const said = oneLine(stderr.trim().split('\n').at(-1) ?? '', MAX_SENTENCE_BYTES / 4)
  const why = said === '' ? 'a program that it needs cannot be started' : said
  const remedy = `start the worker with a PATH in which ${profile.command.program} runs, or install it anew: ${profile.install}`
  const detail = `${profile.id} exited with ${exitCode} and did nothing: ${why}; ${remedy}`
  return { kind: 'held', reason: 'not-installed', detail }
}

function reasonOf(profile: Profile, error: ToldError): Reason | undefined {
  return profile.failures.find(({ match }) =>
    match instanceof RegExp ? match.test(error.message) : match(error),
  )?.reason
}

function factsOf(end: Exited, { report }: Reading): RunFacts {
  return {
    ...report.usage,
    toolCalls: report.toolCalls,
    durationMs: end.durationMs,
    ...(report.sessionId ? { sessionId: report.sessionId } : {}),
    ...(end.exitCode === null ? {} : { exitCode: end.exitCode }),
    ...(end.signal === null ? {} : { signal: end.signal }),
  }
}

function detailOf(sentence: string, printed: string): string {
  const { text } = cutBytes(sentence, printed ? MAX_SENTENCE_BYTES : MAX_DETAIL_BYTES)
  if (!printed) return text
  // The cause stands at the end.
  const end = endBytes(printed, MAX_DETAIL_BYTES - Buffer.byteLength(text) - 2)
  return `${text}\n\n${end.text}`
}
