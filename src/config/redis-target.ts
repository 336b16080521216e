import { resolve } from 'node:path'
import { WorkerError } from '../domain/errors.ts'
import type { CentralSettings } from './central-file.ts'
import { expected } from './problem.ts'
import {
  parseRedisUrl,
  type RedisLocation,
  type RedisLogin,
  type RedisPlace,
  redactUrl,
  redisUrlOf,
} from './redis-url.ts'
import type { Resolved, Source } from './resolve.ts'
import type { Settings } from './settings.ts'
import type { TlsFiles } from './tls-files.ts'

/** Where Redis is and how it is spoken to. */
export interface RedisAddress extends Omit<RedisLocation, 'tls'> {
  /** What TLS needs beside the system's own authorities; null for a connection without TLS. */
  readonly tls: TlsFiles | null
  /** What a message may say of it: no password. */
  readonly shown: string
  /** What to do when the login is refused: it depends on how the address was given. */
  readonly loginRemedy: string
}

/** A redis-server that is ours to start when nobody answers at the address. */
interface OwnServer {
  /** The town's own, or the one in `~/.tt` that all towns of this user share. */
  readonly kind: 'town' | 'central'
  /** The address on which it listens; null on a socket. */
  readonly bind: string | null
  readonly persist: boolean
  /** Whether it may be started; false wants another Redis to be named. */
  readonly mayStart: boolean
}

/** The Redis of a town. Without `server` it runs elsewhere: only connect. */
export interface RedisTarget {
  readonly address: RedisAddress
  readonly server: OwnServer | null
}

/** The port of the central redis-server, one that is in nobody's way (Tinytown, global_config.rs). */
export const CENTRAL_PORT = 16_379

/** What a choice is made of beside the settings. */
interface Surroundings {
  readonly root: string
  /** The socket of a town that chose none: `.tt/redis.sock`, or a shorter path where that is too long. */
  readonly defaultSocket: string
  /** Asked only where the town uses the central server. */
  readonly central: () => CentralSettings
}

/**
 * Chooses the Redis in the order of upstream (Tinytown, config.rs): an explicit URL, as it is and even when it points to
 * this machine; Sentinels or a Cluster (ours alone); the central server; the town's unix socket; host and port. A host of this
 * machine without a URL is a server of ours, any other is only connected to. Throws `config` for a bind that is open to
 * others without a password, and for TLS of a server of ours without certificate or key.
 */
export function redisTarget(
  resolved: Pick<Resolved, 'settings' | 'sources'>,
  around: Surroundings,
): RedisTarget {
  const { settings } = resolved
  const tls = tlsFiles(settings, around.root)
  if (settings.redisUrl !== undefined) return urlTarget(resolved, settings.redisUrl, tls)
  const elsewhere = namedPlace(resolved)
  if (elsewhere) return hostTarget(resolved, elsewhere, tls)
  if (settings.useCentralRedis) return centralTarget(resolved, around, tls)
  if (settings.redisUseSocket) return socketTarget(resolved, around)
  const { redisHost: host, redisPort: port } = settings
  const target = hostTarget(
    resolved,
    { place: { kind: 'tcp', host, port }, name: resolved.sources.redisHost.name },
    tls,
  )
  return isLoopback(host) ? own(target, resolved, 'town') : target
}

function urlTarget({ sources }: Pick<Resolved, 'sources'>, url: string, tls: TlsFiles): RedisTarget {
  const location = parseRedisUrl(url)
  // The schema of the setting has looked at it.
  if (location === null) throw new WorkerError('config', expected('redisUrl', 'a Redis URL', redactUrl(url)))
  return {
    address: {
      ...location,
      tls: location.tls ? tls : null,
      shown: `${redactUrl(url)} (${sources.redisUrl.name})`,
      loginRemedy: 'Put user and password into the URL: REDIS_URL=redis://:PASSWORD@host:port',
    },
    server: null,
  }
}

function namedPlace({
  settings,
  sources,
}: Pick<Resolved, 'settings' | 'sources'>): { place: RedisPlace; name: string } | null {
  const { redisSentinels: sentinels, redisCluster: nodes, redisSentinelName: primary } = settings
  if (sentinels.length > 0) {
    const sentinelLogin = loginOf(settings.redisSentinelUsername, settings.redisSentinelPassword)
    return {
      place: { kind: 'sentinel', primary, sentinels, sentinelLogin },
      name: sources.redisSentinels.name,
    }
  }
  return nodes.length > 0 ? { place: { kind: 'cluster', nodes }, name: sources.redisCluster.name } : null
}

function hostTarget(
  { settings }: Pick<Resolved, 'settings'>,
  { place, name }: { place: RedisPlace; name: string },
  tls: TlsFiles,
): RedisTarget {
  const location: RedisLocation = {
    place,
    login: loginOf(settings.redisUsername, settings.redisPassword),
    database: place.kind === 'cluster' ? 0 : settings.redisDatabase,
    tls: settings.redisTls,
  }
  return {
    address: {
      ...location,
      tls: settings.redisTls ? tls : null,
      shown: `${redactUrl(redisUrlOf(location))} (${name})`,
      loginRemedy:
        'Set TINYTOWN_REDIS_PASSWORD (and redis.username in tinytown.toml for a user other than default)',
    },
    server: null,
  }
}

function socketTarget(
  { settings, sources }: Pick<Resolved, 'settings' | 'sources'>,
  around: Surroundings,
): RedisTarget {
  const chosen = sources.redisSocket.layer !== 'default'
  const path = chosen ? resolve(around.root, settings.redisSocket) : around.defaultSocket
  return {
    address: {
      place: { kind: 'socket', path },
      login: {},
      database: 0,
      tls: null,
      shown: path,
      loginRemedy:
        "The town's own redis-server has no password: remove the one that was set, or reach it over TCP with REDIS_URL=redis://:PASSWORD@host:port",
    },
    server: { kind: 'town', bind: null, persist: settings.redisPersist, mayStart: settings.redisStart },
  }
}

function centralTarget(
  resolved: Pick<Resolved, 'settings' | 'sources'>,
  around: Surroundings,
  tls: TlsFiles,
): RedisTarget {
  const { settings, sources } = resolved
  const central = around.central()
  const host =
    sources.redisHost.layer === 'default' ? (central.host ?? settings.redisHost) : settings.redisHost
  const port = sources.redisPort.layer === 'default' ? (central.port ?? CENTRAL_PORT) : settings.redisPort
  const password = settings.redisPassword ?? central.password
  const named = { place: { kind: 'tcp', host, port } as const, name: sources.useCentralRedis.name }
  const target = hostTarget({ settings: { ...settings, redisPassword: password } }, named, tls)
  return isLoopback(host) ? own(target, resolved, 'central') : target
}

/** Makes a server of ours of what listens on this machine. */
function own(
  target: RedisTarget,
  { settings, sources }: Pick<Resolved, 'settings' | 'sources'>,
  kind: OwnServer['kind'],
): RedisTarget {
  const { place } = target.address
  const isDefault = sources.redisBind.layer === 'default'
  const bind =
    isDefault && place.kind === 'tcp' && place.host !== 'localhost' ? place.host : settings.redisBind
  // The central server gets a password when it is first started.
  if (kind === 'town' && target.address.login.password === undefined && !isLoopback(bind)) {
    throw new WorkerError(
      'config',
      expected(
        'redis.bind',
        'an address of this machine alone, as there is no password',
        bind,
        sources.redisBind.name,
      ),
      {
        remedy: 'Set TINYTOWN_REDIS_PASSWORD, or redis.bind = "127.0.0.1"',
      },
    )
  }
  if (target.address.tls !== null) requireCertificate(target.address.tls, sources.redisTls)
  return { ...target, server: { kind, bind, persist: settings.redisPersist, mayStart: settings.redisStart } }
}

function requireCertificate({ cert, key }: TlsFiles, source: Source): void {
  const missing = [
    ...(cert === undefined ? ['redis.tls_cert'] : []),
    ...(key === undefined ? ['redis.tls_key'] : []),
  ]
  if (missing.length === 0) return
  throw new WorkerError(
    'config',
    `Expected ${missing.join(' and ')} for a redis-server with TLS, got redis.tls_enabled alone (${source.name})`,
    { remedy: 'Name the files in tinytown.toml, or set redis.tls_enabled = false' },
  )
}

function tlsFiles(settings: Settings, root: string): TlsFiles {
  const path = (file: string | undefined) => (file === undefined ? undefined : resolve(root, file))
  return {
    ca: path(settings.redisTlsCaCert),
    cert: path(settings.redisTlsCert),
    key: path(settings.redisTlsKey),
    serverName: settings.redisTlsServerName,
  }
}

function loginOf(username: string | undefined, password: string | undefined): RedisLogin {
  return { ...(username === undefined ? {} : { username }), ...(password === undefined ? {} : { password }) }
}

/** Whether nobody but this machine can reach the host (Tinytown, config.rs, takes the same for local). */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

/** The URL that a program is given, with its password; null for Sentinels and a Cluster, for which there is no common form. */
export function plainUrl({ place, login, database, tls }: RedisAddress): string | null {
  if (place.kind === 'sentinel' || place.kind === 'cluster') return null
  return redisUrlOf({ place, login, database, tls: tls !== null })
}
