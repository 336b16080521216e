import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'

/** One atomic effect: a Lua text with its header, known to the server by its digest. */
export interface Script {
  readonly name: string
  readonly lua: string
  readonly sha: string
}

/** Makes a script of a Lua text and the shared functions it calls. */
export function script(name: string, ...parts: readonly string[]): Script {
  const lua = parts.join('\n')
  return { name, lua, sha: createHash('sha1').update(lua).digest('hex') }
}

/** Runs a script. A server that forgot it (restart, SCRIPT FLUSH) gets its text again. */
export async function runScript(
  redis: Redis,
  { sha, lua }: Script,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args)
  } catch (error) {
    if (replyErrorCode(error) !== 'NOSCRIPT') throw error
    return await redis.eval(lua, keys.length, ...keys, ...args)
  }
}

/** The first word of an error that the server replied, such as `NOSCRIPT` or `READONLY`; null for any other error. */
export function replyErrorCode(error: unknown): string | null {
  // By its name: a connection that a user of the library brings may be of another copy of ioredis, with a class of its own.
  const isReply = error instanceof Error && error.name === 'ReplyError'
  return isReply ? (error.message.split(' ', 1)[0] ?? null) : null
}

/** The reply of a script as texts; nil becomes ''. */
export function texts(reply: unknown): string[] {
  return Array.isArray(reply) ? reply.map((value) => (value === null ? '' : String(value))) : []
}

/** The replies to several commands that were sent together. Throws the first error among them. */
export function repliesOf<T>(results: readonly [error: Error | null, reply: unknown][] | null): T[] {
  return (results ?? []).map(([error, reply]) => {
    if (error) throw error
    return reply as T
  })
}
