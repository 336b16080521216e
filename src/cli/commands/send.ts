import { findMailbox, type Mailbox } from '../../client/find.ts'
import { findSender } from '../../client/sender.ts'
import { viewAgent } from '../../client/summary.ts'
import * as schema from '../../config/schemas.ts'
import { WorkerError } from '../../domain/errors.ts'
import { SUPERVISOR_ID } from '../../domain/ids.ts'
import { ackOf, type Message, type MessageBody, newMessage } from '../../domain/message.ts'
import { sendMessage } from '../../store/mail.ts'
import { serverTime } from '../../store/server-info.ts'
import { troubleOf } from '../await.ts'
import type { Command, Invocation } from '../command.ts'
import type { Flags } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { flagValue, jsonFlag, priorityFlag, priorityOf, wordFlag } from '../flags.ts'
import { fileFlag, readText, wordsOf } from '../text-input.ts'
import { type Session, withTown } from '../with-town.ts'

/** Sends a message. */
export const send: Command = {
  name: 'send <agent> [text..]',
  describe: 'Send an agent or the supervisor a message: something to do, a question, a note',
  settings: ['town', 'redis'],
  flags: {
    query: { type: 'boolean', describe: 'A question: the answer goes to the inbox of the sender' },
    info: { type: 'boolean', describe: 'A note: it stands in the prompt of the next task' },
    ack: {
      type: 'boolean',
      describe: 'A confirmation: received, approved, thanks, rejected: REASON, or else acknowledged',
    },
    urgent: { type: 'boolean', describe: 'Before everything that waits in the inbox' },
    from: {
      type: 'string',
      requiresArg: true,
      describe: 'Name or id of the sender [default: the agent in whose run this is, else supervisor]',
    },
    ...priorityFlag,
    ...fileFlag('message'),
    ...jsonFlag,
  },
  build: (yargs) =>
    yargs
      .positional('agent', { type: 'string', describe: 'Name or id of an agent, or supervisor' })
      .positional('text', { type: 'string', array: true, describe: 'The message; - reads it from stdin' }),
  examples: [
    ['send worker-1 "Is the build green?" --query', 'the answer: tinytown-worker inbox supervisor'],
    ['send worker-1 "The API moved to v2" --info', 'for the prompt of its next task'],
    ['send worker-1 "rejected: no tests" --ack --urgent', 'a confirmation, read first'],
  ],
  run: runSend,
}

async function runSend(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const makeBody = bodyMaker(flags)
  const from = flagValue(flags, 'from', schema.text)
  const priority = priorityOf(flags)
  const body = makeBody(await readText(invocation, { what: 'message', words: wordsOf(flags, 'text') }))
  return await withTown(invocation, { purpose: 'send' }, async (session) => {
    const { redis, keys } = session
    const to = await findMailbox(redis, keys, wordFlag(flags, 'agent'))
    const sender = await senderOf(session, from)
    const createdAt = await serverTime(redis)
    const message = newMessage({ from: sender.id, to: to.id, body, priority, createdAt })
    const waiting = await sendMessage(redis, keys, message, { urgentList: flags.urgent === true })
    await tell(session, message, { to, sender, waiting })
    return EXIT.done
  })
}

const BODIES = {
  query: (question) => ({ type: 'query', question }),
  info: (summary) => ({ type: 'informational', summary }),
  ack: (text) => ({ type: 'confirmation', ack_type: ackOf(text) }),
} as const satisfies Record<string, (text: string) => MessageBody>

function bodyMaker(flags: Flags): (text: string) => MessageBody {
  const [kind, other] = (['query', 'info', 'ack'] as const).filter((flag) => flags[flag] === true)
  if (other) throw new WorkerError('usage', `Expected one kind of message, got --${kind} and --${other}`)
  return kind ? BODIES[kind] : (description) => ({ type: 'task', description })
}

async function senderOf({ redis, keys, env, terminal }: Session, from: string | undefined): Promise<Mailbox> {
  const { TINYTOWN_AGENT_ID: agentId, TINYTOWN_AGENT_NAME: agentName } = env
  const { sender, ignored } = await findSender(redis, keys, { from, agentId, agentName })
  if (ignored) terminal.note(`TINYTOWN_AGENT_NAME=${ignored} is no agent of this town: sent as supervisor`)
  return sender
}

interface Delivery {
  readonly to: Mailbox
  readonly sender: Mailbox
  readonly waiting: number
}

async function tell(session: Session, message: Message, { to, sender, waiting }: Delivery): Promise<void> {
  const { flags, terminal, redis, keys, json } = session
  const { id, body, priority } = message
  const urgent = flags.urgent === true
  if (json) {
    const between = { to: to.name, toId: to.id, from: sender.name, fromId: sender.id }
    terminal.json({ id, kind: body.type, ...between, priority, urgent, waiting })
  } else {
    const by = sender.id === SUPERVISOR_ID ? '' : ` from ${sender.name}`
    terminal.line(`Sent ${urgent ? 'urgent ' : ''}${body.type} ${id} to ${to.name}${by}`)
  }
  const trouble = to.agent && troubleOf(await viewAgent(redis, keys, to.agent))
  if (trouble) terminal.note(`Sent; ${trouble}`)
  else terminal.progress(`${waiting} in its ${urgent ? 'urgent list' : 'inbox'}`)
}
