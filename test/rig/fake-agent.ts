import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Deferred, deferred } from '../../src/base/deferred.ts'

const PROGRAM = fileURLToPath(new URL('./fake-agent-program.mjs', import.meta.url))

/** The command that starts a fake agent. */
export const FAKE_AGENT = `${process.execPath} ${PROGRAM}`

/** What a fake agent says of itself when it starts. */
interface Hello {
  readonly pid: number
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly prompt: string
}

/** One run of the fake agent, in the hand of the test. */
export class FakeRun {
  readonly hello: Hello
  /** Settles when the process is gone or hung up. */
  readonly gone: Promise<void>
  readonly #socket: Socket
  readonly #answers: Deferred<unknown>[] = []

  constructor(hello: Hello, socket: Socket, gone: Promise<void>) {
    this.hello = hello
    this.#socket = socket
    this.gone = gone
  }

  /** Takes the answer to the oldest open order. */
  answered(value: unknown): void {
    this.#answers.shift()?.resolve(value)
  }

  stdout(text: string): Promise<unknown> {
    return this.#order({ do: 'stdout', text })
  }

  stderr(text: string): Promise<unknown> {
    return this.#order({ do: 'stderr', text })
  }

  bytes(data: Buffer): Promise<unknown> {
    return this.#order({ do: 'base64', data: data.toString('base64') })
  }

  flood(bytes: number): Promise<unknown> {
    return this.#order({ do: 'flood', bytes })
  }

  ignoreTerm(): Promise<unknown> {
    return this.#order({ do: 'ignoreTerm' })
  }

  /** Starts a process, in a session of its own unless it is to stay in the group, and returns its pid. */
  async grandchild(options: {
    keepStdout: boolean
    ignoreTerm?: boolean
    sameGroup?: boolean
  }): Promise<number> {
    return Number(await this.#order({ do: 'grandchild', ...options }))
  }

  async exit(code: number): Promise<void> {
    this.#send({ do: 'exit', code })
    await this.gone
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    this.#send({ do: 'signal', signal })
    await this.gone
  }

  #order(order: object): Promise<unknown> {
    const answer = deferred<unknown>()
    this.#answers.push(answer)
    this.#send(order)
    return answer.promise
  }

  #send(order: object): void {
    this.#socket.write(`${JSON.stringify(order)}\n`)
  }
}

export interface FakeAgents {
  /** The [agent_clis.fake] table and what else a test adds to it. */
  toml(extra?: string): string
  /** The environment that the daemon needs. */
  readonly env: Readonly<Record<string, string>>
  /** The next run that starts, or one that started already and was not taken. */
  next(): Promise<FakeRun>
  /** How many runs started. */
  readonly started: number
  close(): Promise<void>
}

/** Listens for fake agents. Each one that starts is handed to whoever asks for the next. */
export async function listenForFakeAgents(): Promise<FakeAgents> {
  const dir = await mkdtemp(join(tmpdir(), 'tw-fake-'))
  const path = join(dir, 'agents.sock')
  const waiting: Deferred<FakeRun>[] = []
  const arrived: FakeRun[] = []
  let started = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const gone = deferred()
    socket.on('error', () => undefined)
    socket.once('close', () => gone.resolve())
    let run: FakeRun | null = null
    createInterface({ input: socket }).on('line', (line) => {
      const value = JSON.parse(line) as Hello & { done: unknown }
      if (run) return run.answered(value.done)
      run = new FakeRun(value, socket, gone.promise)
      started += 1
      const taker = waiting.shift()
      if (taker) taker.resolve(run)
      else arrived.push(run)
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    toml: (extra = '') =>
      `[agent_clis.fake]\ncommand = ${JSON.stringify(FAKE_AGENT)}\npass_env = ["FAKE_AGENT_SOCKET"]\n${extra}\n`,
    env: { FAKE_AGENT_SOCKET: path },
    next() {
      const here = arrived.shift()
      if (here) return Promise.resolve(here)
      const run = deferred<FakeRun>()
      waiting.push(run)
      return run.promise
    },
    get started() {
      return started
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(dir, { recursive: true, force: true })
    },
  }
}
