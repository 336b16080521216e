import { chmod, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { classify } from '../../src/process/classify.ts'
import { OutputReader } from '../../src/process/output-reader.ts'
import { procTable } from '../../src/process/process-table.ts'
import type { Profile } from '../../src/process/profile.ts'
import { census } from '../rig/census.ts'
import { until } from '../rig/until.ts'
import { exitedEnd, gather, useChildren } from './children.ts'

const table = vi.hoisted(() => ({ fails: false }))

// A process table that cannot be read: no file handles are left, or no `ps` can be started.
vi.mock('../../src/process/process-table.ts', async (original) => {
  const real = await original<typeof import('../../src/process/process-table.ts')>()
  const list = () => (table.fails ? Promise.reject(new Error('EMFILE')) : real.systemTable().list())
  return { ...real, systemTable: () => ({ ...real.systemTable(), list }) }
})

const rig = useChildren()
const sh = (code: string) => ({ program: 'sh', args: ['-c', code] })
const plain = {
  id: 'fake',
  command: { program: 'fake', args: [] },
  install: 'get it',
  parseLine: null,
} as unknown as Profile

function readerOf(profile: Profile) {
  return new OutputReader({
    profile,
    show: () => undefined,
    onTerminal: () => undefined,
    onLife: () => undefined,
  })
}

describe('a folder that cannot be entered', () => {
  it.each(['a file', 'a link to itself', 'a name that is too long'])(
    'is told when it is %s',
    async (what) => {
      const path = join(rig.current.folder, what === 'a name that is too long' ? 'x'.repeat(300) : 'place')
      if (what === 'a file') await writeFile(path, '')
      if (what === 'a link to itself') await symlink(path, path)
      const end = await rig.start(sh('exit 0'), { cwd: path }).result
      expect(end).toEqual({ kind: 'not-started', code: 'ENOTDIR', message: `There is no folder ${path}` })
      const limits = { wallMs: 1, stallMs: 1, outputBytes: 0 }
      expect(classify(plain, end, readerOf(plain).finish(), limits)).toMatchObject({
        kind: 'held',
        reason: 'config',
      })
    },
  )
})

describe('a program that cannot be started', () => {
  it('is told apart by its missing interpreter', async () => {
    const path = await rig.script('tool', '#!/no/such/interpreter\n')
    expect(await rig.start({ program: path }).result).toMatchObject({ kind: 'not-started', code: 'ENOENT' })
  })

  it('is told when an argument cannot be one', async () => {
    const end = await rig.start({ program: 'sh', args: ['-c', 'exit 0', 'a\0b'] }).result
    expect(end).toMatchObject({ kind: 'not-started', message: expect.stringContaining('null bytes') })
  })
})

describe('the prompt file', () => {
  it('is for its owner alone, also where one lay already that was for all', async () => {
    const path = join(rig.current.folder, 'prompt.md')
    await writeFile(path, 'an older and longer prompt')
    await chmod(path, 0o666)
    const output = gather()
    const command = {
      ...sh(`cat '${path}'; ls -l '${path}' | cut -c1-10`),
      promptFile: { path, text: 'the prompt\n' },
    }
    expect(await rig.start(command, output).result).toMatchObject({ exitCode: 0 })
    expect(output.bytes().toString()).toBe('the prompt\n-rw-------\n')
    await expect(stat(path)).rejects.toThrow('ENOENT')
  })

  it('does not write through a link', async () => {
    const [path, other] = [join(rig.current.folder, 'prompt.md'), join(rig.current.folder, 'other')]
    await writeFile(other, 'untouched')
    await symlink(other, path)
    const output = gather()
    await rig.start({ ...sh(`cat '${other}'`), promptFile: { path, text: 'x' } }, output).result
    expect(output.bytes().toString()).toBe('untouched')
  })

  it('is no missing program when it cannot be written', async () => {
    const path = join(rig.current.folder, 'no', 'prompt.md')
    const end = await rig.start({ ...sh('exit 0'), promptFile: { path, text: 'x' } }).result
    expect(
      classify(plain, end, readerOf(plain).finish(), { wallMs: 1, stallMs: 1, outputBytes: 0 }),
    ).toMatchObject({
      kind: 'held',
      reason: 'config',
      detail: expect.stringMatching(
        /the prompt cannot be written: .*; make \.tt\/tasks of the town writable/,
      ),
    })
  })
})

describe('a run whose surroundings fail it', () => {
  it('settles although the consumer never comes back', async () => {
    const child = rig.start(sh('echo x; exit 0'), { onOutput: () => new Promise(() => undefined) })
    expect(await child.result).toMatchObject({ exitCode: 0, endedBy: null })
  })

  it('kills the group when processes cannot be listed', async () => {
    const child = rig.start(sh('trap "" TERM; sleep 1000 & echo up > up; wait'))
    await rig.sign('up')
    table.fails = true
    child.end('cancelled')
    try {
      expect(await child.result).toMatchObject({ endedBy: 'cancelled', signal: 'SIGKILL' })
    } finally {
      table.fails = false
    }
    await until(() => census(rig.current).length === 0, 'the group is gone')
  })

  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

  it('leaves no timer behind when nothing could be started', async () => {
    for (const child of [
      rig.start({ program: '/no/such/program' }),
      rig.start(sh('exit 0'), { cwd: '/no' }),
    ]) {
      expect(await child.result).toMatchObject({ kind: 'not-started' })
      const before = timers()
      // As at the end of its output, and by whoever resumes the agent.
      child.alive()
      child.setPaused('SIGSTOP')
      child.setPaused(null)
      expect(timers()).toBeLessThanOrEqual(before)
    }
  })

  it('leaves no timer behind when the last line, which has no line end, ends the turn', async () => {
    const before = timers()
    const profile = { ...plain, parseLine: () => [{ type: 'end', ok: true }] } as Profile
    const child = rig.start(sh('printf last'), {
      limits: { stallMs: 60_000 },
      onOutput: (stream, chunk) => reader.push(stream, chunk),
    })
    const reader = new OutputReader({
      profile,
      show: () => undefined,
      onTerminal: () => child.markTerminal(),
      onLife: () => child.alive(),
    })
    await child.result
    expect(reader.finish().report.ended).toEqual({ ok: true })
    // One that was there before, of the test runner say, may have run out meanwhile.
    expect(timers()).toBeLessThanOrEqual(before)
  })

  it('does not take a line that is too long to be read for silence', () => {
    let signs = 0
    const reader = new OutputReader({
      profile: { ...plain, parseLine: () => [{ type: 'notice', text: 'again' }] } as Profile,
      show: () => undefined,
      onTerminal: () => undefined,
      onLife: () => {
        signs += 1
      },
    })
    reader.push('stdout', Buffer.from('a notice\n'))
    expect(signs).toBe(0)
    reader.push('stdout', Buffer.alloc(17 * 1024 * 1024, 'x'))
    reader.push('stdout', Buffer.from('\n'))
    expect(signs).toBe(1)
  })
})

describe('the output of a run', () => {
  it('is held back in the child while nobody takes it', async () => {
    let taken = 0
    let open = false
    const child = rig.start(
      {
        args: [
          '-e',
          'const b=Buffer.alloc(1<<16);let n=0;const w=()=>{while(n<2000&&process.stdout.write(b))n++;require("fs").writeFileSync("written",String(n*b.length))};process.stdout.on("drain",()=>{n++;w()});w()',
        ],
      },
      {
        onOutput: async (_, chunk) => {
          taken += chunk.length
          await until(() => open, 'the consumer is ready')
        },
      },
    )
    const written = Number(await rig.sign('written'))
    // 131 MB are to come; what is written is in the pipe and in the two processes' own buffers.
    expect(written - taken).toBeLessThan(2_000_000)
    expect(taken).toBeLessThan(1_000_000)
    child.end('cancelled')
    open = true
    await child.result
    expect(taken).toBeLessThan(3_000_000)
  })

  it('is read to its end although a helper that was missed holds it open', async () => {
    // Without the mark, its parents and its group there is no way to know whose it is.
    const output = gather()
    const mark = newId()
    const code = `(setsid env -i MARK=${mark} sh -c 'echo $$ > helper; exec sleep 30' &) ; while [ ! -s helper ]; do sleep 0.02; done; echo answer`
    const end = exitedEnd(await rig.start(sh(code), output).result)
    const pid = Number(await rig.sign('helper'))
    process.kill(pid, 'SIGKILL')
    expect(end).toMatchObject({ exitCode: 0, endedBy: null })
    expect(output.bytes().toString()).toBe('answer\n')
    await until(() => !procTable.carries(pid, [`MARK=${mark}`]), 'the helper is gone')
  })
})
