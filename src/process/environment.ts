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

/**
 * The variables that git itself defines, by its manual; a `GIT_TOKEN` is somebody else's. Not those of a repository (`GIT_DIR`,
 * `GIT_INDEX_FILE` …), which git sets for a hook: the child's git would work on the daemon's own one, in any folder.
 */
const GIT = [
  ...['AUTHOR_NAME', 'AUTHOR_EMAIL', 'AUTHOR_DATE', 'COMMITTER_NAME', 'COMMITTER_EMAIL', 'COMMITTER_DATE'],
  ...['CONFIG', 'CONFIG_GLOBAL', 'CONFIG_SYSTEM', 'CONFIG_NOSYSTEM', 'CONFIG_PARAMETERS'],
  ...['CONFIG_COUNT', 'CONFIG_KEY_*', 'CONFIG_VALUE_*'],
  ...['SSH', 'SSH_COMMAND', 'SSH_VARIANT', 'ASKPASS', 'TERMINAL_PROMPT', 'PROXY_COMMAND'],
  ...[
    'SSL_NO_VERIFY',
    'SSL_VERSION',
    'SSL_CIPHER_LIST',
    'SSL_CAINFO',
    'SSL_CAPATH',
    'SSL_CERT',
    'SSL_CERT_TYPE',
  ],
  ...['SSL_KEY', 'SSL_KEY_TYPE', 'SSL_CERT_PASSWORD_PROTECTED'],
  ...['PROXY_SSL_CERT', 'PROXY_SSL_KEY', 'PROXY_SSL_CAINFO', 'PROXY_SSL_CERT_PASSWORD_PROTECTED'],
  ...['HTTP_PROXY_AUTHMETHOD', 'HTTP_USER_AGENT', 'HTTP_LOW_SPEED_LIMIT', 'HTTP_LOW_SPEED_TIME'],
  ...['HTTP_MAX_REQUESTS', 'CURL_VERBOSE', 'CURL_FTP_NO_EPSV', 'SMART_HTTP', 'USER_AGENT'],
  ...['ALLOW_PROTOCOL', 'PROTOCOL', 'PROTOCOL_FROM_USER', 'NO_LAZY_FETCH', 'OPTIONAL_LOCKS', 'ADVICE'],
  ...['TRACE', 'TRACE_*', 'TRACE2', 'TRACE2_*', 'FLUSH', 'PROGRESS_DELAY', 'PRINT_SHA1_ELLIPSIS'],
  ...[
    'EDITOR',
    'SEQUENCE_EDITOR',
    'MERGE_AUTOEDIT',
    'MERGE_VERBOSITY',
    'PAGER',
    'PAGER_IN_USE',
    'MAN_VIEWER',
  ],
  ...['EXTERNAL_DIFF', 'EXTERNAL_DIFF_TRUST_EXIT_CODE', 'DIFF_OPTS', 'REFLOG_ACTION'],
  ...['NOTES_REF', 'NOTES_DISPLAY_REF', 'NOTES_REWRITE_REF', 'NOTES_REWRITE_MODE'],
  ...['CEILING_DIRECTORIES', 'DISCOVERY_ACROSS_FILESYSTEM', 'EXEC_PATH', 'TEMPLATE_DIR', 'INDEX_VERSION'],
  ...['DEFAULT_HASH', 'DEFAULT_REF_FORMAT', 'ATTR_NOSYSTEM', 'ATTR_SOURCE', 'REF_PARANOIA'],
  ...['COMMIT_GRAPH_PARANOIA', 'REPLACE_REF_BASE', 'NO_REPLACE_OBJECTS'],
  ...['LITERAL_PATHSPECS', 'GLOB_PATHSPECS', 'NOGLOB_PATHSPECS', 'ICASE_PATHSPECS'],
].map((name) => `GIT_${name}`)

const ALWAYS = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'LC_*', 'TZ', 'TERM', 'COLORTERM'],
  ...['TMPDIR', 'TMP', 'TEMP', 'XDG_*', 'SSH_AUTH_SOCK'],
  ...GIT,
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS'],
  ...PROXIES,
  ...PROXIES.map((name) => name.toLowerCase()),
]

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
  return matches(name, pass) || matches(name, ALWAYS)
}

function matches(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  )
}
