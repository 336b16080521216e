// `tt migrate` takes `tt:<one of these>:<id>` for a key of the time before towns and renames it (Tinytown, migration.rs).
const OLD_KEY_WORDS: readonly string[] = ['agent', 'inbox', 'urgent', 'task', 'activity', 'stop']
// Upstream leaves out every mission key that holds one of these after a colon (Tinytown, mission/storage.rs).
const HIDES_MISSIONS = /^(?:work|watch|events|control|active)/

/** The rule that a town name breaks, as it follows "to be"; null when the name can be used. */
export function brokenTownNameRule(name: string): string | null {
  if (name === '') return 'a name, not empty'
  if (OLD_KEY_WORDS.includes(name))
    return `none of ${OLD_KEY_WORDS.join(', ')}, which tt migrate takes for old keys`
  // A whole name in braces is a hash tag: it puts all keys of the town into one slot of a Redis Cluster.
  const bare = /^\{[^{}]+\}$/.test(name) ? name.slice(1, -1) : name
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused.
  if (/[\s:*?[\]\\{}\u0000-\u001f\u007f]/.test(bare)) {
    return 'a name without spaces, ":", and the pattern characters * ? [ ] { } \\'
  }
  return null
}

/** What is worth telling about a usable name that was chosen by hand; null when there is nothing. */
export function townNameWarning(name: string): string | null {
  if (!HIDES_MISSIONS.test(name)) return null
  return `tt does not see the missions of a town whose name begins with work, watch, events, control or active: ${name}`
}

/** A usable town name made of the names of folder and branch. */
export function derivedTownName(parts: readonly string[]): string {
  const name = parts
    .join('-')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^-+|-+$/g, '')
  if (name === '') return 'town'
  return brokenTownNameRule(name) === null && townNameWarning(name) === null ? name : `town-${name}`
}
