import { get } from 'node:http'
import { messageOf, WorkerError } from '../../domain/errors.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'

/** A look at the health takes 2 s at most when Redis does not answer it. */
const ANSWER_MS = 4000

/** Asks a worker of this machine how it is: the health check of a container, which has no curl. */
export const health: Command = {
  name: 'health',
  describe: 'Ask the worker of this machine that serves --health-addr how it is; exit 0 when it is well',
  settings: ['town'],
  flags: {
    'health-addr': {
      type: 'string',
      requiresArg: true,
      describe: 'Where it answers [default: TINYTOWN_HEALTH_ADDR, or worker.health_addr of tinytown.toml]',
    },
    ready: { type: 'boolean', describe: 'Ask whether it could take a task now, not only whether it lives' },
  },
  examples: [['health --ready', 'exit 0 when it could take a task now']],
  run: runHealth,
}

async function runHealth({ flags, env, terminal, signal }: Invocation): Promise<number> {
  const address = loadContext(flags, env).settings.healthAddr
  if (!address) {
    throw new WorkerError('config', 'No health address is set, so that no worker answers', {
      remedy: 'Start the worker with --health-addr 127.0.0.1:9464, and name the same one here',
    })
  }
  const path = flags.ready === true ? '/readyz' : '/livez'
  const { status, body } = await ask({ ...address, host: reachable(address.host), path, signal })
  terminal.line(body.trimEnd())
  return status === 200 ? EXIT.done : EXIT.taskFailed
}

/** Who listens on every address is asked at that of this machine. */
function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
}

function ask(where: {
  host: string
  port: number
  path: string
  signal: AbortSignal
}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(noAnswer(where, messageOf(error)))
    const request = get({ ...where, timeout: ANSWER_MS }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', fail)
    })
    request.on('timeout', () => request.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)))
    request.on('error', fail)
  })
}

function noAnswer({ host, port }: { host: string; port: number }, why: string): WorkerError {
  return new WorkerError('wrong-state', `No worker answers at ${host}:${port}: ${why}`, {
    remedy: 'Start one with this --health-addr',
  })
}
