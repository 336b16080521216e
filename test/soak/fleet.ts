import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { sleep } from '../../src/base/clock.ts'
import { type RedisProxy, startProxy } from '../rig/proxy.ts'
import type { Grounds } from './grounds.ts'

const MAIN = resolve('dist/src/cli/main.js')
export const LEASE_MS = 2000
const SETTINGS = {
  'lease-ms': String(LEASE_MS),
  'drain-timeout': '2s',
  'kill-grace': '1s',
  'retry-delay': '500ms',
  'max-attempts': '3',
}

/** A daemon and whoever starts it again when it is gone, as a unit of systemd does. */
export class Member {
  readonly name: string
  readonly proxy: RedisProxy
  /** It is never killed, so that one can see how it ages. */
  readonly isSpared: boolean
  /** How its processes ended: an exit code or the name of a signal, and how often. */
  readonly exits = new Map<string, number>()
  /** How often it was started, rivals aside. */
  starts = 0
  readonly #root: string
  readonly #restartAfterMs: () => number
  readonly #closing = new AbortController()
  #child: ChildProcess | null = null
  #watch: Promise<void> = Promise.resolve()
  #hurry = new AbortController()

  constructor(options: {
    name: string
    proxy: RedisProxy
    root: string
    isSpared: boolean
    restartAfterMs: () => number
  }) {
    this.name = options.name
    this.proxy = options.proxy
    this.isSpared = options.isSpared
    this.#root = options.root
    this.#restartAfterMs = options.restartAfterMs
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal)
  }

  start(): void {
    this.#watch = this.#keepRunning()
  }

  /** Starts it at once where it waits for its next start, and after every further end. */
  hurry(): void {
    this.#hurry.abort()
  }

  /** Settles when it is gone for good. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    this.#closing.abort()
    this.signal('SIGCONT')
    this.signal(signal)
    await this.#watch
  }

  /** Runs a second daemon of the same name for so long, unless it is refused before. */
  async rival(ms: number, signal: AbortSignal): Promise<void> {
    const rival = this.#spawn()
    const gone = new AbortController()
    const exit = this.#end(rival).finally(() => gone.abort())
    await sleep(ms, signal, gone.signal)
    rival.kill('SIGKILL')
    await exit
  }

  async #keepRunning(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const child = this.#spawn()
      this.#child = child
      this.starts += 1
      await this.#end(child)
      this.#child = null
      await sleep(this.#restartAfterMs(), this.#closing.signal, this.#hurry.signal)
    }
  }

  #spawn(): ChildProcess {
    const log = openSync(join(this.#root, `${this.name}.stderr`), 'a')
    const flags = Object.entries(SETTINGS).flatMap(([flag, value]) => [`--${flag}`, value])
    try {
      return spawn(process.execPath, [MAIN, '--cli', 'soak', '--name', this.name, ...flags], {
        cwd: this.#root,
        env: {
          // Whatever of it is left is known by the folder, also a guard, which gets nothing but this variable.
          PATH: `${process.env.PATH}:${this.#root}`,
          HOME: process.env.HOME,
          REDIS_URL: `redis://127.0.0.1:${this.proxy.port}`,
          TINYTOWN_LOG_FORMAT: 'json',
        },
        stdio: ['ignore', 'ignore', log],
        // A Ctrl-C is for the soak, which ends them.
        detached: true,
      })
    } finally {
      closeSync(log)
    }
  }

  async #end(child: ChildProcess): Promise<void> {
    const end = await once(child, 'exit').then(([code, signal]) => String(code ?? signal), String)
    this.exits.set(end, (this.exits.get(end) ?? 0) + 1)
  }
}

/** Starts daemons, each behind a proxy of its own; the first one is spared. */
export async function startFleet(
  grounds: Grounds,
  count: number,
  restartAfterMs: () => number,
): Promise<Member[]> {
  const members: Member[] = []
  for (let at = 1; at <= count; at += 1) {
    const proxy = await startProxy({ host: '127.0.0.1', port: grounds.redisPort })
    const { root } = grounds
    const member = new Member({ name: `worker-${at}`, proxy, root, isSpared: at === 1, restartAfterMs })
    member.start()
    members.push(member)
  }
  return members
}
