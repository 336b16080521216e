import { execa } from 'execa'
import { oneLine } from '../base/text.ts'
import { findProgram } from './which.ts'

const PROGRAM = 'systemd-notify'
/** It waits until the service manager has read it. */
const TIMEOUT_MS = 5000

/** Tells the service manager some `NAME=value` (sd_notify(3)). Null when it heard them, else why not. */
export type Notify = (assignments: readonly string[]) => Promise<string | null>

/**
 * How the service manager that started this process is told something; null when none listens. Node.js has no datagram sockets of
 * the file system, so systemd's own program is run.
 */
export function systemdNotify(env: NodeJS.ProcessEnv): Notify | null {
  const { NOTIFY_SOCKET: socket, PATH: path } = env
  if (!socket) return null
  return async (assignments) => {
    const program = await findProgram(PROGRAM, { path, cwd: '/' })
    if (program === null) return `${PROGRAM} is not in PATH`
    const end = await execa(program, assignments, {
      env: { NOTIFY_SOCKET: socket, ...(path === undefined ? {} : { PATH: path }) },
      extendEnv: false,
      stdin: 'ignore',
      all: true,
      reject: false,
      timeout: TIMEOUT_MS,
      maxBuffer: 64 * 1024,
    })
    // The short message quotes the command, and with it what was told.
    return end.failed
      ? `${PROGRAM} failed: ${oneLine(end.all || end.originalMessage || `exit code ${end.exitCode}`)}`
      : null
  }
}
