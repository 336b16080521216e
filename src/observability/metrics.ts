import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { monotonicMs } from '../base/clock.ts'
import type { WorkerEvent } from '../domain/worker-event.ts'

/** From an immediate refusal to the longest run of an agent. */
const RUN_BUCKETS = [1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400]
const WAIT_BUCKETS = [0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400]
const DISPATCH_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const ROUND_TRIP_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5]

const LABELS = ['agent', 'cli'] as const
type Labels = Readonly<Record<(typeof LABELS)[number], string>>

/** What is read of an agent when somebody asks for the metrics. */
export interface Sample {
  readonly agent: string
  readonly ready: boolean
  readonly circuitClosed: boolean
  /** How often it was registered before: restarts of its worker, and returns after a Redis that had lost its data. */
  readonly restarts: number
  readonly queues?: {
    readonly inbox: number
    readonly urgent: number
    readonly delayed: number
    readonly inFlight: number
  }
}

/** The figures of the agents of one process, in the words of Prometheus: base units, and `agent` and `cli` as labels. */
export class Metrics {
  readonly registry = new Registry()
  readonly #cli: string
  /** By agent: each has one run in hand. */
  readonly #claimedAt = new Map<string, number>()
  readonly #tasks = this.#counter('tasks_total', 'Tasks that ended, by outcome and reason.', [
    'outcome',
    'reason',
  ])
  readonly #runs = this.#counter('runs_total', 'Runs of the CLI, by outcome and reason.', [
    'outcome',
    'reason',
  ])
  readonly #retries = this.#counter('retries_total', 'Runs that failed and are made again, by reason.', [
    'reason',
  ])
  readonly #tokens = this.#counter('tokens_total', 'Tokens that the CLI reported, by kind.', ['kind'])
  readonly #cost = this.#counter('cost_usd_total', 'What the runs cost, in US dollars, where the CLI tells.')
  readonly #deadLetters = this.#counter(
    'dead_letters_total',
    'Messages that went to the dead letters unread.',
  )
  readonly #recovered = this.#counter(
    'peers_recovered_total',
    'Dead peers whose tasks this worker gave back.',
  )
  readonly #runSeconds = this.#histogram('run_seconds', 'How long a run of the CLI took.', RUN_BUCKETS, [
    'outcome',
  ])
  readonly #queueSeconds = this.#histogram(
    'queue_wait_seconds',
    'From the sending of a message to the start of its attempt.',
    WAIT_BUCKETS,
  )
  readonly #dispatchSeconds = this.#histogram(
    'dispatch_seconds',
    'From the claim of a message to the start of the CLI.',
    DISPATCH_BUCKETS,
  )
  readonly #roundTrip = new Histogram({
    name: 'tinytown_worker_redis_round_trip_seconds',
    help: 'How long Redis took to answer one look at the queues.',
    buckets: ROUND_TRIP_BUCKETS,
    registers: [this.registry],
  })
  readonly #inbox = this.#gauge('inbox_depth', 'Messages that wait, by queue.', ['queue'])
  readonly #inFlight = this.#gauge('in_flight', 'Messages that are claimed and not settled.')
  readonly #ready = this.#gauge('ready', '1 when the agent could start a task now.')
  readonly #circuit = this.#gauge('circuit_closed', '1 when the CLI is given tasks.')
  readonly #restarts = this.#gauge('restarts', 'How often the agent was registered before.')
  readonly #state = this.#gauge('state', '1 for the state that the agent is in.', ['state'])

  constructor({ cli, version }: { cli: string; version: string }) {
    this.#cli = cli
    collectDefaultMetrics({ register: this.registry })
    new Gauge({
      name: 'tinytown_worker_info',
      help: 'The version of the worker.',
      labelNames: ['version', 'cli'],
      registers: [this.registry],
    }).set({ version, cli }, 1)
  }

  /** Counts what an agent tells. */
  tell(agent: string, event: WorkerEvent): void {
    const labels = { agent, cli: this.#cli }
    switch (event.type) {
      case 'state':
        this.#state.set({ ...labels, state: event.from }, 0)
        this.#state.set({ ...labels, state: event.to }, 1)
        break
      case 'task-claimed':
        this.#claimedAt.set(agent, monotonicMs())
        break
      case 'task-started':
        this.#queueSeconds.observe(labels, event.queueMs / 1000)
        break
      case 'run-started': {
        const claimedAt = this.#claimedAt.get(agent)
        if (claimedAt !== undefined) this.#dispatchSeconds.observe(labels, (monotonicMs() - claimedAt) / 1000)
        break
      }
      case 'run-ended':
        this.#runEnded(labels, event)
        break
      case 'task-settled':
        this.#tasks.inc({ ...labels, outcome: event.state, reason: event.reason ?? '' })
        break
      case 'task-lost':
        this.#tasks.inc({ ...labels, outcome: 'failed', reason: 'crashed' })
        break
      case 'task-retried':
        this.#retries.inc({ ...labels, reason: event.reason })
        break
      case 'message-put-aside':
        this.#deadLetters.inc(labels)
        break
      case 'peer-recovered':
        this.#recovered.inc(labels)
        break
    }
  }

  /** Takes the figures that stand in Redis. `roundTripMs`: how long the look took; absent when Redis did not answer. */
  sample(samples: readonly Sample[], roundTripMs?: number): void {
    // An agent whose name was found is no longer known by that of its pool.
    for (const gauge of [this.#ready, this.#circuit, this.#restarts]) gauge.reset()
    if (roundTripMs !== undefined) this.#roundTrip.observe(roundTripMs / 1000)
    for (const { agent, queues, ready, circuitClosed, restarts } of samples) {
      const labels = { agent, cli: this.#cli }
      this.#ready.set(labels, Number(ready))
      this.#circuit.set(labels, Number(circuitClosed))
      this.#restarts.set(labels, restarts)
      if (!queues) continue
      const { inbox, urgent, delayed, inFlight } = queues
      for (const [queue, depth] of Object.entries({ inbox, urgent, delayed }))
        this.#inbox.set({ ...labels, queue }, depth)
      this.#inFlight.set(labels, inFlight)
    }
  }

  #runEnded(labels: Labels, event: Extract<WorkerEvent, { type: 'run-ended' }>): void {
    const { outcome, reason = '', facts } = event
    this.#runs.inc({ ...labels, outcome, reason })
    if (!facts) return
    this.#runSeconds.observe({ ...labels, outcome }, facts.durationMs / 1000)
    this.#cost.inc(labels, facts.costUsd ?? 0)
    const tokens = {
      input: facts.inputTokens,
      cached_input: facts.cachedInputTokens,
      output: facts.outputTokens,
    }
    for (const [kind, count = 0] of Object.entries(tokens)) this.#tokens.inc({ ...labels, kind }, count)
  }

  #counter(name: string, help: string, more: string[] = []): Counter {
    return new Counter({
      name: `tinytown_worker_${name}`,
      help,
      labelNames: [...LABELS, ...more],
      registers: [this.registry],
    })
  }

  #gauge(name: string, help: string, more: string[] = []): Gauge {
    return new Gauge({
      name: `tinytown_worker_${name}`,
      help,
      labelNames: [...LABELS, ...more],
      registers: [this.registry],
    })
  }

  #histogram(name: string, help: string, buckets: number[], more: string[] = []): Histogram {
    return new Histogram({
      name: `tinytown_worker_${name}`,
      help,
      buckets,
      labelNames: [...LABELS, ...more],
      registers: [this.registry],
    })
  }
}
