import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A service manager that writes down what it is told. */
export interface Notified {
  /** What the daemon gets from it. */
  readonly env: Readonly<Record<string, string>>
  /** Each notice, its assignments separated by `|`. */
  notices(): Promise<string[]>
  close(): Promise<void>
}

/** Puts a `systemd-notify` into PATH that keeps what it gets; `body` is a line of shell that it runs before. */
export async function listenForNotices({ watchdogMs = 0, body = '' } = {}): Promise<Notified> {
  const folder = await mkdtemp(join(tmpdir(), 'tw-notify-'))
  const log = join(folder, 'notices')
  const program = join(folder, 'systemd-notify')
  await writeFile(program, `#!/bin/sh\n${body}\nIFS='|'\nprintf '%s\\n' "$*" >> ${log}\n`)
  await chmod(program, 0o755)
  return {
    env: {
      NOTIFY_SOCKET: join(folder, 'socket'),
      PATH: `${folder}:${process.env.PATH}`,
      ...(watchdogMs > 0 ? { WATCHDOG_USEC: String(watchdogMs * 1000) } : {}),
    },
    async notices() {
      const text = await readFile(log, 'utf8').catch(() => '')
      return text.split('\n').slice(0, -1)
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}
