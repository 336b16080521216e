import type { CustomCli } from '../src/config/custom-cli.ts'
import type { Profile } from '../src/process/profile.ts'

/** A CLI of which nothing is known but its command: everything on stdout is the answer. */
const PLAIN = {
  title: 'a CLI of tinytown.toml',
  env: { pass: [], set: {} },
  version: null,
  login: null,
  upstreamCommands: [],
  parseLine: null,
  terminalEvent: false,
  failures: [],
  exitGraceMs: 15_000,
} as const satisfies Partial<Profile>

/**
 * Makes a profile of an [agent_clis.NAME] table. Without a command, or with the command that Tinytown itself presets for a
 * built-in CLI, the table adds to that CLI's profile; otherwise it stands for itself, and `output` says how it is read.
 */
export function customProfile(cli: CustomCli, builtIn: readonly Profile[]): Profile {
  const same = builtIn.find(({ id }) => id === cli.id)
  const line = cli.command ? [cli.command.program, ...cli.command.args].join(' ') : null
  if (same && (line === null || same.upstreamCommands.includes(line)))
    return { ...same, ...additions(cli, same) }
  const spoken = builtIn.find(({ id }) => id === cli.output)
  const program = cli.command?.program ?? cli.id
  const base: Profile = {
    ...PLAIN,
    ...(spoken ? languageOf(spoken) : {}),
    id: cli.id,
    title: cli.name,
    command: { program, args: cli.command?.args ?? [] },
    prompt: { via: 'stdin' },
    install: `install ${program}, or give its path as agent_clis.${cli.id}.command`,
  }
  return { ...base, ...additions(cli, base) }
}

/** What belongs to the form of the output and not to the program. */
function languageOf(spoken: Profile): Partial<Profile> {
  const { parseLine, terminalEvent, failures, stderrFailures, exitCodes, resetsAt, exitGraceMs, env } = spoken
  return {
    parseLine,
    terminalEvent,
    failures,
    exitGraceMs,
    env,
    ...(stderrFailures ? { stderrFailures } : {}),
    ...(exitCodes ? { exitCodes } : {}),
    ...(resetsAt ? { resetsAt } : {}),
  }
}

function additions(cli: CustomCli, base: Profile): Partial<Profile> {
  return {
    command: { program: base.command.program, args: [...base.command.args, ...cli.args] },
    env: { pass: [...base.env.pass, ...cli.passEnv], set: { ...base.env.set, ...cli.env } },
    ...(cli.prompt
      ? { prompt: { via: cli.prompt, ...(cli.promptFlag ? { flag: cli.promptFlag } : {}) } }
      : {}),
    ...(cli.exitCodes ? { exitCodes: { ...base.exitCodes, ...cli.exitCodes } } : {}),
    ...(cli.versionArgs ? { version: { args: cli.versionArgs, tested: base.version?.tested ?? [] } } : {}),
    ...(cli.workdir ? { workdir: cli.workdir } : {}),
    ...(cli.timeoutMs ? { timeoutMs: cli.timeoutMs } : {}),
  }
}
