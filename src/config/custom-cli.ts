import { z } from 'zod'
import { TOLD_REASONS, type ToldReason } from '../domain/outcome.ts'
import { type Command, commandSchema, SCRIPT_REMEDY, shellSyntaxIn } from './command-line.ts'
import { brokenKey, type KeyProblem, shown, unknownKey } from './problem.ts'
import { LONGEST_MS, passedNames, text } from './schemas.ts'
import { NO_TOWN_SECRET, OTHER_NAME_REMEDY, TOWN_SECRETS } from './town-secrets.ts'

/** A CLI as an [agent_clis.NAME] table tells of it. What is absent is for the profile of the CLI to say. */
export interface CustomCli {
  /** The key of the table, by which `--cli` finds it. */
  readonly id: string
  readonly name: string
  /** Null when the table only adds to a built-in CLI. */
  readonly command: Command | null
  /** Arguments that come after those of the command. */
  readonly args: readonly string[]
  /** As written: relative to the town folder. */
  readonly workdir?: string | undefined
  readonly env: Readonly<Record<string, string>>
  /** How the prompt reaches the CLI. */
  readonly prompt?: 'stdin' | 'argument' | 'file' | undefined
  /** The flag before the prompt, or before the path of its file. */
  readonly promptFlag?: string | undefined
  /** How to read what the CLI prints. */
  readonly output?: 'text' | 'codex' | 'claude' | undefined
  readonly timeoutMs?: number | undefined
  /** The arguments with which it tells its version. */
  readonly versionArgs?: readonly string[] | undefined
  /** Names of environment variables that this CLI gets besides those that every CLI gets. */
  readonly passEnv: readonly string[]
  /** What its exit codes mean. */
  readonly exitCodes?: Readonly<Record<number, ToldReason>> | undefined
}

const ID = /^[A-Za-z0-9._-]{1,64}$/
const LONGEST_SECONDS = LONGEST_MS / 1000
const SECONDS_RULE = `a number of seconds above 0, at most ${LONGEST_SECONDS} (24 days)`
const TEXTS_RULE = 'a list of texts'
const ENV_RULE = 'a table of texts'
const CODE_RULE = 'an exit code, 1 to 255'
const REASON_RULE = `one of ${TOLD_REASONS.join(', ')}`
const EXIT_CODES_RULE = 'a table of exit codes and what they mean, such as { 77 = "auth" }'

const argument = z.string(TEXTS_RULE).refine((value) => !value.includes('\0'), 'texts without NUL characters')

const tableSchema = z.strictObject(
  {
    name: text.optional(),
    command: commandSchema.optional(),
    args: z.array(argument, TEXTS_RULE).default([]),
    workdir: text.optional(),
    env: z
      .record(
        z
          .string()
          .regex(/^[^=\0]+$/, 'a table whose keys are names of variables')
          .refine((name) => !TOWN_SECRETS.includes(name), NO_TOWN_SECRET),
        z.string('a text').refine((value) => !value.includes('\0'), 'a text without NUL characters'),
        ENV_RULE,
      )
      .default({}),
    prompt: z.enum(['stdin', 'argument', 'file'], 'one of stdin, argument, file').optional(),
    prompt_flag: text.optional(),
    output: z.enum(['text', 'codex', 'claude'], 'one of text, codex, claude').optional(),
    timeout_secs: z
      .number(SECONDS_RULE)
      .refine((value) => value > 0 && value <= LONGEST_SECONDS, SECONDS_RULE)
      .optional(),
    pass_env: passedNames.optional(),
    exit_codes: z
      .record(
        z.string().regex(/^([1-9]|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])$/, CODE_RULE),
        z.enum(TOLD_REASONS, REASON_RULE),
        EXIT_CODES_RULE,
      )
      .optional(),
    version_args: z.array(argument, TEXTS_RULE).min(1, 'a list of texts, not empty').optional(),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'a table' : undefined) },
)
type Table = z.output<typeof tableSchema>

/** Reads the [agent_clis] tables, by their keys. `builtIn` are the ids of CLIs that need no command; null = any. */
export function readCustomClis(
  tables: unknown,
  builtIn: readonly string[] | null,
): { clis: Readonly<Record<string, CustomCli>>; problems: readonly KeyProblem[] } {
  if (tables === undefined) return { clis: emptyRecord(), problems: [] }
  if (typeof tables !== 'object' || tables === null || Array.isArray(tables)) {
    return { clis: emptyRecord(), problems: [brokenKey(['agent_clis'], 'a table of tables', shown(tables))] }
  }
  const clis = emptyRecord()
  const problems: KeyProblem[] = []
  for (const [id, table] of Object.entries(tables)) {
    const parsed = tableSchema.safeParse(table)
    if (parsed.success) {
      problems.push(...checkTable(id, parsed.data, builtIn))
      clis[id] = toCustomCli(id, parsed.data)
    } else {
      problems.push(...parsed.error.issues.flatMap((issue) => issueProblems(id, table, issue)))
    }
  }
  return { clis, problems }
}

// Without a prototype, so that a CLI named "constructor" is not found when nobody configured one.
function emptyRecord(): Record<string, CustomCli> {
  return Object.create(null) as Record<string, CustomCli>
}

function toCustomCli(id: string, table: Table): CustomCli {
  return {
    id,
    name: table.name ?? id,
    command: table.command ?? null,
    args: table.args,
    workdir: table.workdir,
    env: table.env,
    prompt: table.prompt,
    promptFlag: table.prompt_flag,
    output: table.output,
    timeoutMs: table.timeout_secs === undefined ? undefined : Math.round(table.timeout_secs * 1000),
    versionArgs: table.version_args,
    exitCodes: table.exit_codes,
    passEnv: table.pass_env ?? [],
  }
}

function checkTable(id: string, table: Table, builtIn: readonly string[] | null): KeyProblem[] {
  const path = ['agent_clis', id]
  const problems: KeyProblem[] = []
  if (!ID.test(id)) {
    problems.push(brokenKey(path, 'named with 1 to 64 letters, digits, ".", "_" or "-"', shown(id)))
  }
  if (table.command === undefined && builtIn?.includes(id) === false) {
    problems.push(brokenKey([...path, 'command'], 'the command of this CLI', 'nothing'))
  }
  if (table.prompt_flag !== undefined && table.prompt !== 'argument' && table.prompt !== 'file') {
    const rule = 'used with prompt = "argument" or prompt = "file"'
    problems.push(brokenKey([...path, 'prompt_flag'], rule, table.prompt ?? 'no prompt'))
  }
  return problems
}

function issueProblems(id: string, table: unknown, issue: z.core.$ZodIssue): KeyProblem[] {
  const path = ['agent_clis', id, ...issue.path.map(String)]
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownKey([...path, key], Object.keys(tableSchema.shape)))
  }
  if (issue.code === 'invalid_key') {
    const rule = issue.issues[0]?.message ?? 'a usable key'
    return [withRemedy(brokenKey(path, rule, shown(path.at(-1))), rule)]
  }
  const value = issue.path.reduce(valueAt, table)
  if (path[2] === 'command' && typeof value === 'string') {
    const got = shellSyntaxIn(value) ?? shown(value)
    return [{ ...brokenKey(path, issue.message, got), remedy: SCRIPT_REMEDY }]
  }
  // The environment of a CLI is where its keys are: of a value only the type is told.
  const got = path[2] === 'env' && path.length > 3 ? kindOf(value) : shown(value)
  return [withRemedy(brokenKey(path, issue.message, got), issue.message)]
}

function withRemedy(problem: KeyProblem, rule: string): KeyProblem {
  return rule === NO_TOWN_SECRET ? { ...problem, remedy: OTHER_NAME_REMEDY } : problem
}

// A comma list is one text in the file and many members after the schema: then the whole of it is shown.
function valueAt(outer: unknown, key: PropertyKey): unknown {
  if (typeof outer !== 'object' || outer === null) return outer
  return (outer as Record<PropertyKey, unknown>)[key] ?? outer
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return 'another text'
  return typeof value === 'object' ? 'a table or list' : `a ${typeof value}`
}
