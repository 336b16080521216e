import { type Context, requireTown } from '../client/context.ts'
import { type OpenTown, openTown } from '../client/open-town.ts'
import type { ServerEvent } from '../server/place.ts'
import type { ConnectionEvent } from '../store/connection.ts'
import type { Invocation } from './command.ts'
import { loadContext } from './context.ts'
import type { Terminal } from './terminal.ts'

/** A command at work in a town. */
export interface Session extends Invocation, Pick<OpenTown, 'redis' | 'keys'> {
  readonly context: Context
  readonly json: boolean
}

/**
 * Opens the town that the flags mean, lets the command work in it and closes it again. A wait (`lasting`) outlives a Redis that
 * is away for a while. Throws `not-found` where there is no town: asking for one does not make it.
 */
export async function withTown(
  invocation: Invocation,
  { purpose, lasting = false }: { purpose: string; lasting?: boolean },
  work: (session: Session) => Promise<number>,
): Promise<number> {
  const { flags, env, signal, terminal } = invocation
  const context = loadContext(flags, env)
  for (const warning of context.warnings) terminal.note(`Warning: ${warning}`)
  requireTown(context, MAKE_ONE)
  const town = await openTown(context, {
    purpose,
    lasting,
    signal,
    onServer: (event) => tellServer(event, terminal),
    onConnection: (event) => tellConnection(event, terminal),
  })
  // Whatever the command waits for on this connection ends with it.
  const onAbort = () => void town.close()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const { redis, keys } = town
    return await work({ ...invocation, context, redis, keys, json: context.settings.json })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    await town.close()
  }
}

const MAKE_ONE =
  'Make one with tinytown-worker init, start a worker with tinytown-worker --cli codex, or name another folder with --town'

function tellServer(event: ServerEvent, terminal: Terminal): void {
  if (event.type === 'redis-started') {
    terminal.note(`Started redis-server ${event.version} for this town (pid ${event.pid}, ${event.address})`)
  } else if (event.type === 'redis-loading') terminal.progress('Redis is loading its data …')
}

function tellConnection(event: ConnectionEvent, terminal: Terminal): void {
  if (event.type === 'redis-waiting') terminal.progress(`Redis at ${event.address} does not answer yet …`)
  else if (event.type === 'redis-lost') terminal.note(`Redis is away (${event.detail}); waiting for it …`)
  else terminal.note('Redis is back')
}
