/** The variables of a worker, in the order in which they are written. */
export type Variables = Readonly<Record<string, string>>

/** The file from which systemd takes the settings of an agent (systemd.exec(5), EnvironmentFile). */
export function environmentFile(variables: Variables, keys: readonly string[] = []): string {
  const set = Object.entries(variables).map(([name, value]) => `${name}=${quoteValue(value)}`)
  const open = keys.filter((key) => !(key in variables)).map((key) => `#${key}=`)
  return [
    '# Settings of one agent, as the README lists them, and what its CLI needs. A key makes this file a secret: mode 0600.',
    ...set,
    ...open,
    '',
  ].join('\n')
}

/** What the file of an agent may say, as an example. */
export const EXAMPLE_VARIABLES: Variables = {
  TINYTOWN_AGENT_CLI: 'codex',
  TINYTOWN_TOWN_DIR: '/srv/shop',
  REDIS_URL: 'redis://redis.internal:6379/0',
}

/** The names of the variables that differ between a file and what would be written; of all others the file knows best. */
export function differingVariables(text: string, variables: Variables): string[] {
  const said = new Set(text.split('\n').map((line) => line.trim()))
  return Object.entries(variables)
    .filter(([name, value]) => !said.has(`${name}=${quoteValue(value)}`) && !said.has(`${name}=${value}`))
    .map(([name]) => name)
}

function quoteValue(value: string): string {
  return /^[\w@%+=:,./-]*$/.test(value) ? value : `"${value.replace(/["\\$`]/g, '\\$&')}"`
}
