import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTownFile } from '../../src/config/file.ts'
import { resolveSettings } from '../../src/config/resolve.ts'
import { lineOfKey } from '../../src/config/toml-text.ts'
import { WorkerError } from '../../src/domain/errors.ts'

let folder: string
let path: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-file-'))
  path = join(folder, 'tinytown.toml')
})
afterAll(() => rmSync(folder, { recursive: true }))

function read(...lines: string[]) {
  writeFileSync(path, lines.join('\n'))
  const file = readTownFile(path, ['builtin'])
  if (file === null) throw new Error('the file was not read')
  return file
}

/** The message with FILE for the path, and the remedy. */
function errorOf(...lines: string[]) {
  try {
    read(...lines)
  } catch (error) {
    if (!(error instanceof WorkerError)) throw error
    expect(error.code).toBe('config')
    return { message: error.message.replaceAll(path, 'FILE'), remedy: error.remedy }
  }
  throw new Error('nothing was thrown')
}

describe('readTownFile', () => {
  it('returns null when there is no file', () => {
    expect(readTownFile(join(folder, 'missing.toml'), [])).toBeNull()
  })

  it('tells when the file cannot be read', () => {
    expect(() => readTownFile(folder, [])).toThrow(`Cannot read ${folder}: EISDIR`)
  })

  it('reads a file of upstream without a warning', () => {
    const file = read(
      '\uFEFFname = "demo-main"',
      'default_cli = "claude"',
      'max_agents = 10',
      'use_central_redis = true',
      'use_streams = false',
      '[redis]',
      'use_socket = false',
      'socket_path = ".tt/redis.sock"',
      'port = 16379',
      'aof_path = ".tt/redis.aof"',
      'tls_cert = "x"',
      'bind = "127.0.0.1"',
      '[townhall]',
      'rest_port = 8080',
      '[agent]',
      'idle_timeout_secs = 300',
      '[agent_clis.aider]',
      'name = "aider"',
      'command = "aider --yes --message"',
      '[agent_clis.aider.env]',
    )
    expect(file.warnings).toEqual([])
    expect(file.values).toEqual({
      name: 'demo-main',
      default_cli: 'claude',
      use_central_redis: true,
      'redis.bind': '127.0.0.1',
      'redis.tls_cert': 'x',
      'redis.use_socket': false,
      'redis.socket_path': '.tt/redis.sock',
      'redis.port': 16379,
    })
    expect(file.agentClis.aider).toMatchObject({
      id: 'aider',
      command: { program: 'aider', args: ['--yes', '--message'] },
    })
  })

  it('takes an empty file', () => {
    expect(read('')).toMatchObject({ path, values: {}, agentClis: {}, warnings: [] })
  })

  it.each([
    [['name = demo'], 'Malformed TOML in FILE, line 1, column 8: invalid value\n  name = demo'],
    [
      ['[worker]', 'lease_ms = 1', 'lease_ms = 2'],
      'Malformed TOML in FILE, line 3, column 1: trying to redefine an already defined value\n  lease_ms = 2',
    ],
    [
      ['[worker'],
      'Malformed TOML in FILE, line 1, column 8: incomplete key-value: cannot find end of key\n  [worker',
    ],
    [['name = "a'], 'Malformed TOML in FILE, line 1, column 8: unfinished string\n  name = "a'],
  ])('tells where TOML is malformed: %j', (lines, message) => {
    const told = errorOf(...lines).message
    // The wording and the column are the parser's own.
    expect(told.replace(/column \d+: .*/, '')).toBe(message.replace(/column \d+: .*/, ''))
    expect(told).toMatch(/line \d+, column \d+: \w+/)
  })

  it.each([
    [['[redis]', 'password = hunter2']],
    [['[redis]', 'password = "hunter2']],
    [['[redis]', '"password" hunter2']],
    [['redis = { port = x, password = "hunter2" }']],
    [['[redis]', 'url = redis://:hunter2@host']],
    [['[agent_clis.x.env]', 'LOG = "hunter2']],
    [['[agent_clis.x]', 'env = { LOG = "hunter2 }']],
    [['[agent_clis.x]', 'env.LOG = "hunter2']],
    [['[agent_clis.x]', 'env = { LOG = """', 'hunter2 \\q', '""" }']],
    [['[redis]', 'password = """', 'hunter2 \\q', '"""']],
  ])('shows no secret of a malformed line: %j', (lines) => {
    expect(errorOf(...lines).message).not.toContain('hunter2')
  })

  it('refuses an unknown key of [worker] with the nearest known one', () => {
    expect(errorOf('name = "x"', '', '[worker]', 'task_timout = "1h"')).toEqual({
      message: 'Unknown key worker.task_timout, did you mean worker.task_timeout? (FILE:4)',
      remedy: undefined,
    })
  })

  it('lists the known keys when none is near', () => {
    const { message, remedy } = errorOf('[worker]', 'colour = 1')
    expect(message).toBe('Unknown key worker.colour (FILE:2)')
    expect(remedy).toMatch(/^Known keys of \[worker\]: cli, name, role, count, /)
  })

  it.each([
    [['worker = 5'], 'Expected worker to be a table, got 5 (FILE:1)'],
    [['[[redis]]', 'port = 1'], 'Expected redis to be a table, got a list of tables or lists (FILE:1)'],
    [['agent_clis = "x"'], 'Expected agent_clis to be a table of tables, got x (FILE:1)'],
  ])('refuses %j', (lines, message) => {
    expect(errorOf(...lines).message).toBe(message)
  })

  it.each([
    ['env = { REDIS_URL = "redis://:hunter2@host" }', 'env.REDIS_URL', 'REDIS_URL'],
    ['env.TINYTOWN_REDIS_PASSWORD = "hunter2"', 'env.TINYTOWN_REDIS_PASSWORD', 'TINYTOWN_REDIS_PASSWORD'],
    ['pass_env = ["A", "REDIS_URL"]', 'pass_env.1', 'REDIS_URL'],
    ['pass_env = "TINYTOWN_REDIS_PASSWORD"', 'pass_env.0', 'TINYTOWN_REDIS_PASSWORD'],
  ])('keeps the keys to the town from a CLI: %s', (line, key, got) => {
    expect(errorOf('[agent_clis.x]', 'command = "x"', line)).toEqual({
      message: `Expected agent_clis.x.${key} to be names other than REDIS_URL, TINYTOWN_REDIS_PASSWORD, TINYTOWN_REDIS_SENTINEL_PASSWORD, which open the town and are given to no CLI, got ${got} (FILE:3)`,
      remedy: 'A CLI that needs a Redis of its own gets its address under another name',
    })
  })

  it('tells all problems at once', () => {
    expect(
      errorOf('[worker]', 'nam = "x"', '[agent_clis.x]', 'args = 5', 'outptu = "text"').message.split('\n'),
    ).toEqual([
      'Unknown key worker.nam, did you mean worker.name? (FILE:2)',
      'Expected agent_clis.x.args to be a list of texts, got 5 (FILE:4)',
      'Unknown key agent_clis.x.outptu, did you mean agent_clis.x.output? (FILE:5)',
    ])
  })

  it('warns of an unknown key of [redis] and of a top key that looks like a slip', () => {
    const { warnings } = read('[redis]', 'sock_path = "x"', 'zzz = 1', '[workr]', 'lease_ms = 5', '[my_tool]')
    expect(warnings.map((warning) => warning.replaceAll(path, 'FILE'))).toEqual([
      'Unknown key redis.sock_path, did you mean redis.socket_path? (FILE:2)',
      'Unknown key redis.zzz (FILE:3)',
      'Unknown key workr, did you mean worker? (FILE:4)',
    ])
  })
})

describe('the values of a file', () => {
  it.each([
    [
      ['', '[worker]', 'cli = "codex"', 'task_timeout = "soon"'],
      'Expected worker.task_timeout to be a duration like 30s, 10m or 1h, got soon (FILE:4)',
    ],
    [['name = 5'], 'Expected name to be a text, got 5 (FILE:1)'],
    [['[redis]', '', 'port = 99999'], 'Expected redis.port to be at most 65535, got 99999 (FILE:3)'],
    [['redis = { port = 99999 }'], 'Expected redis.port to be at most 65535, got 99999 (FILE:1)'],
    [['default_cli = ["a"]'], 'Expected default_cli to be a text, not empty, got ["a"] (FILE:1)'],
  ])('are refused with their key, rule and place: %j', (lines, message) => {
    const file = read(...lines)
    try {
      resolveSettings({ flags: {}, env: {}, file })
    } catch (error) {
      expect((error as Error).message.replaceAll(path, 'FILE')).toBe(message)
      return
    }
    throw new Error('nothing was thrown')
  })
})

describe('lineOfKey', () => {
  const text = [
    'name = "x"',
    'worker.cli = "a"',
    '[redis]',
    '  port = 1',
    '[agent_clis."my.cli"]',
    'env = { A = "1" }',
    'command="x"',
  ].join('\n')

  it.each([
    [['name'], 1],
    [['worker', 'cli'], 2],
    [['redis'], 3],
    [['redis', 'port'], 4],
    [['agent_clis', 'my.cli', 'env', 'A'], 6],
    [['agent_clis', 'my.cli', 'command'], 7],
    [['agent_clis', 'my.cli', 'prompt'], 5],
    [['other'], null],
  ])('of %j is %s', (key, line) => {
    expect(lineOfKey(text, key)).toBe(line)
  })
})
