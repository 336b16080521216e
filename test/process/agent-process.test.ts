import { getEventListeners } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { monotonicMs } from '../../src/base/clock.ts'
import { deferred } from '../../src/base/deferred.ts'
import { DRAIN_MS, LEFTOVER_GRACE_MS } from '../../src/process/agent-process.ts'
import { OutputReader } from '../../src/process/output-reader.ts'
import type { Profile } from '../../src/process/profile.ts'
import { isAlive } from '../rig/census.ts'
import { until } from '../rig/until.ts'
import { environmentFor, exitedEnd, gather, useChildren } from './children.ts'

const rig = useChildren()

/** Tells its pid in a file, then stays for ever. */
const IGNORES_TERM = `
process.on('SIGTERM', () => {})
require('node:fs').writeFileSync(process.argv[2] ?? 'up', String(process.pid))
setInterval(() => {}, 1000)
`

const node = (code: string, ...args: string[]) => ({ args: ['-e', code, '--', ...args] })
const sh = (code: string) => ({ program: 'sh', args: ['-c', code] })

describe('how a run ends by itself', () => {
  it.each([
    ['exit 0', { exitCode: 0, signal: null }],
    ['exit 7', { exitCode: 7, signal: null }],
    ['kill -KILL $$', { exitCode: null, signal: 'SIGKILL' }],
    ['kill -SEGV $$', { exitCode: null, signal: 'SIGSEGV' }],
  ])('tells of `%s` what happened', async (code, expected) => {
    const end = exitedEnd(await rig.start(sh(code)).result)
    expect(end).toMatchObject({ ...expected, endedBy: null, leftovers: 0 })
    expect(end.durationMs).toBeGreaterThan(0)
  })

  it('says that the program is missing', async () => {
    const end = await rig.start({ program: '/no/such/program' }).result
    expect(end).toMatchObject({ kind: 'not-started', code: 'ENOENT' })
  })

  it('says that the program may not be executed', async () => {
    const path = await rig.script('plain.txt', 'hello')
    await chmod(path, 0o644)
    expect(await rig.start({ program: path }).result).toMatchObject({ kind: 'not-started', code: 'EACCES' })
  })

  it('tells a missing folder apart from a missing program', async () => {
    const end = await rig.start(sh('exit 0'), { cwd: '/no/such/folder' }).result
    expect(end).toMatchObject({
      kind: 'not-started',
      message: expect.stringContaining('/no/such/folder'),
      code: 'ENOTDIR',
    })
  })

  it('says that a prompt file cannot be written, and starts nothing', async () => {
    const promptFile = { path: join(rig.current.folder, 'no', 'such', 'prompt.md'), text: 'x' }
    const end = await rig.start({ ...sh('touch ran'), promptFile }).result
    expect(end).toMatchObject({ kind: 'not-started', message: expect.stringContaining('prompt.md') })
    expect(existsSync(join(rig.current.folder, 'ran'))).toBe(false)
  })

  it('writes the prompt file before the start and removes it after the end', async () => {
    const path = join(rig.current.folder, 'prompt.md')
    const output = gather()
    const command = { program: 'cat', args: [path], promptFile: { path, text: 'the prompt' } }
    await rig.start(command, output).result
    expect(output.bytes().toString()).toBe('the prompt')
    expect(existsSync(path)).toBe(false)
  })

  it('says that the arguments together are too many for the system', async () => {
    const env = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`V${index}`, 'x'.repeat(100_000)]),
    )
    const end = await rig.start(sh('exit 0'), { env }).result
    expect(end).toMatchObject({ kind: 'not-started', code: 'E2BIG' })
  })
})

describe('what goes in and comes out', () => {
  it('delivers a stdin of 1 MiB whole', async () => {
    const output = gather()
    const stdin = 'äb'.repeat(350_000)
    await rig.start({ program: 'cat', stdin }, output).result
    expect(output.bytes().toString() === stdin).toBe(true)
  })

  it('ends stdin when there is nothing for it', async () => {
    expect(await rig.start({ program: 'cat' }).result).toMatchObject({ exitCode: 0 })
  })

  it('does not mind a child that closes stdin early', async () => {
    const end = await rig.start({ ...sh('exec 0<&-; exit 3'), stdin: 'x'.repeat(1_000_000) }).result
    expect(end).toMatchObject({ exitCode: 3, endedBy: null })
  })

  it('gives the child its environment and nothing else', async () => {
    const output = gather()
    await rig.start({ program: '/usr/bin/env' }, { ...output, env: { ONLY: 'this' } }).result
    expect(output.bytes().toString()).toBe('ONLY=this\n')
  })

  it('delivers 10,000 quick lines in order', async () => {
    const output = gather()
    await rig.start(node('for (let i = 0; i < 10000; i++) console.log(i)'), output).result
    const lines = output.bytes().toString().trim().split('\n')
    expect(lines).toEqual(Array.from({ length: 10_000 }, (_, index) => String(index)))
  })

  it('delivers invalid UTF-8 as it is', async () => {
    const output = gather()
    await rig.start(sh("printf 'a\\377\\376b'"), output).result
    expect([...output.bytes()]).toEqual([97, 255, 254, 98])
  })

  it('keeps the two streams apart', async () => {
    const output = gather()
    await rig.start(sh('echo out; echo err >&2'), output).result
    expect([output.bytes('stdout').toString(), output.bytes('stderr').toString()]).toEqual(['out\n', 'err\n'])
  })

  it('reads no further while the consumer is busy', async () => {
    const gate = deferred()
    let taken = 0
    const child = rig.start(node('process.stdout.write("x".repeat(5e6), () => console.error("through"))'), {
      onOutput: (stream, chunk) => {
        if (stream === 'stderr') return undefined
        taken += chunk.length
        return gate.promise
      },
    })
    await until(() => taken > 0, 'the first chunk came')
    const held = taken
    await new Promise((resolve) => setImmediate(resolve))
    expect(taken).toBe(held)
    expect(held).toBeLessThan(1_000_000)
    gate.resolve()
    await child.result
    expect(taken).toBe(5_000_000)
  })

  it('delivers what is in the pipe at the exit to a consumer that is slow', async () => {
    const output = gather()
    const end = await rig.start(sh('head -c 60000 /dev/zero; exit 0'), {
      onOutput: async (stream, chunk) => {
        await new Promise((resolve) => setTimeout(resolve, 1500))
        return output.onOutput(stream, chunk)
      },
    }).result
    expect(end).toMatchObject({ exitCode: 0 })
    expect(output.bytes().length).toBe(60_000)
  })

  it('stays small while 50 MB come without a line end', async () => {
    const shown: string[] = []
    const reader = new OutputReader({
      profile: { parseLine: () => [] } as unknown as Profile,
      show: (text) => shown.push(text),
      onTerminal: () => undefined,
      onLife: () => undefined,
    })
    const before = process.memoryUsage().rss
    let peak = before
    await rig.start(sh('head -c 50000000 /dev/zero | tr "\\0" x'), {
      onOutput: (stream, chunk) => {
        reader.push(stream, chunk)
        peak = Math.max(peak, process.memoryUsage().rss)
      },
    }).result
    reader.finish()
    expect(shown.join()).toContain('was not read')
    expect(peak - before).toBeLessThan(150_000_000)
  })

  it('ends the run and rejects when the consumer throws: that is a bug, not an end', async () => {
    const child = rig.start(sh('echo x; sleep 1000'), {
      onOutput: () => {
        throw new Error('consumer broke')
      },
    })
    await expect(child.result).rejects.toThrow('consumer broke')
  })
})

describe('what ends a run from outside', () => {
  it('ends a run that takes too long, however much it says', async () => {
    const child = rig.start(sh('while :; do echo x; sleep 0.02; done'), { limits: { wallMs: 300 } })
    expect(await child.result).toMatchObject({ endedBy: 'timeout', signal: 'SIGTERM' })
  })

  it('does not time out at once when the limit is longer than a timer can be', async () => {
    const end = await rig.start(sh('sleep 0.2'), { limits: { wallMs: 40 * 86_400_000 } }).result
    expect(end).toMatchObject({ endedBy: null, exitCode: 0 })
  })

  it('ends a run that is silent for too long', async () => {
    expect(await rig.start(sh('sleep 1000'), { limits: { stallMs: 200 } }).result).toMatchObject({
      endedBy: 'stalled',
    })
  })

  it('begins the silence anew at each sign of life', async () => {
    const child = rig.start(sh('for i in 1 2 3 4 5 6 7 8; do echo x; sleep 0.1; done'), {
      limits: { stallMs: 450 },
      onOutput: () => child.alive(),
    })
    expect(await child.result).toMatchObject({ endedBy: null, exitCode: 0 })
  })

  it('does not take its own slowness for the silence of the child', async () => {
    const child = rig.start(sh('head -c 500000 /dev/zero'), {
      limits: { stallMs: 200 },
      onOutput: async () => {
        child.alive()
        await new Promise((resolve) => setTimeout(resolve, 300))
      },
    })
    expect(await child.result).toMatchObject({ endedBy: null, exitCode: 0 })
  })

  it('keeps the first reason', async () => {
    const child = rig.start(node(IGNORES_TERM))
    await rig.sign('up')
    child.end('cancelled')
    child.end('shutdown')
    child.end('lease-lost')
    expect(await child.result).toMatchObject({ endedBy: 'cancelled', signal: 'SIGKILL' })
  })

  it('ends a child that is told to end right after its start', async () => {
    const child = rig.start(node(IGNORES_TERM))
    child.end('shutdown')
    expect(await child.result).toMatchObject({ endedBy: 'shutdown' })
  })

  it('kills at once on the second call', async () => {
    const child = rig.start(node(IGNORES_TERM), { limits: { killGraceMs: 60_000 } })
    await rig.sign('up')
    child.end('shutdown')
    child.end('shutdown')
    expect(await child.result).toMatchObject({ endedBy: 'shutdown', signal: 'SIGKILL' })
  })

  it('gives a cancelled run less time: whoever cancels wants it gone', async () => {
    const child = rig.start(node(IGNORES_TERM), { limits: { killGraceMs: 60_000 } })
    await rig.sign('up')
    child.end('cancelled')
    expect(await child.result).toMatchObject({ endedBy: 'cancelled', signal: 'SIGKILL' })
  })

  it('does not take a limit that is reached during the grace for a second call', async () => {
    const code = `
      process.on('SIGTERM', () => setTimeout(() => process.exit(9), 700))
      require('node:fs').writeFileSync('up', 'x')
      setInterval(() => {}, 1000)`
    const child = rig.start(node(code), { limits: { killGraceMs: 20_000, wallMs: 900, stallMs: 900 } })
    await rig.sign('up')
    child.end('shutdown')
    expect(await child.result).toMatchObject({ endedBy: 'shutdown', exitCode: 9 })
  })

  it('leaves a run that ended by itself as it ended, whatever comes while its leftovers are ended', async () => {
    const code = `
      process.on('SIGTERM', () => require('node:fs').writeFileSync('asked', 'x'))
      require('node:fs').writeFileSync('up', 'x')
      setInterval(() => {}, 1000)`
    const stays = await rig.script('stays.cjs', code)
    const start = `setsid '${process.execPath}' '${stays}' </dev/null >/dev/null 2>&1 &`
    const child = rig.start(sh(`${start} while [ ! -e up ]; do sleep 0.02; done`), {
      limits: { killGraceMs: 60_000 },
    })
    // The leftover is asked to end only once the exit of the main process is known.
    await rig.sign('asked')
    child.end('shutdown')
    const end = exitedEnd(await child.result)
    expect(end).toMatchObject({ endedBy: null, exitCode: 0 })
    expect(end.leftovers).toBeGreaterThan(0)
  })

  it('leaves no listener behind', async () => {
    const before = process.listenerCount('exit')
    const child = rig.start(sh('exit 0'))
    await child.result
    expect(process.listenerCount('exit')).toBe(before)
    expect(getEventListeners(process, 'SIGTERM').length).toBe(process.listenerCount('SIGTERM'))
  })
})

describe('after the terminal event', () => {
  it('ends a CLI that does not exit, as lingering', async () => {
    const child = rig.start(sh('echo done; sleep 1000'), {
      limits: { exitGraceMs: 100 },
      onOutput: () => child.markTerminal(),
    })
    expect(await child.result).toMatchObject({ endedBy: 'lingering' })
  })

  it('lets a CLI exit by itself in time', async () => {
    const child = rig.start(sh('echo done; sleep 0.1; exit 0'), { onOutput: () => child.markTerminal() })
    expect(await child.result).toMatchObject({ endedBy: null, exitCode: 0 })
  })

  it('has no other limit any more', async () => {
    const child = rig.start(sh('echo done; sleep 0.6'), {
      limits: { wallMs: 300, stallMs: 200 },
      onOutput: () => child.markTerminal(),
    })
    expect(await child.result).toMatchObject({ endedBy: null, exitCode: 0 })
  })

  it.each([
    ['shutdown', 'lingering'],
    ['cancelled', 'cancelled'],
    ['lease-lost', 'lease-lost'],
  ] as const)('counts %s as %s: a turn that is over is not run again', async (why, endedBy) => {
    const child = rig.start(sh('echo done; sleep 1000'), {
      onOutput: () => {
        child.markTerminal()
        child.end(why)
      },
    })
    expect(await child.result).toMatchObject({ endedBy })
  })
})

describe('what a run leaves behind', () => {
  it.each(['cancelled', 'timeout'] as const)(
    '11: ends a whole tree that ignores SIGTERM (%s)',
    async (why) => {
      const stays = await rig.script('stays.cjs', IGNORES_TERM)
      const code = `
      const { spawn } = require('node:child_process')
      process.on('SIGTERM', () => {})
      for (const name of ['a', 'b']) spawn(process.execPath, [${JSON.stringify(stays)}, name], { stdio: 'inherit' })
      spawn(process.execPath, [${JSON.stringify(stays)}, 'c'], { detached: true, stdio: 'inherit' })
      setInterval(() => {}, 1000)`
      const child = rig.start(node(code))
      const pids = await Promise.all(['a', 'b', 'c'].map((name) => rig.sign(name)))
      child.end(why)
      expect(await child.result).toMatchObject({ endedBy: why, signal: 'SIGKILL' })
      expect(pids.map(Number).filter(isAlive)).toEqual([])
    },
  )

  it.each([
    ['in the group', 'sleep 1000 </dev/null >/dev/null 2>&1 &'],
    ['in a session of its own', 'setsid sleep 1000 </dev/null >/dev/null 2>&1 &'],
    ['under nohup', 'nohup sleep 1000 </dev/null >/dev/null 2>&1 &'],
    ['forked twice', '(setsid sh -c "sleep 1000 & sleep 1000 &" </dev/null >/dev/null 2>&1 &)'],
  ])('12, 13: ends after a success a process %s', async (_, code) => {
    const end = exitedEnd(await rig.start(sh(`${code}\nsleep 0.2; exit 0`)).result)
    expect(end).toMatchObject({ exitCode: 0, endedBy: null })
    expect(end.leftovers).toBeGreaterThan(0)
  })

  it('10: is not held up by a grandchild that keeps stdout open', async () => {
    const begun = monotonicMs()
    const output = gather()
    const child = rig.start(sh('setsid sleep 1000 & echo answer; exit 0'), output)
    expect(await child.result).toMatchObject({ exitCode: 0, endedBy: null })
    expect(output.bytes().toString()).toBe('answer\n')
    expect(monotonicMs() - begun).toBeLessThan(4000)
  })

  it('is held up for two seconds at most by a grandchild that ignores SIGTERM', async () => {
    const stays = await rig.script('stays.cjs', IGNORES_TERM)
    const code = `setsid '${process.execPath}' '${stays}' up & while [ ! -e up ]; do sleep 0.02; done; date +%s%3N > gone`
    const child = rig.start(sh(code), { limits: { killGraceMs: 60_000 } })
    await child.result
    expect(Date.now() - Number(await rig.sign('gone'))).toBeLessThan(2500)
  })

  it('10: settles within two seconds of the exit, whatever is left: one that is deaf, and one that nobody finds and that holds stdout', async () => {
    const stays = await rig.script('stays.cjs', IGNORES_TERM)
    const away = (name: string) => `'${process.execPath}' '${stays}' ${name}`
    // A parent that is gone, another session, another environment: no trace leads from it to the run.
    const unfound = `(env -i setsid ${away('unfound')} &)`
    const code = `${unfound}; setsid ${away('deaf')} & until [ -s deaf ] && [ -s unfound ]; do sleep 0.02; done`
    const child = rig.start(sh(code), { limits: { killGraceMs: 60_000 } })
    const end = exitedEnd(await child.result)
    process.kill(Number(await rig.sign('unfound')), 'SIGKILL')
    expect(end).toMatchObject({ exitCode: 0 })
    expect(isAlive(Number(await rig.sign('deaf')))).toBe(false)
    // What is left of the two seconds is for a machine that is busy.
    expect(LEFTOVER_GRACE_MS + DRAIN_MS).toBeLessThanOrEqual(1500)
  })

  it('does not touch the child of another agent that has taken the task over', async () => {
    const { taskId } = rig.current
    const other = rig.start(sh('echo $$ > other; sleep 1000'), { env: environmentFor(taskId, 'agent-2') })
    const pid = Number(await rig.sign('other'))
    const mine = rig.start(sh('sleep 1000'))
    mine.end('lease-lost')
    await mine.result
    expect(isAlive(pid)).toBe(true)
    other.end('shutdown')
    await other.result
  })
})
