import { readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { describeSettings } from '../../src/config/describe.ts'

const README = new URL('../../README.md', import.meta.url)
const [BEGIN, END] = [
  '<!-- settings: written by `UPDATE_README=1 npx vitest run test/unit/readme.test.ts` -->',
  '<!-- /settings -->',
]

function settingsTable(): string {
  const cell = (text: string) => (text ? `\`${text}\`` : '')
  const rows = describeSettings().map(
    ({ flag, env, toml, default: fallback, doc }) =>
      `| ${cell(flag)} | ${cell(env)} | ${cell(toml)} | ${fallback} | ${doc} |`,
  )
  return ['| flag | environment | tinytown.toml | default | |', '|---|---|---|---|---|', ...rows].join('\n')
}

it('shows every setting in the README as the table of settings has it', () => {
  const readme = readFileSync(README, 'utf8')
  const [before = '', rest = ''] = readme.split(BEGIN)
  const [, after = ''] = rest.split(END)
  const wanted = `${before}${BEGIN}\n${settingsTable()}\n${END}${after}`
  if (process.env.UPDATE_README) writeFileSync(README, wanted)
  expect(readFileSync(README, 'utf8')).toBe(wanted)
})
