import type { Message } from '../domain/message.ts'
import { keptNote } from '../domain/prompt.ts'
import { type Acknowledged, acknowledgeMessage, type Claimed, putAsideMessage } from '../store/inbox.ts'
import { replyTo } from './reply.ts'
import type { Route } from './route.ts'
import { type AttemptTools, type Handled, remembered } from './work.ts'

export async function putAside(claimed: Claimed, why: string, tools: AttemptTools): Promise<Handled> {
  const { lease, write, emit } = tools
  const detail = tools.redact(why)
  const deadLetterId = await write(() => putAsideMessage(lease, claimed, { reason: 'bad-task', detail }))
  if (deadLetterId !== null) emit({ type: 'message-put-aside', deadLetterId, detail })
  return { kind: 'no-run' }
}

export async function answer(
  claimed: Claimed,
  message: Message,
  route: Exclude<Route, { kind: 'run' }>,
  tools: AttemptTools,
): Promise<Acknowledged['kind']> {
  const { lease, write, emit } = tools
  const kind = message.body.type
  const { from, id } = message
  const end = {
    ...remembered(message, tools),
    ...(route.kind === 'note' && { note: keptNote(route.text) }),
    ...(route.kind === 'answer' && { reply: replyTo(message, route.body, lease.agentId) }),
  }
  const ended = await write(() => acknowledgeMessage(lease, claimed, end))
  const was = ended.kind
  if (ended.kind === 'no-notes') {
    const where = `The key ${lease.agent.notes} holds a ${ended.type}, not the notes`
    await putAside(claimed, where, tools)
  } else if (was === 'duplicate') emit({ type: 'message-duplicate', kind, from, messageId: id })
  else if (route.kind === 'note') emit({ type: 'message-noted', kind, from })
  else if (route.kind === 'drop') emit({ type: 'message-dropped', kind, from })
  // Whoever takes up what is in flight may have answered it already.
  else if (route.kind === 'answer' && was === 'ok') emit({ type: 'message-answered', kind, to: from })
  if (ended.kind === 'ok' && ended.forgotten > 0) emit({ type: 'message-forgotten', count: ended.forgotten })
  return was
}
