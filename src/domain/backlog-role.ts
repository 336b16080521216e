import type { Task } from './task.ts'

/**
 * Which tasks of the backlog are for whom: a role whose name holds one of `stems` takes tasks that have one of `words` as a tag or
 * as a word of their text. The first row that fits counts (the roles and words are Tinytown's, main.rs).
 */
const ROLES: readonly { readonly stems: readonly string[]; readonly words: readonly string[] }[] = [
  { stems: ['front', 'ui', 'web', 'client'], words: ['frontend', 'ui', 'web', 'client', 'ux'] },
  { stems: ['back', 'api', 'server'], words: ['backend', 'api', 'server', 'database', 'data'] },
  { stems: ['test', 'qa'], words: ['test', 'tests', 'qa', 'validation', 'regression'] },
  {
    stems: ['review', 'audit'],
    words: ['review', 'reviewer', 'qa', 'security', 'audit', 'validation'],
  },
  { stems: ['doc', 'writer'], words: ['docs', 'doc', 'documentation', 'spec', 'readme'] },
  { stems: ['ops', 'infra', 'deploy'], words: ['devops', 'ops', 'infra', 'deploy', 'ci', 'reliability'] },
  { stems: ['security', 'sec'], words: ['security', 'sec', 'vulnerability', 'hardening', 'audit'] },
]

/** Whether a task of the backlog is for an agent with this role or, where it has none, this name. A general one takes any. */
export function isForRole(task: Pick<Task, 'tags' | 'description'>, role: string): boolean {
  const wanted = role.toLowerCase()
  const row = ROLES.find(({ stems }) => stems.some((stem) => wanted.includes(stem)))
  if (!row) return true
  const words = new Set([
    ...task.tags.map((tag) => tag.toLowerCase()),
    ...task.description.toLowerCase().split(/[^\p{L}\p{N}]+/u),
  ])
  return row.words.some((word) => words.has(word))
}
