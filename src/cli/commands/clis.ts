import { someAtATime } from '../../base/some-at-a-time.ts'
import { type CliProbe, probeCli } from '../../process/probe.ts'
import type { Profile } from '../../process/profile.ts'
import type { Command, Invocation } from '../command.ts'
import { loadContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { jsonFlag } from '../flags.ts'
import { availableProfiles } from '../profile.ts'
import { summary } from '../show.ts'
import { headedTable, type Terminal } from '../terminal.ts'

/** Lists the coding CLIs and whether they are ready. */
export const clis: Command = {
  name: 'clis',
  describe: 'List the coding CLIs that --cli knows: installed, tested, logged in',
  settings: ['town'],
  flags: jsonFlag,
  run: runClis,
}

/** Each asks two questions; Node.js warns of more than ten that listen to one signal. */
const PROBES = 4

interface Row {
  readonly profile: Profile
  readonly probe: CliProbe
}

async function runClis({ flags, env, terminal, signal }: Invocation): Promise<number> {
  const context = loadContext(flags, env)
  const { settings, place } = context
  const options = { env, passEnv: settings.passEnv, cwd: place.root, signal }
  const rows = await someAtATime(availableProfiles(context), PROBES, async (profile) => ({
    profile,
    probe: await probeCli(profile, options),
  }))
  if (settings.json) terminal.json({ clis: rows.map(rowJson) })
  else print(terminal, rows)
  return EXIT.done
}

/** Whether this worker was tested with the version that is installed. */
function isTested({ profile, probe }: Row): boolean {
  return probe.version !== null && profile.version?.tested.includes(probe.version) === true
}

function rowJson(row: Row): object {
  const { profile, probe } = row
  const { id, title, command, install, login, version } = profile
  return {
    id,
    title,
    program: command.program,
    ...probe,
    tested: isTested(row),
    testedVersions: version?.tested ?? [],
    install,
    loginRemedy: login?.remedy ?? null,
  }
}

function print(terminal: Terminal, rows: readonly Row[]): void {
  const cells = rows.map((row) => {
    const { profile, probe } = row
    return [profile.id, summary(profile.title), versionCell(row), loginCell(terminal, row), probe.path ?? '-']
  })
  const [head = '', ...lines] = headedTable(terminal, ['CLI', 'TITLE', 'VERSION', 'LOGIN', 'PATH'], cells)
  terminal.line(head)
  for (const [index, line] of lines.entries()) {
    terminal.line(line)
    const row = rows[index]
    const remedy = row && remedyOf(row)
    if (remedy) terminal.line(terminal.style('gray', `  → ${remedy}`))
  }
}

function versionCell(row: Row): string {
  const { version, path } = row.probe
  if (path === null) return 'not installed'
  if (row.profile.version === null) return '-'
  if (version === null) return 'unknown'
  return isTested(row) || row.profile.version.tested.length === 0 ? version : `${version} (not tested)`
}

function loginCell(terminal: Terminal, { profile, probe }: Row): string {
  if (profile.login === null || probe.path === null) return '-'
  return probe.login === 'no' ? terminal.style('red', 'no') : probe.login
}

function remedyOf({ profile, probe }: Row): string | undefined {
  if (probe.path === null) return profile.install
  const isMute = (profile.version !== null && probe.version === null) || isLoginOpen({ profile, probe })
  const trouble = isMute && probe.detail !== '' ? [summary(probe.detail, 160)] : []
  const remedy = probe.login === 'no' && profile.login ? [profile.login.remedy] : []
  return [...trouble, ...remedy].join('; ') || undefined
}

/** It was asked for its login and did not answer. */
function isLoginOpen({ profile, probe }: Row): boolean {
  return profile.login !== null && probe.login === 'unknown'
}
