import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** The faults that the worker survives have these numbers, which the titles of their tests begin with. */
const FAULTS = Array.from({ length: 37 }, (_, at) => at + 1)

/** What `npm test` runs; the other suites need more than an npm install. */
const SUITES = ['e2e', 'faults', 'process', 'redis', 'unit', 'workers']

/** A text right behind `it(`, or behind the table of an `it.each(…)(`. */
const TITLE = /(?:\b(?:it|test)(?:\.\w+)*|\))\(\s*(?:'((?:\\.|[^'])*)'|"([^"]*)"|`([^`]*)`)/g

function titlesIn(file: string): string[] {
  const source = readFileSync(ROOT + file, 'utf8')
  return [...source.matchAll(TITLE)].map(([, single, double, tick]) => single ?? double ?? tick ?? '')
}

it('every fault has a test whose title begins with its number', () => {
  const files = SUITES.flatMap((suite) =>
    readdirSync(`${ROOT}test/${suite}`).map((name) => `test/${suite}/${name}`),
  )
  const titles = files.filter((name) => name.endsWith('.test.ts')).flatMap(titlesIn)
  const shown = titles.flatMap(
    (title) => /^(\d+(?:, \d+)*): /.exec(title)?.[1]?.split(', ').map(Number) ?? [],
  )
  expect([...new Set(shown)].sort((a, b) => a - b)).toEqual(FAULTS)
})

it('every test that docs/guarantees.md names is there', () => {
  const text = readFileSync(`${ROOT}docs/guarantees.md`, 'utf8')
  const named = [...text.matchAll(/`(test\/\S+\.test\.ts) › ([^`]+)`/g)]
  expect(named.length).toBeGreaterThan(20)
  const missing = named.filter(
    ([, file = '', title = '']) => !titlesIn(file).some((one) => one.startsWith(title)),
  )
  expect(missing.map(([all]) => all)).toEqual([])
})
