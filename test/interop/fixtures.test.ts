import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { SUPERVISOR_ID } from '../../src/domain/ids.ts'
import { type TtTown, useTtTowns } from '../rig/tt.ts'

const FOLDER = fileURLToPath(new URL('../fixtures/tt-0.10.0/', import.meta.url))

const newTown = useTtTowns()

/** What the real `tt` wrote: file name to content. */
type Fixtures = Record<'agents' | 'tasks' | 'messages' | 'events' | 'backlog', object>

const update = process.env.UPDATE_FIXTURES === '1'

it(update ? 'the fixtures are written anew' : 'tt writes what the fixtures say', async () => {
  const found = await record(await newTown())
  if (update) await mkdir(FOLDER, { recursive: true })
  for (const [name, content] of Object.entries(found)) {
    const path = join(FOLDER, `${name}.json`)
    if (update) await writeFile(path, `${JSON.stringify(content, null, 2)}\n`)
    const kept: unknown = JSON.parse(await readFile(path, 'utf8'))
    expect(shape(content), `UPDATE_FIXTURES=1 npm run test:interop writes ${path} anew`).toEqual(shape(kept))
  }
})

/** The same without what is new each time: ids, times, and the nickname that `tt` draws for an agent without one. */
function shape(content: unknown): unknown {
  const text = JSON.stringify(content)
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) => (id === SUPERVISOR_ID ? id : '<id>'))
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?/g, '<time>')
    .replace(/"nickname":"\w+"/g, '"nickname":"<drawn>"')
  return JSON.parse(text)
}

/** Has the real `tt` write one of everything and reads it from Redis as it stands there. */
async function record(town: TtTown): Promise<Fixtures> {
  const { redis, keys } = town
  const spawn = (name: string, ...more: string[]) =>
    town.tt('spawn', name, '--cli', 'fake', '--foreground', '--max-rounds', '0', ...more)
  await spawn('lead')
  const lead = await onlyAgent(town)
  await spawn('coder', '--role', 'backend', '--nickname', 'The coder', '--parent', 'lead')
  const [coderKey = ''] = (await redis.keys(keys.agentPattern)).filter(
    (key) => key !== keys.agent(lead).record,
  )
  const coder = coderKey.slice(keys.agentPrefix.length)
  const box = keys.agent(coder)
  const agents: Record<string, object> = {
    spawned: await redis.hgetall(keys.agent(lead).record),
    spawnedWithRole: await redis.hgetall(box.record),
  }

  const id = await town.assign('coder', 'Say "hi"\nin two lines: ü 🚀')
  const tasks: Record<string, object> = { assigned: await redis.hgetall(keys.task(id)) }
  const sent: [name: string, ...args: string[]][] = [
    ['task', 'Tidy "up"\nüber 🚀 \\ / </script>'],
    ['query', '--query', 'What is 6 x 7?'],
    ['informational', '--info', 'The API moved\tto v2'],
    ['confirmationReceived', '--ack', 'received'],
    ['confirmationApproved', '--ack', 'approved'],
    ['confirmationThanks', '--ack', 'thanks'],
    ['confirmationAcknowledged', '--ack', 'ok'],
    ['confirmationRejected', '--ack', 'rejected: no tests'],
    ['taskFromAgent', '--from', 'lead', 'From another agent'],
  ]
  for (const [, ...args] of sent) await town.tt('send', ...args.slice(0, -1), 'coder', ...args.slice(-1))
  const inbox = await redis.lrange(box.inbox, 0, -1)
  const messages: Record<string, string> = {}
  for (const [at, name] of ['task_assign', ...sent.map(([name]) => name)].entries())
    messages[name] = inbox[at] ?? ''
  await town.tt('send', '--urgent', 'coder', 'At once')
  messages.urgentTask = (await redis.lindex(box.urgent, 0)) ?? ''

  const loop = town.startTt(['restart', 'coder', '--foreground', '--rounds', '1'])
  const run = await town.agents.next()
  agents.working = await redis.hgetall(box.record)
  await town.tt('task', 'complete', id, '--result', 'said\n"hi"')
  tasks.completed = await redis.hgetall(keys.task(id))
  await town.tt('interrupt', 'coder')
  agents.paused = await redis.hgetall(box.record)
  await town.tt('resume', 'coder')
  await town.tt('close', 'coder')
  agents.draining = await redis.hgetall(box.record)
  await run.exit(0)
  await loop.ended
  agents.stopped = await redis.hgetall(box.record)

  await town.assign('lead', 'only one')
  const single = town.startTt(['restart', 'lead', '--foreground', '--rounds', '1'])
  const round = await town.agents.next()
  agents.workingOnOne = await redis.hgetall(keys.agent(lead).record)
  tasks.running = await redis.hgetall(keys.task(String(Reflect.get(agents.workingOnOne, 'current_task'))))
  await round.exit(0)
  await single.ended

  await town.tt('backlog', 'add', 'Document it', '--tags', 'docs, api')
  const backlog = await redis.lrange(`tt:${keys.town}:backlog`, 0, -1)
  tasks.backlog = await redis.hgetall(keys.task(backlog[0] ?? ''))
  const entries = await redis.xrange(keys.events, '-', '+')
  return { agents, tasks, messages, events: entries.map(([, fields]) => fields), backlog }
}

/** The id of the only agent of the town. */
async function onlyAgent({ redis, keys }: TtTown): Promise<string> {
  const [key = ''] = await redis.keys(keys.agentPattern)
  return key.slice(keys.agentPrefix.length)
}
