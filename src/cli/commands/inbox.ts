import { findMailbox, type Mailbox, mailboxOf, SUPERVISOR_MAILBOX } from '../../client/find.ts'
import { type MailboxView, type MailPlace, type MailView, viewMailbox } from '../../client/mailbox-view.ts'
import { WorkerError } from '../../domain/errors.ts'
import type { Id } from '../../domain/ids.ts'
import { listAgents } from '../../store/agents.ts'
import { readQueues } from '../../store/queues.ts'
import type { Command, Invocation } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag, wordFlag } from '../flags.ts'
import { namesOf } from '../names.ts'
import { age, summary } from '../show.ts'
import { headedTable, type Terminal } from '../terminal.ts'
import { type Session, withTown } from '../with-town.ts'

/** Shows what waits for an agent. */
export const inbox: Command = {
  name: 'inbox [agent]',
  describe: 'Show the messages that wait for an agent, or how many wait for each; takes none',
  settings: ['town', 'redis'],
  flags: {
    all: { type: 'boolean', describe: 'Every message of every agent and of the supervisor' },
    ...jsonFlag,
  },
  build: (yargs) =>
    yargs.positional('agent', { type: 'string', describe: 'Name or id of an agent, or supervisor' }),
  examples: [
    ['inbox worker-1', 'urgent ones first, then the inbox, then what it has in hand'],
    ['inbox supervisor', 'answers and reports'],
  ],
  run: runInbox,
}

async function runInbox(invocation: Invocation): Promise<number> {
  const { flags } = invocation
  const reference = wordFlag(flags, 'agent')
  const all = flags.all === true
  if (all && reference !== '') {
    throw new WorkerError('usage', `--all shows the messages of every agent: use it without ${reference}`)
  }
  return await withTown(invocation, { purpose: 'inbox' }, async (session) => {
    if (all) await showAll(session)
    else if (reference === '') await showCounts(session)
    else await showOne(session, reference)
    return EXIT.done
  })
}

const COUNT_HEADINGS = ['AGENT', 'URGENT', 'INBOX', 'IN FLIGHT']

async function showCounts(session: Session): Promise<void> {
  const { redis, keys, terminal, json } = session
  const mailboxes = await allMailboxes(session)
  const ids = mailboxes.map(({ id }) => id)
  const counts = (await readQueues(redis, keys, ids)).map(({ urgent, inbox: waiting, inFlight }) => ({
    urgent,
    inbox: waiting,
    inFlight,
  }))
  if (json) {
    const list = mailboxes.map(({ id, name }, index) => ({ id, name, ...counts[index] }))
    terminal.json({ town: keys.town, mailboxes: list })
    return
  }
  const rows = mailboxes.map(({ name }, index) => [
    summary(name),
    ...Object.values(counts[index] ?? {}).map(String),
  ])
  for (const line of headedTable(terminal, COUNT_HEADINGS, rows)) terminal.line(line)
}

async function showAll(session: Session): Promise<void> {
  const { redis, keys, terminal, json } = session
  const mailboxes = await allMailboxes(session)
  const views = await Promise.all(mailboxes.map((mailbox) => viewMailbox(redis, keys, mailbox)))
  const nameOf = namesOf(mailboxes.flatMap(({ agent }) => agent ?? []))
  if (json) terminal.json({ town: keys.town, mailboxes: views.map((view) => mailboxJson(view, nameOf)) })
  else if (views.every(({ messages }) => messages.length === 0)) terminal.note('Nothing waits for anybody')
  else {
    const rows = views.flatMap(({ mailbox, messages }) =>
      messages.map((view) => [summary(mailbox.name), ...cellsOf(terminal, view, nameOf)]),
    )
    for (const line of headedTable(terminal, ['AGENT', ...HEADINGS], rows)) terminal.line(line)
  }
}

async function showOne({ redis, keys, terminal, json }: Session, reference: string): Promise<void> {
  const mailbox = await findMailbox(redis, keys, reference)
  const view = await viewMailbox(redis, keys, mailbox)
  const nameOf = namesOf(await listAgents(redis, keys))
  if (json) terminal.json({ town: keys.town, ...mailboxJson(view, nameOf) })
  else if (view.messages.length === 0) terminal.note(`Nothing waits for ${mailbox.name}`)
  else {
    const rows = view.messages.map((one) => cellsOf(terminal, one, nameOf))
    for (const line of headedTable(terminal, HEADINGS, rows)) terminal.line(line)
  }
}

async function allMailboxes({ redis, keys }: Session): Promise<Mailbox[]> {
  return [...(await listAgents(redis, keys)).map(mailboxOf), SUPERVISOR_MAILBOX]
}

const HEADINGS = ['WHERE', 'KIND', 'FROM', 'AGE', 'MESSAGE']

function cellsOf(terminal: Terminal, view: MailView, nameOf: (id: Id) => string): string[] {
  const place = view.place === 'in-flight' ? 'in flight' : view.place
  if (view.kind === 'unreadable') {
    return [place, terminal.style('red', view.kind), '-', '-', summary(view.error, 120)]
  }
  return [place, view.kind, nameOf(view.message.from), age(view.ageMs), summary(view.text)]
}

function mailboxJson({ mailbox, messages }: MailboxView, nameOf: (id: Id) => string): object {
  const count = (place: MailPlace) => messages.filter((view) => view.place === place).length
  return {
    id: mailbox.id,
    name: mailbox.name,
    urgent: count('urgent'),
    inbox: count('inbox'),
    inFlight: count('in-flight'),
    messages: messages.map((view) => messageJson(view, nameOf)),
  }
}

function messageJson(view: MailView, nameOf: (id: Id) => string): object {
  if (view.kind === 'unreadable') return view
  const { message, ...rest } = view
  return { ...rest, ...message, fromName: nameOf(message.from) }
}
