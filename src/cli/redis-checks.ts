import { statSync } from 'node:fs'
import { homedir } from 'node:os'
import { monotonicMs } from '../base/clock.ts'
import type { Context } from '../client/context.ts'
import { openToEverybody, requireRedis, serverOptions } from '../client/own-server.ts'
import { readTlsFiles } from '../config/tls-files.ts'
import { refuseForeignData } from '../server/data-files.ts'
import { describeSearch, findRedisServer } from '../server/find.ts'
import { ping } from '../server/ping.ts'
import { serverPlace } from '../server/place.ts'
import { checkSocketPath, socketPathLimit } from '../server/socket-path.ts'
import { checkServer } from '../store/check-server.ts'
import { connectRedis, type Redis } from '../store/connection.ts'
import { townKeys } from '../store/keys.ts'
import { findOldKeys, OLD_KEYS_REMEDY, oldKeysSentence } from '../store/old-keys.ts'
import { readServerTuning } from '../store/server-info.ts'
import { type Check, type CheckOptions, failed } from './check.ts'
import { redisAdvice } from './redis-advice.ts'

/** What the Redis of a town needs: a program, a place, an answer; and what could be better about it. */
export function redisChecks(context: Context, options: CheckOptions): (() => Promise<Check[]>)[] {
  const { address, server } = context.target
  if (server?.mayStart === false) return [async () => [checkNamed(context)]]
  const { place, tls } = address
  return [
    ...(server === null ? [] : [async () => [await checkProgram(options)]]),
    ...(server !== null && place.kind === 'socket' ? [async () => [checkSocket(place.path)]] : []),
    ...(tls === null ? [] : [async () => [checkTls(tls)]]),
    () => checkAnswer(context, options),
  ]
}

function checkNamed(context: Context): Check {
  try {
    requireRedis(context)
    return { name: 'Redis', status: 'ok', detail: context.target.address.shown }
  } catch (error) {
    return failed('Redis', error)
  }
}

async function checkProgram({ env }: CheckOptions): Promise<Check> {
  const name = 'redis-server'
  const { found, rejected } = await findRedisServer({ env, home: homedir() })
  if (found) return { name, status: 'ok', detail: `${found.version.text}, ${found.path}` }
  const remedy = 'tinytown-worker bootstrap installs it; or set REDIS_URL to a Redis that runs elsewhere'
  return { name, status: 'fail', detail: describeSearch(rejected), remedy }
}

function checkSocket(path: string): Check {
  const name = 'Redis socket'
  try {
    checkSocketPath(path)
    const length = `${Buffer.byteLength(path)} of at most ${socketPathLimit()} bytes`
    return { name, status: 'ok', detail: `${path} (${length})` }
  } catch (error) {
    return failed(name, error)
  }
}

function checkTls(files: Parameters<typeof readTlsFiles>[0]): Check {
  const name = 'Redis TLS'
  try {
    readTlsFiles(files)
    const trusted =
      files.ca === undefined ? 'the authorities of Node.js are trusted' : `${files.ca} is trusted`
    return {
      name,
      status: 'ok',
      detail: files.cert === undefined ? trusted : `${trusted}, ${files.cert} is shown`,
    }
  } catch (error) {
    return failed(name, error)
  }
}

const PING_MS = 2000

async function checkAnswer(context: Context, options: CheckOptions): Promise<Check[]> {
  const name = 'Redis'
  try {
    const own = serverOptions(context)
    const deadline = { timeoutMs: PING_MS, signal: options.signal }
    if (own === null || (await ping(serverPlace(own).endpoint, deadline)) !== 'refused')
      return await checkConnection(context, options)
    if (context.target.server?.kind === 'town') await refuseForeignData(context.place)
    return [{ name, status: 'ok', detail: 'does not run yet; it is started when needed' }]
  } catch (error) {
    options.signal.throwIfAborted()
    return [failed(name, error)]
  }
}

const CONNECT_MS = 5000

async function checkConnection(context: Context, { signal }: CheckOptions): Promise<Check[]> {
  const { target, settings } = context
  const keys = townKeys(context.townName)
  const options = {
    timeoutMs: Math.min(CONNECT_MS, settings.connectTimeout),
    name: 'tinytown-worker:doctor',
    anyKey: keys.base,
    lasting: false,
    signal,
  }
  const { address, info } = await checkServer(target.address, options)
  const redis = await connectRedis(address, { ...options, readyCheck: info !== null })
  try {
    const name = 'Redis'
    const kind = info?.mode === 'cluster' ? ', a Cluster' : ''
    const detail = `${info?.version ?? 'a version that this user may not know'} answers at ${address.shown}${kind}`
    const old = await findOldKeys(redis).catch(() => null)
    const isOwn = target.server !== null
    const roundTripMs = await roundTrip(redis)
    const advice =
      info === null
        ? []
        : redisAdvice({ address, isOwn, tuning: await readServerTuning(redis, info), roundTripMs })
    const warnings = [...(await openToEverybody(target, signal)), ...readableSecret(context)]
    return [
      { name, status: 'ok', detail },
      ...warnings.map((warning) => ({ name: 'Password', status: 'warn' as const, detail: warning })),
      ...(old
        ? [
            {
              name: 'Old keys',
              status: 'warn' as const,
              detail: oldKeysSentence(old),
              remedy: OLD_KEYS_REMEDY,
            },
          ]
        : []),
      ...advice,
    ]
  } finally {
    redis.disconnect()
  }
}

/** A password in a file that others can read is theirs too. */
function readableSecret({ file, sources }: Context): string[] {
  const holds = [sources.redisPassword, sources.redisSentinelPassword].some(({ layer }) => layer === 'file')
  if (!holds || file === null || (statSync(file.path).mode & 0o044) === 0) return []
  return [`${file.path} holds a password and can be read by others: chmod 600 ${file.path}`]
}

const PINGS = 9

/** The middle of several round trips, in milliseconds. */
async function roundTrip(redis: Redis): Promise<number> {
  const times: number[] = []
  for (let count = 0; count < PINGS; count += 1) {
    const from = monotonicMs()
    await redis.ping()
    times.push(monotonicMs() - from)
  }
  return times.sort((a, b) => a - b)[Math.floor(PINGS / 2)] ?? 0
}
