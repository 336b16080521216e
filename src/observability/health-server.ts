import { createServer, type Server, type ServerResponse } from 'node:http'
import { messageOf, WorkerError } from '../domain/errors.ts'
import { type AgentHealth, type Health, isReady } from './health.ts'
import type { Metrics } from './metrics.ts'

/** Where a health server listens. Port 0: the system chooses one. */
export interface HealthAddress {
  readonly host: string
  readonly port: number
}

export interface HealthServer {
  /** The address that it got, as a URL has it. */
  readonly url: string
  close(): Promise<void>
}

export interface HealthServerOptions {
  readonly address: HealthAddress
  readonly health: Health
  readonly metrics: Metrics
  /** What `/status.json` tells of the process beside its agents. */
  readonly about: Readonly<Record<string, string | number>>
}

type Route = (options: HealthServerOptions) => Promise<{ status: number; type: string; body: string }>

const TEXT = 'text/plain; charset=utf-8'
const JSON_TYPE = 'application/json; charset=utf-8'

const ROUTES: Readonly<Record<string, Route>> = {
  '/': async () => ({ status: 200, type: TEXT, body: `${Object.keys(ROUTES).slice(1).join('\n')}\n` }),
  '/livez': async ({ health }) => {
    const wedged = health.wedged()
    const lines = wedged.map((agent) => `${agent}: the claim loop is wedged`)
    return {
      status: wedged.length === 0 ? 200 : 503,
      type: TEXT,
      body: `${['live', ...lines].slice(lines.length > 0 ? 1 : 0).join('\n')}\n`,
    }
  },
  '/readyz': async ({ health }) => {
    const { agents } = await health.examine()
    const lines = agents.flatMap(whyNot)
    return {
      status: lines.length === 0 ? 200 : 503,
      type: TEXT,
      body: `${lines.length === 0 ? 'ready' : lines.join('\n')}\n`,
    }
  },
  '/status.json': async ({ health, about }) => {
    const { agents, roundTripMs } = await health.examine()
    const body = {
      ...about,
      startedAt: health.startedAt.toISOString(),
      ready: agents.every(isReady),
      live: health.wedged().length === 0,
      ...(roundTripMs === undefined ? {} : { redisRoundTripMs: Math.round(roundTripMs * 1000) / 1000 }),
      agents: agents.map(({ status, ...rest }) => ({
        ...status,
        ready: isReady({ status, ...rest }),
        ...rest,
      })),
    }
    return { status: 200, type: JSON_TYPE, body: `${JSON.stringify(body, null, 2)}\n` }
  },
  '/metrics': async ({ health, metrics }) => {
    const { agents, roundTripMs } = await health.examine()
    const samples = agents.map((agent) => ({
      agent: agent.status.name,
      ready: isReady(agent),
      circuitClosed: agent.circuit === 'closed',
      restarts: agent.restarts,
      ...(agent.queues ? { queues: agent.queues } : {}),
    }))
    metrics.sample(samples, roundTripMs)
    return { status: 200, type: metrics.registry.contentType, body: await metrics.registry.metrics() }
  },
}

function whyNot({ status: { name }, checks }: AgentHealth): string[] {
  return Object.entries(checks).flatMap(([check, why]) => (why === null ? [] : [`${name}: ${check}: ${why}`]))
}

/** Answers health checks and scrapes until it is closed. Throws `config` when the address cannot be had. */
export async function serveHealth(options: HealthServerOptions): Promise<HealthServer> {
  const { host, port } = options.address
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').replace(/\?.*$/s, '')
    const route = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return send(response, { status: 405, type: TEXT, body: 'GET only\n' }, { allow: 'GET, HEAD' })
    }
    if (!route) return send(response, { status: 404, type: TEXT, body: `Not here: ${path}\n` })
    route(options).then(
      (answer) => send(response, answer),
      (error) => send(response, { status: 500, type: TEXT, body: `${messageOf(error)}\n` }),
    )
  })
  // Whoever asks does so in short words.
  server.requestTimeout = 5000
  server.headersTimeout = 5000
  server.keepAliveTimeout = 5000
  server.maxConnections = 100
  await listen(server, host, port)
  const bound = server.address()
  const got = typeof bound === 'object' && bound !== null ? bound.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${got}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function send(
  response: ServerResponse,
  { status, type, body }: { status: number; type: string; body: string },
  more: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...more })
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(refused(error, host, port)))
    server.listen(port, host, () => resolve())
  })
}

function refused(error: NodeJS.ErrnoException, host: string, port: number): WorkerError {
  const sentence = `The health address ${host}:${port} cannot be had: ${WHY[error.code ?? ''] ?? error.message}`
  const remedy = 'Name another one with --health-addr; port 0 takes one that is free'
  return new WorkerError('config', sentence, { remedy, cause: error })
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'it is in use, perhaps by another worker',
  EACCES: 'this user may not listen on that port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'no such host',
}
