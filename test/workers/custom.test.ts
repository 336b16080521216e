import { expect, test } from 'vitest'
import { readCustomClis } from '../../src/config/custom-cli.ts'
import { codex } from '../../workers/codex.ts'
import { customProfile } from '../../workers/custom.ts'
import { profiles } from '../../workers/index.ts'

function made(table: Record<string, unknown>) {
  const cli = readCustomClis({ mine: { command: 'mine', ...table } }, []).clis.mine
  if (!cli) throw new Error('The table is refused')
  return customProfile(cli, profiles)
}

test('a CLI that speaks as another is read as that one', () => {
  const { parseLine, terminalEvent, failures, stderrFailures, resetsAt } = codex
  expect(made({ output: 'codex' })).toMatchObject({
    ...{ parseLine, terminalEvent, failures, stderrFailures, resetsAt },
    command: { program: 'mine', args: [] },
  })
})

test('its exit codes mean what the table says', () => {
  expect(made({ exit_codes: { 77: 'auth' } }).exitCodes).toEqual({ 77: 'auth' })
  expect(made({})).not.toHaveProperty('exitCodes')
})
