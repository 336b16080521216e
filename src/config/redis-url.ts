/** A port of a host. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** What Redis is told to let a client in. */
export interface RedisLogin {
  readonly username?: string
  readonly password?: string
}

/** Where Redis listens: a socket or port; what several Sentinels call the primary; nodes of a Cluster, any of which knows the others. */
export type RedisPlace =
  | { readonly kind: 'socket'; readonly path: string }
  | ({ readonly kind: 'tcp' } & HostPort)
  | {
      readonly kind: 'sentinel'
      readonly primary: string
      readonly sentinels: readonly HostPort[]
      /** For the Sentinels; the Redis behind them has its own. */
      readonly sentinelLogin: RedisLogin
    }
  | { readonly kind: 'cluster'; readonly nodes: readonly HostPort[] }

/** What a Redis URL says. */
export interface RedisLocation {
  readonly place: RedisPlace
  readonly login: RedisLogin
  readonly database: number
  readonly tls: boolean
}

export const REDIS_PORT = 6379
export const SENTINEL_PORT = 26_379
/** The name that Redis's own example configuration gives to a primary (sentinel.conf). */
export const PRIMARY_NAME = 'mymaster'

const URL_PARTS =
  /^(?<scheme>[a-z][a-z0-9+.-]*):\/\/(?:(?<login>[^@/?#]*)@)?(?<hosts>[^/?#@]*)(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?(?:#.*)?$/i

/**
 * Reads a Redis URL; null for a text that is none.
 *
 * - `redis://[user[:password]@]host[:port][/database]`, `rediss://` for TLS
 * - `unix:///path[?db=1&user=…&password=…]`
 * - `redis+sentinel://[user[:password]@]host[:port],…[/primary[/database]][?sentinel_user=…&sentinel_password=…]`, `rediss+sentinel://`
 * - `redis+cluster://[user[:password]@]host[:port],…`, `rediss+cluster://`
 */
export function parseRedisUrl(text: string): RedisLocation | null {
  const parts = URL_PARTS.exec(text.trim())?.groups
  if (!parts) return null
  try {
    return readParts(parts)
  } catch {
    // A `%` that begins no escape.
    return null
  }
}

function readParts(parts: Readonly<Record<string, string | undefined>>): RedisLocation | null {
  const scheme = parts.scheme?.toLowerCase() ?? ''
  const query = new URLSearchParams(parts.query)
  const login = readLogin(parts.login)
  const path = decodeURIComponent(parts.path ?? '')
  if (scheme === 'unix') return parts.hosts === '' ? socketLocation(path, login, query) : null
  const [, secure, kind = ''] = /^redis(s?)(?:\+(.+))?$/.exec(scheme) ?? []
  if (secure === undefined) return null
  const tls = secure === 's'
  const [first = '', second = '', ...rest] = path.split('/').slice(1)
  if (kind === 'sentinel') {
    const sentinels = readHosts(parts.hosts, SENTINEL_PORT)
    const database = readDatabase(second)
    if (!sentinels || database === null || rest.length > 0) return null
    const sentinelLogin = loginOf(query.get('sentinel_user'), query.get('sentinel_password'))
    return { place: { kind, primary: first || PRIMARY_NAME, sentinels, sentinelLogin }, login, database, tls }
  }
  if (second !== '' || rest.length > 0) return null
  const nodes = readHosts(parts.hosts, REDIS_PORT)
  const [node, ...more] = nodes ?? []
  if (!nodes || !node) return null
  if (kind === 'cluster') return first === '' ? { place: { kind, nodes }, login, database: 0, tls } : null
  const database = readDatabase(first || (query.get('db') ?? ''))
  if (kind !== '' || more.length > 0 || database === null) return null
  return { place: { kind: 'tcp', ...node }, login, database, tls }
}

function socketLocation(path: string, login: RedisLogin, query: URLSearchParams): RedisLocation | null {
  const database = readDatabase(query.get('db') ?? '')
  if (path.length < 2 || database === null) return null
  const inQuery = loginOf(query.get('user'), query.get('password') ?? query.get('pass'))
  return { place: { kind: 'socket', path }, login: { ...login, ...inQuery }, database, tls: false }
}

function readLogin(text = ''): RedisLogin {
  const colon = text.indexOf(':')
  if (colon < 0) return loginOf(decodeURIComponent(text), null)
  return loginOf(decodeURIComponent(text.slice(0, colon)), decodeURIComponent(text.slice(colon + 1)))
}

function loginOf(username: string | null | undefined, password: string | null | undefined): RedisLogin {
  return { ...(username ? { username } : {}), ...(password ? { password } : {}) }
}

/** An empty text is the first database; null for what is no number. */
function readDatabase(text: string): number | null {
  return /^\d{0,6}$/.test(text) ? Number(text) : null
}

function readHosts(text: string | undefined, port: number): HostPort[] | null {
  const hosts = (text ?? '').split(',').map((one) => parseHostPort(one, port))
  return hosts.every((one) => one !== null) ? hosts : null
}

/** Reads `host`, `host:port` or `[address]:port`; null for a text that is none. */
export function parseHostPort(text: string, defaultPort: number): HostPort | null {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/i.exec(text.trim())
  if (!match) return null
  const port = match[3] === undefined ? defaultPort : Number(match[3])
  if (port < 1 || port > 65_535) return null
  return { host: match[1] ?? match[2] ?? '', port }
}

/** Reads `host:port`, or a port of 127.0.0.1; port 0 means any. Null for a text that is none. */
export function parseListenAddress(text: string): HostPort | null {
  const [, host = '127.0.0.1', port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text.trim()) ?? []
  if (port === '' || Number(port) > 65_535) return null
  const place = parseHostPort(host.includes(':') ? host : `${host}:1`, 1)
  return place ? { host: place.host, port: Number(port) } : null
}

/** `host:port`, an IPv6 address in brackets. */
export function hostPortText({ host, port }: HostPort): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** The URL of a location, with its password: for a program, never for a message. */
export function redisUrlOf({ place, login, database, tls }: RedisLocation): string {
  const user = encodeURIComponent(login.username ?? '')
  const userInfo =
    login.password === undefined ? user && `${user}@` : `${user}:${encodeURIComponent(login.password)}@`
  const scheme = tls ? 'rediss' : 'redis'
  const number = database === 0 ? '' : `/${database}`
  switch (place.kind) {
    case 'socket':
      return `unix://${place.path.split('/').map(encodeURIComponent).join('/')}${socketQuery(login, database)}`
    case 'tcp':
      return `${scheme}://${userInfo}${hostPortText(place)}${number}`
    case 'sentinel':
      return `${scheme}+sentinel://${userInfo}${place.sentinels.map(hostPortText).join(',')}/${encodeURIComponent(place.primary)}${number}${sentinelQuery(place.sentinelLogin)}`
    case 'cluster':
      return `${scheme}+cluster://${userInfo}${place.nodes.map(hostPortText).join(',')}`
  }
}

function socketQuery({ username, password }: RedisLogin, database: number): string {
  return queryOf({ db: database || undefined, user: username, password })
}

function sentinelQuery({ username, password }: RedisLogin): string {
  return queryOf({ sentinel_user: username, sentinel_password: password })
}

function queryOf(values: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  )
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
}

// Up to the last @, since a login that was not percent-encoded may hold one itself.
const LOGIN = /^([a-z][a-z0-9+.-]*:\/+[^:]*):.+@/is
const BARE_LOGIN = /^([^:@/]*):(?!\/\/).+@/s
// No @ at all, and what follows the colon is no port: the host is missing.
const NO_HOST = /^([a-z][a-z0-9+.-]*:\/\/[^:@/?#[\]]*):(?!\d*(?:[,/?#]|$)).+/is
const NO_USER_NO_HOST = /^([a-z][a-z0-9+.-]*:\/\/):.+/is
const QUERY = /([?&](?:\w*password|pass|auth)=)[^&#]*/gi

/** The URL with `****` in place of its password, also where it is no valid URL. Never throws. */
export function redactUrl(url: string): string {
  const login = [LOGIN, BARE_LOGIN].find((pattern) => pattern.test(url))
  if (login !== undefined) return url.replace(login, '$1:****@').replace(QUERY, '$1****')
  return url.replace(NO_HOST, '$1:****').replace(NO_USER_NO_HOST, '$1:****').replace(QUERY, '$1****')
}

/** Whether the URL holds a password. */
export function hasPassword(url: string): boolean {
  return redactUrl(url) !== url
}
