import { describe, expect, it } from 'vitest'
import { childEnvironment } from '../../src/process/environment.ts'

const TASK = { agentId: 'a-1', agentName: 'worker-1', taskId: 't-1', runId: 'r-1', town: 'my-town' }
const TOLD = {
  TINYTOWN_AGENT_ID: 'a-1',
  TINYTOWN_AGENT_NAME: 'worker-1',
  TINYTOWN_RUN_ID: 'r-1',
  TINYTOWN_TASK_ID: 't-1',
  TINYTOWN_TOWN: 'my-town',
}

const made = (
  parent: Record<string, string | undefined>,
  { pass = [], set = {} }: { pass?: string[]; set?: Record<string, string> } = {},
) => childEnvironment(parent, { pass, set, task: TASK })

describe('the environment of a child', () => {
  it.each([
    ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'LC_ALL', 'LC_TIME', 'TZ', 'TERM'],
    ...['COLORTERM', 'TMPDIR', 'TMP', 'TEMP', 'XDG_CONFIG_HOME', 'SSH_AUTH_SOCK', 'GIT_AUTHOR_NAME'],
    ...['HTTP_PROXY', 'https_proxy', 'NO_PROXY', 'all_proxy', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
    ...['NODE_EXTRA_CA_CERTS', 'GIT_SSH_COMMAND', 'GIT_COMMITTER_EMAIL', 'GIT_CONFIG_GLOBAL'],
    ...['GIT_CONFIG_COUNT', 'GIT_CONFIG_KEY_0', 'GIT_CONFIG_VALUE_12', 'GIT_ASKPASS', 'GIT_TERMINAL_PROMPT'],
    ...['GIT_TRACE', 'GIT_TRACE_CURL', 'GIT_TRACE2_EVENT', 'GIT_SSL_NO_VERIFY', 'GIT_HTTP_USER_AGENT'],
    ...['GIT_PROXY_COMMAND', 'GIT_EDITOR', 'GIT_PAGER', 'GIT_CEILING_DIRECTORIES'],
  ])('takes over %s', (name) => {
    expect(made({ [name]: 'value' })).toMatchObject({ [name]: 'value' })
  })

  it.each([
    ...['AWS_SECRET_ACCESS_KEY', 'SOME_API_KEY', 'PATHS', 'LC', 'NODE_OPTIONS', 'LD_PRELOAD', 'Path'],
    ...['GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE', 'GIT_OBJECT_DIRECTORY', 'TINYTOWN_STALL_TIMEOUT'],
    ...[
      'GIT_TOKEN',
      'GIT_PASSWORD',
      'GIT_HTTP_PASSWORD',
      'GIT_CONFIG_PASSWORD',
      'GIT_SSH_KEY',
      'GIT_ASKPASS_TOKEN',
    ],
    ...['GIT_NAMESPACE', 'GIT_PREFIX', 'GIT_QUARANTINE_PATH', 'GIT_COMMON_DIR'],
    ...['REDIS_URL', 'TINYTOWN_REDIS_PASSWORD', 'NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'],
  ])('does not take over %s', (name) => {
    expect(made({ [name]: 'value' })).not.toHaveProperty(name)
  })

  it.each(['REDIS_URL', 'TINYTOWN_REDIS_PASSWORD'])(
    'does not take over %s when `pass` asks for it',
    (name) => {
      const pass = ['*', 'REDIS_*', 'TINYTOWN_*', name]
      expect(made({ [name]: 'secret' }, { pass })).not.toHaveProperty(name)
    },
  )

  it('takes over what `pass` names or begins', () => {
    const parent = { ACME_KEY: '1', ACME_URL: '2', OTHER: '3', ONLY: '4', ONLY_NOT: '5' }
    expect(made(parent, { pass: ['ACME_*', 'ONLY'] })).toEqual({
      ...{ ACME_KEY: '1', ACME_URL: '2', ONLY: '4', NO_COLOR: '1' },
      ...TOLD,
    })
  })

  it("lets the profile's own variables win over those taken over", () => {
    expect(made({ LANG: 'de' }, { set: { LANG: 'C', NEW: 'x' } })).toMatchObject({ LANG: 'C', NEW: 'x' })
  })

  it('tells the child of its task, whatever the profile sets and the parent has', () => {
    const parent = { TINYTOWN_TASK_ID: 'outer', TINYTOWN_TOWN: 'outer' }
    expect(made(parent, { pass: ['TINYTOWN_*'], set: { TINYTOWN_TASK_ID: 'other' } })).toMatchObject(TOLD)
  })

  it('asks for no colours unless the profile says something else', () => {
    expect(made({})).toMatchObject({ NO_COLOR: '1' })
    expect(made({}, { set: { FORCE_COLOR: '1' } })).not.toHaveProperty('NO_COLOR')
  })

  it('leaves out what is not set', () => {
    expect(made({ PATH: undefined })).not.toHaveProperty('PATH')
  })
})
