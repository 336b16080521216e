import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { givenValue, resolveSettings } from '../../src/config/resolve.ts'
import { locateTown, locateWorkdir, rememberName, townName } from '../../src/config/town.ts'
import { brokenTownNameRule, derivedTownName, townNameWarning } from '../../src/config/town-name.ts'

let base: string
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'config-town-')))
})
afterEach(() => rmSync(base, { recursive: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(base, path)), { recursive: true })
  writeFileSync(join(base, path), text)
}

function folder(path: string): string {
  mkdirSync(join(base, path), { recursive: true })
  return join(base, path)
}

/** The town seen from `cwd`, with the flag `--town` when there is one. */
function locate(cwd: string, town?: string, env: Record<string, string> = {}) {
  return locateTown({ cwd, explicit: givenValue('town', { flags: { town }, env, file: null }) })
}

describe('locateTown', () => {
  it('takes the nearest folder upwards with a tinytown.toml, also when a git repository is nearer', () => {
    write('town/tinytown.toml', '')
    write('town/repo/.git/HEAD', 'ref: refs/heads/main\n')
    const root = join(base, 'town')
    expect(locate(folder('town/repo/src'))).toEqual({
      root,
      file: join(root, 'tinytown.toml'),
      rememberedName: null,
      nameFromGit: null,
    })
  })

  it('takes the git repository else, with a name of folder and branch', () => {
    write('repo/.git/HEAD', 'ref: refs/heads/feature/new thing\n')
    expect(locate(folder('repo/src/deep'))).toEqual({
      root: join(base, 'repo'),
      file: null,
      rememberedName: null,
      nameFromGit: 'repo-feature-new-thing',
    })
  })

  it('takes the current folder else', () => {
    expect(locate(folder('plain'))).toEqual({
      root: join(base, 'plain'),
      file: null,
      rememberedName: null,
      nameFromGit: null,
    })
  })

  it('takes an explicit folder before everything, relative to the current one', () => {
    write('town/tinytown.toml', '')
    write('other/.git/HEAD', 'ref: refs/heads/main\n')
    expect(locate(join(base, 'town'), '../other')).toEqual({
      root: join(base, 'other'),
      file: null,
      rememberedName: null,
      nameFromGit: 'other-main',
    })
    expect(locate(base, undefined, { TINYTOWN_TOWN_DIR: join(base, 'town') }).file).toBe(
      join(base, 'town/tinytown.toml'),
    )
  })

  it('is the same town by a symbolic link', () => {
    symlinkSync(folder('town'), join(base, 'link'))
    expect(locate(base, 'link').root).toBe(join(base, 'town'))
  })

  it('refuses an explicit folder that does not exist, or is a file', () => {
    write('file', '')
    expect(() => locate(base, 'gone')).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: `Expected town to be a folder that exists, got ${base}/gone (--town)`,
        remedy: `Make it first: mkdir -p ${base}/gone`,
      }),
    )
    expect(() => locate(base, undefined, { TINYTOWN_TOWN_DIR: 'file' })).toThrow(
      expect.objectContaining({
        code: 'config',
        message: `Expected town to be a folder that exists, got ${base}/file (TINYTOWN_TOWN_DIR)`,
      }),
    )
    expect(() => locate(base, 'file/deeper')).toThrow('a folder that exists')
  })
})

describe('a tinytown.toml that is no file', () => {
  it('is told instead of passed over', () => {
    folder('town/tinytown.toml')
    expect(() => locate(join(base, 'town'))).toThrow(
      expect.objectContaining({
        code: 'config',
        message: `Expected ${base}/town/tinytown.toml to be a file, got a folder`,
        remedy: expect.stringMatching(/Remove it/),
      }),
    )
    symlinkSync('gone', join(folder('other'), 'tinytown.toml'))
    expect(() => locate(join(base, 'other'))).toThrow(
      'to be a file, got something else, or a link to nothing',
    )
  })
})

describe('the name from git', () => {
  it.each([
    ['ref: refs/heads/main\n', 'repo-main'],
    ['ref: refs/heads/fix/a\n', 'repo-fix-a'],
    ['0123456789abcdef0123456789abcdef01234567\n', 'repo-0123456'],
    [`${'ab'.repeat(32)}\n`, 'repo-abababa'],
    ['ref: refs/heads/.invalid\n', 'repo'],
    ['nonsense', 'repo'],
  ])('of HEAD %j is %s', (head, name) => {
    write('repo/.git/HEAD', head)
    expect(locate(folder('repo')).nameFromGit).toBe(name)
  })

  it('is that of the worktree in a worktree, also by a relative pointer', () => {
    write('repo/.git/HEAD', 'ref: refs/heads/main\n')
    write('repo/.git/worktrees/wt/HEAD', 'ref: refs/heads/topic\n')
    write('wt/.git', `gitdir: ${base}/repo/.git/worktrees/wt\n`)
    write('wt2/.git', 'gitdir: ../repo/.git/worktrees/wt\n')
    expect(locate(folder('wt/src'))).toMatchObject({ root: join(base, 'wt'), nameFromGit: 'wt-topic' })
    expect(locate(join(base, 'wt2')).nameFromGit).toBe('wt2-topic')
  })

  it('does not come from a .git that is no repository', () => {
    folder('repo/.git')
    write('other/.git', 'gitdir: /nowhere\n')
    expect(locate(join(base, 'repo')).nameFromGit).toBeNull()
    expect(locate(join(base, 'other')).nameFromGit).toBeNull()
  })
})

describe('rememberName', () => {
  it('keeps the first name, where there is a folder for it', () => {
    const root = folder('kept')
    rememberName(root, 'too-early')
    expect(locate(root).rememberedName).toBeNull()
    folder('kept/.tt')
    rememberName(root, 'first')
    rememberName(root, 'second')
    expect(locate(root).rememberedName).toBe('first')
    write('kept/.tt/town', 'no name:\n')
    expect(locate(root).rememberedName).toBeNull()
  })
})

describe('town names', () => {
  it('prefers what was set, then what it was before, then git, then the folder', () => {
    const place = { root: '/x/my town', file: null, rememberedName: null, nameFromGit: 'repo-main' }
    expect(townName('set', place)).toBe('set')
    expect(townName('set', { ...place, rememberedName: 'repo-old' })).toBe('set')
    expect(townName(undefined, { ...place, rememberedName: 'repo-old' })).toBe('repo-old')
    expect(townName(undefined, place)).toBe('repo-main')
    expect(townName(undefined, { ...place, nameFromGit: null })).toBe('my-town')
    expect(townName(undefined, { ...place, root: '/', nameFromGit: null })).toBe('town')
  })

  it.each([
    [['task'], 'town-task'],
    [['worker', 'main'], 'town-worker-main'],
    [['events'], 'town-events'],
    [['été'], 't'],
    [['日本'], 'town'],
  ])('derives from %j the name %s', (parts, name) => {
    expect(derivedTownName(parts)).toBe(name)
  })

  it('derives usable names only', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (parts) => {
        const name = derivedTownName(parts)
        expect(brokenTownNameRule(name)).toBeNull()
        expect(townNameWarning(name)).toBeNull()
        expect(name).toMatch(/^[A-Za-z0-9._-]+$/)
      }),
    )
  })

  it.each(['demo', 'demo-main', '{demo}', '{agent}', 'a.b_c', 'été', 'a/b'])('takes %s', (name) => {
    expect(brokenTownNameRule(name)).toBeNull()
  })

  it.each([
    '',
    'a b',
    'a:b',
    'a*',
    'a?',
    '[a]',
    'a\\',
    'a\tb',
    'a\u0001',
    '{a}b',
    '{}',
    '{{a}}',
    '{a b}',
    'inbox',
    'stop',
  ])('refuses %j', (name) => {
    expect(brokenTownNameRule(name)).not.toBeNull()
  })
})

describe('locateWorkdir', () => {
  function workdir(flags: Record<string, unknown>, values: Record<string, unknown> = {}) {
    const lines = { 'worker.workdir': 2 }
    const file = { path: join(base, 'tinytown.toml'), values, lines, agentClis: {}, warnings: [] }
    return locateWorkdir(resolveSettings({ flags, env: {}, file }), {
      cwd: folder('cwd'),
      root: folder('town'),
    })
  }

  it('is the town folder when none is set', () => {
    expect(workdir({})).toBe(join(base, 'town'))
  })

  it('starts at the town folder when the file says it, else at the current folder', () => {
    folder('town/a')
    folder('cwd/a')
    expect(workdir({}, { 'worker.workdir': 'a' })).toBe(join(base, 'town/a'))
    expect(workdir({ workdir: 'a' })).toBe(join(base, 'cwd/a'))
  })

  it('refuses a folder that does not exist', () => {
    expect(() => workdir({ workdir: 'gone' })).toThrow(
      `Expected workdir to be a folder that exists, got ${base}/cwd/gone (--workdir)`,
    )
    expect(() => workdir({}, { 'worker.workdir': 'gone' })).toThrow(
      `Expected worker.workdir to be a folder that exists, got ${base}/town/gone (${base}/tinytown.toml:2)`,
    )
  })
})
