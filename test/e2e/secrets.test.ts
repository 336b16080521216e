import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { type Daemon, type TestTown, useClosers } from '../rig/daemon.ts'
import { startRedis } from '../rig/redis-servers.ts'
import { agentOf, assign, ended, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const onClose = useClosers()
const scene = useScene(onClose)

const TOKEN = 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'
const QUOTED = 'p"a\\s/s <wörd> 😀'
const LISTED = 'a plain word'
const REDIS = 'redis-hunter22'
const SECRETS = [TOKEN, QUOTED, LISTED, REDIS]

const env = {
  GITHUB_TOKEN: TOKEN,
  QUOTED_SECRET: QUOTED,
  MY_GREETING: LISTED,
  TINYTOWN_REDIS_PASSWORD: REDIS,
  HARMLESS: 'nothing to hide',
}
const PASS = ['--pass-env', 'GITHUB_TOKEN,QUOTED_SECRET,HARMLESS', '--redact', 'MY_GREETING']

/** A secret in every form in which programs print one. */
function forms(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1)
  const ascii = json.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const base64 = Buffer.from(secret).toString('base64')
  return [secret, json, JSON.stringify(json).slice(1, -1), ascii, encodeURIComponent(secret), base64]
}

const ALL = SECRETS.flatMap(forms)

/** Everything that Redis keeps, that lies in the folder of the town, and that the worker said. */
async function everything(town: TestTown, daemon: Daemon, redis: Redis): Promise<string> {
  const texts = [daemon.stdout(), daemon.stderr()]
  for (const key of await redis.keys('*')) texts.push(key, JSON.stringify(await contentOf(redis, key)))
  const names = await readdir(join(town.root, '.tt'), { recursive: true, withFileTypes: true })
  for (const entry of names) {
    if (entry.isFile()) texts.push(await readFile(join(entry.parentPath, entry.name), 'utf8'))
  }
  return texts.join('\n')
}

async function contentOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key)
  if (type === 'hash') return await redis.hgetall(key)
  if (type === 'list') return await redis.lrange(key, 0, -1)
  if (type === 'stream') return await redis.xrange(key, '-', '+')
  if (type === 'set') return await redis.smembers(key)
  if (type === 'zset') return await redis.zrange(key, '0', '-1')
  return await redis.get(key)
}

/** In the file as well as in JSON: what Redis keeps as text was made JSON above. */
function expectNone(text: string): void {
  for (const form of ALL) {
    expect(text).not.toContain(form)
    expect(text).not.toContain(JSON.stringify(form).slice(1, -1))
  }
}

describe('the secrets of the environment', () => {
  it('32: are nowhere in what comes of a run that prints them, in any form and in pieces', async () => {
    const { town, agents } = await scene({ env })
    const daemon = await town.worker('--cli', 'fake', ...PASS)
    const id = await assign(town, 'x')
    const run = await agents.next()
    expect(run.hello.env).toMatchObject({ GITHUB_TOKEN: TOKEN, QUOTED_SECRET: QUOTED })
    await run.stdout(`${JSON.stringify(run.hello.env)}\n`)
    for (const [name, value] of Object.entries(run.hello.env)) await run.stdout(`${name}=${value}\n`)
    for (const form of ALL) {
      const at = Math.floor(form.length / 2)
      for (const part of ['<', form.slice(0, at), form.slice(at), '>\n']) await run.stdout(part)
      await run.stderr(`${form}\n`)
    }
    // As a terminal shows it, and with nothing after it.
    await run.stdout(`${TOKEN.slice(0, 9)}\u001b[1m${TOKEN.slice(9)}\n`)
    await run.stdout(`the token is ${TOKEN}`)
    await run.exit(0)
    const task = await ended(town, id)
    expect(task).toMatchObject({
      state: 'completed',
      result: expect.stringMatching(/the token is \[redacted]$/),
    })
    expect(task.result).toContain('HARMLESS=nothing to hide')
    expect(task.result).toContain('GITHUB_TOKEN=[redacted]')
    await daemon.says(/the token is \[redacted]/)
    expect(await readFile(task.log ?? '', 'utf8')).toContain('the token is [redacted]')
    expectNone(await everything(town, daemon, await town.redis()))
  })

  it('that were named in vain are told at the start', async () => {
    const { town } = await scene({ env: { SHORT: 'abc' } })
    const daemon = await town.worker('--cli', 'fake', '--redact', 'GONE,SHORT')
    expect(daemon.stderr()).toContain('The variable GONE is not set: there is nothing to redact')
    expect(daemon.stderr()).toContain('The value of SHORT has less than 4 characters')
    expect(daemon.stderr()).toContain('"event":"redact-nothing"')
  })

  it('are not in what the worker logs of a task and of a message, also where the line is cut', async () => {
    const { town, agents } = await scene({ env })
    const daemon = await town.worker('--cli', 'fake', ...PASS)
    const id = await assign(town, `log in with ${TOKEN} ${'.'.repeat(105)} ${QUOTED} ${TOKEN}`)
    await (await agents.next()).exit(0)
    await ended(town, id)
    const redis = await town.redis()
    const { inbox } = town.keys.agent((await agentOf(town)).id)
    await redis.rpush(inbox, JSON.stringify({ id: `${'x'.repeat(60)} ${TOKEN}` }))
    await daemon.says(/message put aside/)
    expect(daemon.stderr()).toContain('task started: log in with [redacted]')
    for (const part of [TOKEN.slice(0, 8), 'p\\"a', 'p\\\\\\"a']) expect(daemon.stderr()).not.toContain(part)
    const [[, letter] = ['', []]] = await redis.xrange(town.keys.deadLetters, '-', '+')
    expect(letter[letter.indexOf('detail') + 1]).not.toContain(TOKEN.slice(0, 8))
  })

  it('are not in the log of a command that Redis refused, nor is the rest of the command', async () => {
    const { town } = await scene({ env })
    const daemon = await town.worker('--cli', 'fake', ...PASS)
    const redis = await town.redis()
    await redis.set(town.keys.agent((await agentOf(town)).id).inbox, 'no list')
    await redis.publish(town.keys.broadcast, `to all: ${TOKEN}`)
    await daemon.says(/a broadcast could not be put into the inbox/)
    expect(daemon.stderr()).toContain('"type":"ReplyError"')
    expect(daemon.stderr()).not.toContain('to all')
  })

  it('are not in what is told of a failure', async () => {
    const { town, agents } = await scene({ env })
    const daemon = await town.worker('--cli', 'fake', ...PASS)
    const id = await assign(town, 'x')
    const run = await agents.next()
    for (const form of ALL) await run.stderr(`refused: ${form}\n`)
    await run.exit(3)
    const task = await ended(town, id)
    expect(task).toMatchObject({ state: 'failed', result: expect.stringContaining('refused: [redacted]') })
    expectNone(await everything(town, daemon, await town.redis()))
  })

  it('are not in the events of a CLI that prints JSON, nor in its answer', async () => {
    const { town, agents } = await scene({ env, table: 'output = "codex"' })
    const daemon = await town.worker('--cli', 'fake', ...PASS)
    const id = await assign(town, 'x')
    const run = await agents.next()
    const item = (fields: object) =>
      run.stdout(`${JSON.stringify({ type: 'item.completed', item: fields })}\n`)
    await item({
      id: 'i1',
      type: 'command_execution',
      command: `curl -u ${TOKEN}`,
      exit_code: 0,
      aggregated_output: QUOTED,
    })
    await item({ id: 'i2', type: 'agent_message', text: ALL.join('\n') })
    const letters = [...TOKEN].map((letter) => `\\u00${letter.charCodeAt(0).toString(16)}`).join('')
    const message = `{"id":"i3","type":"agent_message","text":"${letters.slice(0, 60)}${TOKEN.slice(10)} done"}`
    await run.stdout(`{"type":"item.completed","item":${message}}\n`)
    await run.stdout('{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}\n')
    await run.exit(0)
    expect(await ended(town, id)).toMatchObject({ state: 'completed', result: '[redacted] done' })
    expectNone(await everything(town, daemon, await town.redis()))
  })

  it('include the password in REDIS_URL', async () => {
    const server = await startRedis({ config: [`requirepass ${REDIS}`], client: { password: REDIS } })
    onClose(() => server.close())
    const url = `redis://:${REDIS}@127.0.0.1:${server.port}`
    const { town, agents } = await scene({ env: { REDIS_URL: url } })
    const daemon = await town.worker('--cli', 'fake')
    expect((await town.cli('assign', 'worker-1', 'x')).exit).toBe(0)
    const run = await agents.next()
    await run.stdout(`tried ${url}\n`)
    await run.exit(0)
    await until(() => /completed/.test(daemon.stderr()), 'the task is completed')
    const text = await everything(town, daemon, server.redis)
    expect(text).toContain('tried redis://:[redacted]@127.0.0.1')
    expect(text).not.toContain(REDIS)
  })
})
