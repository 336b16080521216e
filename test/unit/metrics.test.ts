import { expect, it } from 'vitest'
import { Metrics } from '../../src/observability/metrics.ts'

it('forgets an agent by the name of its pool once it has one of its own', async () => {
  const metrics = new Metrics({ cli: 'demo', version: '1' })
  const sample = { ready: false, circuitClosed: true, restarts: 0 }
  metrics.sample([{ ...sample, agent: 'worker-1..worker-3' }])
  expect(await metrics.registry.metrics()).toContain(
    'tinytown_worker_ready{agent="worker-1..worker-3",cli="demo"} 0',
  )
  metrics.sample([{ ...sample, agent: 'worker-2', ready: true }])
  const text = await metrics.registry.metrics()
  expect(text).toContain('tinytown_worker_ready{agent="worker-2",cli="demo"} 1')
  expect(text).not.toContain('worker-1..worker-3')
})
