import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis, type RedisOptions } from 'ioredis'
import { until } from './until.ts'

/** A redis-server on a port of 127.0.0.1, with a folder of its own. */
export interface RedisServer {
  readonly port: number
  readonly dir: string
  readonly process: ChildProcess
  /** A connection for looking. */
  readonly redis: Redis
  /** Ends it as a crash does. */
  kill(): Promise<void>
  close(): Promise<void>
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

export interface ServerWish {
  /** Lines of redis.conf, beside port, folder and no snapshots. */
  readonly config?: readonly string[]
  /** What a connection needs: a password, TLS. */
  readonly client?: RedisOptions
  readonly sentinel?: boolean
  readonly port?: number
  /** The folder of an earlier one, to start from its data. */
  readonly dir?: string
}

/** Starts redis-server and waits until it answers. */
export async function startRedis(wish: ServerWish = {}): Promise<RedisServer> {
  const { config = [], client = {}, sentinel = false } = wish
  const dir = wish.dir ?? (await mkdtemp(join(tmpdir(), 'tw-server-')))
  const port = wish.port ?? (await freePort())
  const hasTls = client.tls !== undefined
  const lines = [
    hasTls ? `port 0\ntls-port ${port}` : `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    ...(sentinel ? [] : ['save ""']),
    ...config,
  ]
  // A Sentinel and a node of a Cluster write into it.
  const file = join(dir, 'redis.conf')
  await writeFile(file, `${lines.join('\n')}\n`)
  const child = spawn('redis-server', [file, ...(sentinel ? ['--sentinel'] : [])], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    lazyConnect: true,
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
    ...client,
    replyMapping: 'legacy',
  })
  redis.on('error', () => undefined)
  const kill = async () => {
    child.kill('SIGKILL')
    await exited
  }
  const close = async () => {
    redis.disconnect()
    await kill()
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await until(async () => (await redis.ping()) === 'PONG', `redis-server answers on port ${port}`)
  } catch (error) {
    await close()
    throw error
  }
  return { port, dir, process: child, redis, kill, close }
}

/** A primary, a replica of it, and three Sentinels that know them as `shop`. */
export async function startSentinels(password?: string): Promise<{
  primary: RedisServer
  replica: RedisServer
  sentinels: RedisServer[]
  close: () => Promise<void>
}> {
  const login = password === undefined ? [] : [`requirepass ${password}`, `masterauth ${password}`]
  const client = password === undefined ? {} : { password }
  const primary = await startRedis({ config: login, client })
  const replica = await startRedis({ config: [...login, `replicaof 127.0.0.1 ${primary.port}`], client })
  const watch = [
    `sentinel monitor shop 127.0.0.1 ${primary.port} 2`,
    'sentinel down-after-milliseconds shop 500',
    'sentinel failover-timeout shop 2000',
    ...(password === undefined ? [] : [`sentinel auth-pass shop ${password}`]),
  ]
  const sentinels: RedisServer[] = []
  for (let count = 0; count < 3; count += 1)
    sentinels.push(await startRedis({ config: watch, sentinel: true }))
  await until(
    async () => /master_link_status:up/.test(await replica.redis.info('replication')),
    'the replica follows',
  )
  const know = async ({ redis }: RedisServer) => {
    const info = await redis.info('sentinel')
    return /name=shop,status=ok.*slaves=1,sentinels=3/.test(info)
  }
  await until(
    async () => (await Promise.all(sentinels.map(know))).every(Boolean),
    'the Sentinels know each other',
  )
  const close = async () => {
    for (const server of [...sentinels, replica, primary]) await server.close()
  }
  return { primary, replica, sentinels, close }
}

const SLOTS = 16_384

/** Three primaries of a Cluster and one replica, which follows the primary that holds the slot of `key`. */
export async function startCluster(key: string): Promise<{
  nodes: RedisServer[]
  owner: RedisServer
  replica: RedisServer
  close: () => Promise<void>
}> {
  const config = ['cluster-enabled yes', 'cluster-node-timeout 1000', 'cluster-replica-validity-factor 0']
  const all: RedisServer[] = []
  for (let count = 0; count < 4; count += 1) all.push(await startRedis({ config }))
  const [first, ...others] = all
  const nodes = all.slice(0, 3)
  const replica = all[3]
  if (!first || !replica) throw new Error('no nodes')
  for (const { port } of others) await first.redis.cluster('MEET', '127.0.0.1', port)
  for (const [at, { redis }] of nodes.entries()) {
    const [from, to] = [Math.floor((at * SLOTS) / 3), Math.floor(((at + 1) * SLOTS) / 3) - 1]
    await redis.cluster('ADDSLOTSRANGE', from, to)
  }
  const slot = Number(await first.redis.cluster('KEYSLOT', key))
  const owner = nodes[Math.floor((slot * 3) / SLOTS)] as RedisServer
  const ownerId = await owner.redis.cluster('MYID')
  const knowsAll = async ({ redis }: RedisServer) => /cluster_known_nodes:4/.test(await redis.cluster('INFO'))
  await until(async () => (await Promise.all(all.map(knowsAll))).every(Boolean), 'the nodes know each other')
  await replica.redis.cluster('REPLICATE', ownerId)
  const isReady = async ({ redis }: RedisServer) => {
    const [info, slots] = [await redis.cluster('INFO'), await redis.cluster('SLOTS')]
    const ports = slots.flatMap(([, , ...here]) => here.map(([, port]) => port))
    return /cluster_state:ok/.test(info) && ports.includes(replica.port)
  }
  await until(async () => (await Promise.all(all.map(isReady))).every(Boolean), 'the Cluster is complete')
  await until(
    async () => /master_link_status:up/.test(await replica.redis.info('replication')),
    'the replica follows',
  )
  const close = async () => {
    for (const server of all) await server.close()
  }
  return { nodes, owner, replica, close }
}
