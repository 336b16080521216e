import { resolve } from 'node:path'

/** The settings that say where Redis is. */
export interface RedisSettings {
  readonly redisUrl: string | undefined
  readonly redisPassword: string | undefined
  readonly redisUseSocket: boolean
  readonly redisSocket: string
  readonly redisHost: string
  readonly redisPort: number
  readonly redisTls: boolean
}

/** Where Redis is. `local` = a server of the town's own, to be started when it does not run; `remote` = only connect. */
export type RedisTarget =
  | { readonly kind: 'local'; readonly socketPath: string }
  | {
      readonly kind: 'remote'
      readonly url: string
      readonly source: string
      /** Where a login belongs: into the URL that was given, or into the settings beside `redis.host`. */
      readonly given: 'url' | 'host'
    }

interface NamedSources {
  readonly redisUrl: { readonly name: string }
  readonly redisHost: { readonly name: string }
}

/**
 * Chooses the Redis in the order of upstream (Tinytown, config.rs): an explicit URL, as it is and even when it points to
 * this machine; the town's unix socket; host and port. `source` names where the choice was made, for messages.
 */
export function redisTarget(settings: RedisSettings, root: string, sources: NamedSources): RedisTarget {
  if (settings.redisUrl !== undefined) {
    return { kind: 'remote', url: settings.redisUrl, source: sources.redisUrl.name, given: 'url' }
  }
  if (settings.redisUseSocket) return { kind: 'local', socketPath: resolve(root, settings.redisSocket) }
  return { kind: 'remote', url: hostUrl(settings), source: sources.redisHost.name, given: 'host' }
}

function hostUrl(settings: RedisSettings): string {
  const scheme = settings.redisTls ? 'rediss' : 'redis'
  const host = settings.redisHost.includes(':') ? `[${settings.redisHost}]` : settings.redisHost
  const login = settings.redisPassword === undefined ? '' : `:${encodeURIComponent(settings.redisPassword)}@`
  return `${scheme}://${login}${host}:${settings.redisPort}`
}

/** Whether `text` is a URL that a Redis client can use: redis or rediss with a host, or unix with an absolute path. */
export function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  if (!isDecodable(url.username + url.password)) return false
  if (url.protocol === 'unix:') return url.pathname.length > 1
  return (url.protocol === 'redis:' || url.protocol === 'rediss:') && url.hostname !== ''
}

// A `%` that begins no escape passes the URL parser and makes a Redis client throw when it decodes the login.
function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

// Up to the last @, since a login that was not percent-encoded may hold one itself.
const LOGIN = /^([a-z][a-z0-9+.-]*:\/+[^:]*):.+@/is
const BARE_LOGIN = /^([^:@/]*):(?!\/\/).+@/s
// No @ at all, and what follows the colon is no port: the host is missing.
const NO_HOST = /^([a-z][a-z0-9+.-]*:\/\/[^:@/?#[\]]*):(?!\d*(?:[/?#]|$)).+/is
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
