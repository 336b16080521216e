import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { asWorkerError } from '../../src/domain/errors.ts'
import { checkServer } from '../../src/store/check-server.ts'
import { addressOf, options } from '../rig/connection-suite.ts'

let server: Server | undefined
const sockets = new Set<Socket>()

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  sockets.clear()
  if (server) await new Promise((resolve) => server?.close(resolve))
  server = undefined
})

/** A server that answers each command as told; `undefined` is silence. Returns its URL and what it was asked. */
async function serverThat(answer: (command: string, count: number) => string | undefined) {
  const asked: string[] = []
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      for (const [, name = ''] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        const command = name.toUpperCase()
        asked.push(command)
        const reply = answer(command, asked.filter((one) => one === command).length)
        if (reply !== undefined) socket.write(reply)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return { url: `redis://127.0.0.1:${port}`, asked }
}

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
const info = (...lines: string[]) => bulk(`${lines.join('\r\n')}\r\n`)
const SOUND = ['redis_version:7.4.0', 'redis_mode:standalone', 'role:master', 'aof_enabled:1']

const check = (url: string, timeoutMs: number) => checkServer(addressOf(url), { ...options, timeoutMs })
const refused = (url: string, timeoutMs: number) =>
  check(url, timeoutMs).catch((error) => asWorkerError(error))

describe('a server', () => {
  it('that is older than 7.0 is refused with its version', async () => {
    const { url } = await serverThat((command) => {
      if (command === 'PING') return '+PONG\r\n'
      return command === 'INFO' ? info('redis_version:6.2.14', 'role:master') : '+OK\r\n'
    })
    expect(await refused(url, 1000)).toMatchObject({
      code: 'config',
      message: `Expected Redis 7.0 or later at ${url} (REDIS_URL), got 6.2.14`,
    })
  })

  it('that takes the connection and stays silent is told from one that is not there', async () => {
    const { url } = await serverThat(() => undefined)
    expect(await refused(url, 500)).toMatchObject({
      code: 'redis-unreachable',
      message: expect.stringMatching(/it took the connection and did not answer PING within \d+ ms/),
    })
  })

  it('that loads its data is waited for', async () => {
    const { url, asked } = await serverThat((command, count) => {
      if (command === 'PING')
        return count < 3 ? '-LOADING Redis is loading the dataset in memory\r\n' : '+PONG\r\n'
      return command === 'INFO' ? info(...SOUND) : '+OK\r\n'
    })
    expect(await check(url, 10_000)).toMatchObject({ info: { version: '7.4.0', persistence: 'append-only' } })
    expect(asked.filter((command) => command === 'PING')).toHaveLength(3)
  })

  it('that is not Redis at all is told', async () => {
    const { url } = await serverThat(() => 'HTTP/1.1 400 Bad Request\r\n')
    expect(await refused(url, 500)).toMatchObject({ code: 'redis-unreachable' })
  })

  it('is asked in this order: login, PING, INFO', async () => {
    const { url, asked } = await serverThat((command) => {
      if (command === 'PING') return '+PONG\r\n'
      return command === 'INFO' ? info(...SOUND) : '+OK\r\n'
    })
    await check(url.replace('//', '//:pw@'), 1000)
    const steps = asked.filter((command) => ['AUTH', 'HELLO', 'PING', 'INFO'].includes(command))
    // HELLO brings the login with it.
    expect(steps).toEqual(['HELLO', 'PING', 'INFO'])
  })
})
