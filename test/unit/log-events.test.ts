import { expect, it } from 'vitest'
import { newId } from '../../src/domain/ids.ts'
import { redactEvent } from '../../src/domain/worker-event.ts'
import { logEvent } from '../../src/observability/log-events.ts'

it('keeps a line of the log short, however long the result is', () => {
  const lines: unknown[] = []
  const take = (...line: unknown[]) => void lines.push(line)
  const result = '😀'.repeat(500_000)
  logEvent(
    { debug: take, info: take, warn: take, error: take },
    { type: 'task-settled', taskId: newId(), attempt: 1, state: 'completed', durationMs: 5, result },
  )
  expect(lines).toEqual([
    [
      expect.objectContaining({
        event: 'task-settled',
        attempt: 1,
        state: 'completed',
        result: `${'😀'.repeat(2048)} […]`,
      }),
      expect.stringMatching(/^task completed in 5ms: 😀+…$/u),
    ],
  ])
})

it('takes secrets out of every text of an event but its type', () => {
  const redact = (text: string) => text.replaceAll('task', '*')
  const event = { type: 'task-started', taskId: newId(), attempt: 1, summary: 'a task', queueMs: 5 } as const
  expect(redactEvent(event, redact)).toEqual({ ...event, summary: 'a *' })
})
