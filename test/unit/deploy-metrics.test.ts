import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { Metrics } from '../../src/observability/metrics.ts'

const read = (path: string) => readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8')

interface Rule {
  alert: string
  expr: string
  annotations: Record<string, string>
}
interface Panel {
  title: string
  targets?: { expr: string; legendFormat: string }[]
}

const rules: Rule[] = parse(read('prometheus/alerts.yml')).groups.flatMap(
  ({ rules: some }: { rules: Rule[] }) => some,
)
const dashboard = JSON.parse(read('grafana/tinytown-workers.json')) as {
  panels: Panel[]
  templating: { list: { name: string; query: string | { query: string } }[] }
}

const { registry } = new Metrics({ cli: 'demo', version: '1' })

/** What a scrape adds. */
const SCRAPED = ['job', 'instance', 'namespace', 'pod', 'le']

/** Every selector in an expression: a metric with the labels in its braces. */
function selectorsIn(expr: string): { metric: string; labels: string[] }[] {
  return [...expr.matchAll(/\b((?:tinytown_worker|nodejs|process)_[a-z0-9_]+)(?:\{([^}]*)\})?/g)].map(
    ([, metric = '', braces = '']) => ({
      metric,
      labels: [...braces.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
    }),
  )
}

/** The labels of a metric as the worker serves it; null when it serves none of that name. */
function labelsOf(name: string): readonly string[] | null {
  const metric =
    registry.getSingleMetric(name) ?? registry.getSingleMetric(name.replace(/_(?:bucket|sum|count)$/, ''))
  return metric ? [...(metric as unknown as { labelNames: string[] }).labelNames, ...SCRAPED] : null
}

/** Every label that an expression groups by, or a text shows. */
function labelsNamedIn(text: string): string[] {
  const grouped = [...text.matchAll(/\b(?:by|on|ignoring|group_left)\s*\(([^)]*)\)/g)].flatMap(
    ([, list = '']) => list.split(','),
  )
  const shown = [...text.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g)].map(([, label = '']) => label)
  return [...grouped, ...shown].map((label) => label.trim()).filter((label) => label !== '')
}

const expressions: [string, string, string[]][] = [
  ...rules.map(({ alert, expr, annotations }): [string, string, string[]] => [
    alert,
    expr,
    Object.values(annotations),
  ]),
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }): [string, string, string[]] => [title, expr, [legendFormat]]),
  ),
  ...dashboard.templating.list.flatMap(({ name, query }): [string, string, string[]][] =>
    typeof query === 'string' ? [] : [[`$${name}`, query.query, [`{{${name}}}`]]],
  ),
]

describe('the alert rules and the dashboard', () => {
  it.each(expressions)('%s asks for metrics and labels that a worker serves: %s', (_, expr, texts) => {
    const selectors = selectorsIn(expr)
    if (!expr.startsWith('up{')) expect(selectors).not.toEqual([])
    const all = new Set(SCRAPED)
    for (const { metric, labels } of selectors) {
      const known = labelsOf(metric)
      expect(known, `${metric} is served`).not.toBeNull()
      for (const label of known ?? []) all.add(label)
      expect(known).toEqual(expect.arrayContaining(labels))
    }
    // Of a join, the labels of either side.
    expect([...all]).toEqual(expect.arrayContaining([expr, ...texts].flatMap(labelsNamedIn)))
  })

  it('show every metric of the worker, on one of the two', () => {
    const used = new Set(expressions.flatMap(([, expr]) => selectorsIn(expr).map(({ metric }) => metric)))
    const unused = registry
      .getMetricsAsArray()
      .map(({ name }) => name)
      .filter((name) => name.startsWith('tinytown_worker_'))
      .filter((name) => ![name, `${name}_bucket`].some((one) => used.has(one)))
    expect(unused).toEqual([])
  })

  it('say what each alert means', () => {
    for (const { alert, annotations } of rules) expect(annotations.summary, alert).toMatch(/\S/)
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  })
})
