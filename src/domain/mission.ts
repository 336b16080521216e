/** What a task is within a mission of Tinytown, by its tags. */
export type MissionKind = 'work' | 'review' | 'fix'

const TAGS: Readonly<Record<string, MissionKind>> = {
  'mission-task:work': 'work',
  'mission-work-item': 'work',
  'mission-task:review': 'review',
  'mission-review-task': 'review',
  'mission-task:fix': 'fix',
  'mission-fix-task': 'fix',
}

/** The part that a task has in a mission; null when it belongs to none. One that is a review in any way is a review. */
export function missionKind(tags: readonly string[]): MissionKind | null {
  const kinds = tags.flatMap((tag) => TAGS[tag] ?? [])
  return kinds.includes('review') ? 'review' : (kinds[0] ?? null)
}

/**
 * Whether a review says its verdict in the way that Tinytown reads: `rejected:` or `changes requested:` at the beginning, in any
 * case. It takes every other text for an approval (mission/scheduler.rs), so that an approval has to say so here.
 */
export function hasVerdict(result: string): boolean {
  return /^(?:approved(?=$|[\s:.,;!)–—-])|rejected:|changes requested:)/i.test(verdictText(result))
}

/** A review's text without the marks of Markdown before its first word, which would hide the verdict. */
export function verdictText(result: string): string {
  const text = result.replace(/^[\s*_#>`-]+/, '')
  return text.replace(/^(approved|rejected|changes requested)[*_`]*(:?)[*_`]*/i, '$1$2')
}

const ENDINGS: Readonly<Record<MissionKind, string>> = {
  review:
    'Begin your final message with your verdict: `approved: <why>`, `rejected: <why>` or `changes requested: <what>`. ' +
    'Without one of these at its beginning it counts as no verdict at all.',
  work: 'Name a pull request in your final message only if this task created or updated it: the mission watches every one named.',
  fix: 'Name a pull request in your final message only if this task created or updated it: the mission watches every one named.',
}

/** What a run is told of the way its final message is read. */
export function missionEnding(kind: MissionKind): string {
  return ENDINGS[kind]
}
