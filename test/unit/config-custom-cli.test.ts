import { describe, expect, it } from 'vitest'
import { readCustomClis } from '../../src/config/custom-cli.ts'

function problemsOf(table: Record<string, unknown>, id = 'mine'): string[] {
  return readCustomClis({ [id]: table }, ['builtin']).problems.map(({ message }) => message)
}

describe('readCustomClis', () => {
  it('reads a full table', () => {
    const { clis, problems } = readCustomClis(
      {
        mine: {
          name: 'My CLI',
          command: 'agent run -x',
          workdir: 'work',
          env: { LOG: 'debug', EMPTY: '' },
          args: ['--fast', '$HOME'],
          prompt: 'argument',
          prompt_flag: '--message',
          output: 'text',
          timeout_secs: 90.5,
          pass_env: ['A_KEY', 'B_KEY'],
          version_args: ['version'],
          exit_codes: { 77: 'auth', 255: 'overloaded' },
        },
      },
      [],
    )
    expect(problems).toEqual([])
    expect(clis.mine).toEqual({
      id: 'mine',
      name: 'My CLI',
      command: { program: 'agent', args: ['run', '-x'] },
      workdir: 'work',
      env: { LOG: 'debug', EMPTY: '' },
      args: ['--fast', '$HOME'],
      prompt: 'argument',
      promptFlag: '--message',
      output: 'text',
      timeoutMs: 90_500,
      passEnv: ['A_KEY', 'B_KEY'],
      versionArgs: ['version'],
      exitCodes: { 77: 'auth', 255: 'overloaded' },
    })
  })

  it('names a CLI after its table and leaves the rest to its profile', () => {
    const { clis } = readCustomClis({ mine: { command: 'agent' } }, [])
    expect(clis.mine).toEqual({
      id: 'mine',
      name: 'mine',
      command: { program: 'agent', args: [] },
      args: [],
      env: {},
      passEnv: [],
    })
  })

  it('needs no command for a built-in CLI', () => {
    const { clis, problems } = readCustomClis({ builtin: { args: ['-x'] } }, ['builtin'])
    expect(problems).toEqual([])
    expect(clis.builtin).toMatchObject({ command: null, args: ['-x'] })
  })

  it('finds nothing under a name that every object has', () => {
    expect(readCustomClis({}, []).clis.constructor).toBeUndefined()
    expect(readCustomClis(undefined, []).clis.toString).toBeUndefined()
  })

  it.each<[Record<string, unknown>, string]>([
    [{}, 'Expected agent_clis.mine.command to be the command of this CLI, got nothing'],
    [
      { command: 5 },
      'Expected agent_clis.mine.command to be a program and its arguments without shell syntax, got 5',
    ],
    [
      { command: ['a', 'b'] },
      'Expected agent_clis.mine.command to be a program and its arguments without shell syntax, got ["a", "b"]',
    ],
    [
      { command: 'a | b' },
      'Expected agent_clis.mine.command to be a program and its arguments without shell syntax, got the shell operator |',
    ],
    [{ command: 'a', args: 'x' }, 'Expected agent_clis.mine.args to be a list of texts, got x'],
    [{ command: 'a', args: ['x', 5] }, 'Expected agent_clis.mine.args.1 to be a list of texts, got 5'],
    [{ command: 'a', env: { PORT: 80 } }, 'Expected agent_clis.mine.env.PORT to be a text, got a number'],
    [{ command: 'a', env: 'A=b' }, 'Expected agent_clis.mine.env to be a table of texts, got A=****'],
    [
      { command: 'a', env: { 'A=B': 'c' } },
      'Expected agent_clis.mine.env.A=B to be a table whose keys are names of variables, got A=****',
    ],
    [
      { command: 'a', prompt: 'pipe' },
      'Expected agent_clis.mine.prompt to be one of stdin, argument, file, got pipe',
    ],
    [
      { command: 'a', prompt_flag: '-m' },
      'Expected agent_clis.mine.prompt_flag to be used with prompt = "argument" or prompt = "file", got no prompt',
    ],
    [
      { command: 'a', prompt_flag: '-m', prompt: 'stdin' },
      'Expected agent_clis.mine.prompt_flag to be used with prompt = "argument" or prompt = "file", got stdin',
    ],
    [
      { command: 'a', output: 'xml' },
      'Expected agent_clis.mine.output to be one of text, codex, claude, got xml',
    ],
    [
      { command: 'a', timeout_secs: 0 },
      'Expected agent_clis.mine.timeout_secs to be a number of seconds above 0, at most 2073600 (24 days), got 0',
    ],
    [
      { command: 'a', pass_env: 'A,B-C' },
      'Expected agent_clis.mine.pass_env.1 to be names of environment variables like A_KEY,B_KEY, got A,B-C',
    ],
    [
      { command: 'a', version_args: [] },
      'Expected agent_clis.mine.version_args to be a list of texts, not empty, got an empty list',
    ],
    [
      { command: 'a', exit_codes: { 0: 'auth' } },
      'Expected agent_clis.mine.exit_codes.0 to be an exit code, 1 to 255, got 0',
    ],
    [
      { command: 'a', exit_codes: { 256: 'auth' } },
      'Expected agent_clis.mine.exit_codes.256 to be an exit code, 1 to 255, got 256',
    ],
    [
      { command: 'a', exit_codes: { 77: 'stalled' } },
      'Expected agent_clis.mine.exit_codes.77 to be one of auth, quota, rate-limit, overloaded, unreachable, context-too-long, session-lost, permission-denied, not-installed, config, bad-task, got stalled',
    ],
    [
      { command: 'a', exit_codes: 'auth' },
      'Expected agent_clis.mine.exit_codes to be a table of exit codes and what they mean, such as { 77 = "auth" }, got auth',
    ],
    [
      { command: 'a', comand: 'b' },
      'Unknown key agent_clis.mine.comand, did you mean agent_clis.mine.command?',
    ],
  ])('refuses %j', (table, message) => {
    expect(problemsOf(table)).toEqual([message])
  })

  it('refuses a name that cannot stand in a record and a table that is none', () => {
    expect(problemsOf({ command: 'a' }, 'my cli')).toEqual([
      'Expected agent_clis.my cli to be named with 1 to 64 letters, digits, ".", "_" or "-", got my cli',
    ])
    expect(readCustomClis({ mine: 5 }, []).problems[0]?.message).toBe(
      'Expected agent_clis.mine to be a table, got 5',
    )
  })

  it('shows no value of an environment', () => {
    expect(
      problemsOf({ command: 'a', env: { A_KEY: ['hunter2'], B_KEY: 'hunter2\0' } }).join(),
    ).not.toContain('hunter2')
  })
})
