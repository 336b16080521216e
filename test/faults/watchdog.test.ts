import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { useClosers } from '../rig/daemon.ts'
import { listenForNotices } from '../rig/notified.ts'
import { agentOf, assign, ended, useScene } from '../rig/scene.ts'
import { until } from '../rig/until.ts'

const WEDGE = fileURLToPath(new URL('../rig/wedge-claim-loop.mjs', import.meta.url))
const FED = 'WATCHDOG=1'

const onClose = useClosers()
const scene = useScene(onClose)

async function watched(options: { watchdogMs?: number; body?: string; env?: object } = {}) {
  const manager = await listenForNotices(options)
  onClose(() => manager.close())
  const { town, agents } = await scene({ env: { ...manager.env, ...options.env } })
  const heard = (what: RegExp) =>
    until(
      async () => (await manager.notices()).find((notice) => what.test(notice)),
      `the service manager hears ${what}`,
    )
  return { manager, town, agents, heard }
}

describe('the service manager', () => {
  it('hears of start, task, reload and end; the CLI does not know of it', async () => {
    const { manager, town, agents, heard } = await watched({ watchdogMs: 300 })
    const daemon = await town.worker('--cli', 'fake', '--drain-timeout', '1m')
    await heard(/READY=1/)
    const id = await assign(town, 'mend the roof')
    const run = await agents.next()
    await heard(new RegExp(`STATUS=worker-1: working on ${id.slice(0, 8)}: mend the roof$`))
    const names = Object.keys(run.hello.env)
    expect(names.filter((name) => /NOTIFY|WATCHDOG/.test(name))).toEqual([])
    daemon.signal('SIGHUP')
    await heard(/RELOADING=1\|MONOTONIC_USEC=\d+/)
    daemon.signal('SIGTERM')
    await heard(/STOPPING=1\|EXTEND_TIMEOUT_USEC=90000000/)
    await run.stdout('done')
    await run.exit(0)
    expect(await daemon.exit).toBe(0)
    const notices = await manager.notices()
    const states = notices.flatMap((notice) => /^(?:READY|RELOADING|STOPPING)/.exec(notice)?.[0] ?? [])
    expect(states).toEqual(['READY', 'RELOADING', 'READY', 'STOPPING'])
    expect(notices).toContain(FED)
    expect(notices.findLast((notice) => notice.includes('STATUS='))).toMatch(/STATUS=worker-1: draining$/)
  })

  it('that cannot be told is complained of once, and the work goes on', async () => {
    const { town, agents } = await watched({ watchdogMs: 300, body: 'echo nobody listens; exit 1' })
    const daemon = await town.worker('--cli', 'fake')
    const id = await assign(town, 'a')
    const run = await agents.next()
    await run.stdout('done')
    await run.exit(0)
    expect((await ended(town, id)).state).toBe('completed')
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(daemon.stderr().match(/systemd-notify failed: nobody listens/g)).toHaveLength(1)
  })

  it('that hangs does not hold the worker up', async () => {
    const { town, agents } = await watched({ body: 'exec sleep 600' })
    const daemon = await town.worker('--cli', 'fake')
    await assign(town, 'a')
    await (await agents.next()).exit(1)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    expect(daemon.stderr()).toMatch(/the service manager is not told: systemd-notify failed: /)
  })
})

describe('a start under a service manager', () => {
  it('waits until the lease of a dead holder has run out, where it cannot be told to be dead', async () => {
    const { manager, town } = await watched()
    const lease = ['--lease-ms', '2000']
    const first = await town.worker('--cli', 'fake', ...lease)
    const redis = await town.redis()
    const { id } = await agentOf(town)
    const { record, lease: key } = town.keys.agent(id)
    // As after a crash of another machine: nobody here can tell whether that process lives.
    first.signal('SIGKILL')
    await first.exit
    await redis.hset(record, 'host', 'elsewhere')
    await redis.pexpire(key, 10_000)
    const second = town.start('--cli', 'fake', ...lease)
    await second.says(/the name worker-1 is held by pid \d+ on elsewhere: waiting/)
    await second.says(/starting -> idle/)
    second.signal('SIGTERM')
    expect(await second.exit).toBe(0)
    expect((await manager.notices()).some((notice) => notice.includes('READY=1'))).toBe(true)
  })

  it('ends with 75 where the holder lives', async () => {
    const { town } = await watched()
    const lease = ['--lease-ms', '2000']
    await town.worker('--cli', 'fake', ...lease)
    const second = town.start('--cli', 'fake', ...lease)
    expect(await second.exit).toBe(75)
    expect(second.stderr()).toMatch(/is held by[\s\S]*in use by a live worker/)
  })
})

describe('a stop under a service manager', () => {
  it("leaves what the town's own server holds on the disk: systemd kills that server next", async () => {
    const { town } = await watched()
    const daemon = await town.worker('--cli', 'fake')
    const redis = await town.redis()
    await redis.set('kept', 'yes')
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
    process.kill(Number(await readFile(join(town.root, '.tt/redis.pid'), 'utf8')), 'SIGKILL')
    await town.cli('redis', 'start')
    expect(await (await town.redis()).get('kept')).toBe('yes')
  })
})

describe("systemd's watchdog", () => {
  it('35: is fed no more when the claim loop is wedged while all else goes on, and again when it turns', async () => {
    const env = { NODE_OPTIONS: `--import=${WEDGE}` }
    const { manager, town, heard } = await watched({ watchdogMs: 600, env })
    const daemon = await town.worker('--cli', 'fake')
    await heard(/WATCHDOG=1/)
    daemon.signal('SIGUSR2')
    await daemon.says(/the claim loop is wedged/)
    await until(() => /watchdog is fed no more/.test(daemon.stderr()), 'the watchdog is starved', 50_000)
    await heard(/^STATUS=the claim loop is wedged: worker-1$/)

    // The heart goes on: its beats stand in the record.
    const redis = await town.redis()
    const { lease: key } = town.keys.agent((await agentOf(town)).id)
    const lease = () => redis.pttl(key)
    const before = await lease()
    await until(async () => (await lease()) > before, 'the lease is renewed')
    expect((await manager.notices()).at(-1)).toBe('STATUS=the claim loop is wedged: worker-1')

    daemon.signal('SIGUSR2')
    await heard(/^WATCHDOG=1\|STATUS=worker-1: idle$/)
    daemon.signal('SIGTERM')
    expect(await daemon.exit).toBe(0)
  })
})
