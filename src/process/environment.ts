import { TOWN_SECRETS } from '../config/town-secrets.ts'

/** What a child is told of its task. */
interface ChildTask {
  readonly agentId: string
  readonly agentName: string
  readonly taskId: string
  readonly town: string
  readonly runId: string
}

export interface ChildEnvironmentOptions {
  /** Names, or beginnings of names that end in `*`, taken over besides those that every CLI gets. */
  readonly pass: readonly string[]
  /** Variables of the profile; they win over what is taken over. */
  readonly set: Readonly<Record<string, string>>
  readonly task: ChildTask
}

/** The variables by which a process is known to belong to a task and to an agent, whatever it did to its ancestry. */
export const TASK_VARIABLE = 'TINYTOWN_TASK_ID'
export const AGENT_VARIABLE = 'TINYTOWN_AGENT_ID'
/** And to one run of that task: another worker may run the same task for the same agent by now. */
export const RUN_VARIABLE = 'TINYTOWN_RUN_ID'

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY']

const ALWAYS = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'LC_*', 'TZ', 'TERM', 'COLORTERM'],
  ...['TMPDIR', 'TMP', 'TEMP', 'XDG_*', 'SSH_AUTH_SOCK', 'GIT_*'],
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS'],
  ...PROXIES,
  ...PROXIES.map((name) => name.toLowerCase()),
]

/** Where git set the daemon's own repository, as in a hook: the child's git would work on that one, in any folder. */
const OF_A_REPOSITORY = new Set([
  'GIT_DIR',
  'GIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_COMMON_DIR',
  'GIT_OBJECT_DIRECTORY',
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_NAMESPACE',
  'GIT_PREFIX',
])

/**
 * The environment of a child: of `parent` only what is on the list, then the profile's own variables, then what it is told of
 * its task. `REDIS_URL` and `TINYTOWN_REDIS_PASSWORD` are never taken over, whatever `pass` says.
 */
export function childEnvironment(
  parent: Readonly<Record<string, string | undefined>>,
  { pass, set, task }: ChildEnvironmentOptions,
): Record<string, string> {
  const taken = Object.entries(parent).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && mayPass(entry[0], pass),
  )
  // A wish, not a promise: some colour their stderr all the same, so what is shown of it is cleaned as well.
  const plain = 'NO_COLOR' in set || 'FORCE_COLOR' in set ? {} : { NO_COLOR: '1' }
  return {
    ...Object.fromEntries(taken),
    ...plain,
    ...set,
    [AGENT_VARIABLE]: task.agentId,
    TINYTOWN_AGENT_NAME: task.agentName,
    [TASK_VARIABLE]: task.taskId,
    [RUN_VARIABLE]: task.runId,
    TINYTOWN_TOWN: task.town,
  }
}

function mayPass(name: string, pass: readonly string[]): boolean {
  if (TOWN_SECRETS.includes(name)) return false
  if (matches(name, pass)) return true
  return matches(name, ALWAYS) && !OF_A_REPOSITORY.has(name)
}

function matches(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  )
}
