import { type Deadline, type Endpoint, exchange } from './resp.ts'

const INFO_MS = 2000

/**
 * What a PING got. `loading`: the server reads its data and will answer soon. `closed`: it hung up, most likely because it is
 * ending. `noauth`: a server that wants a password, or another one.
 * `other`: an error reply of a living server (`isRedis`, such as MISCONF), or something that is not Redis at all.
 */
export type PingAnswer =
  | 'pong'
  | 'loading'
  | 'refused'
  | 'timeout'
  | 'closed'
  | 'noauth'
  | { other: string; isRedis: boolean }

/** Sends PING within `timeoutMs` milliseconds. Throws only `signal.reason`, when aborted. */
export async function ping(endpoint: Endpoint, deadline: Deadline): Promise<PingAnswer> {
  const result = await exchange(endpoint, ['PING'], deadline)
  switch (result.kind) {
    case 'refused':
    case 'timeout':
    case 'closed':
      return result.kind
    case 'failed':
      return { other: result.text, isRedis: false }
    case 'reply':
      if (!result.isError) {
        return result.text === 'PONG' ? 'pong' : { other: result.text, isRedis: false }
      }
      if (result.text.startsWith('LOADING')) return 'loading'
      if (/^(?:NOAUTH|WRONGPASS)/.test(result.text)) return 'noauth'
      return { other: result.text, isRedis: true }
  }
}

/** The process id that the server itself tells, or null. */
export async function serverPid(endpoint: Endpoint, signal?: AbortSignal): Promise<number | null> {
  const reply = await exchange(endpoint, ['INFO', 'server'], { timeoutMs: INFO_MS, signal })
  const match = reply.kind === 'reply' && !reply.isError ? /^process_id:(\d+)/m.exec(reply.text) : null
  return match ? Number(match[1]) : null
}
