/**
 * How often a message is run. `at-least-once`: until its task has ended, so again when a worker dies in the middle.
 * `at-most-once`: a run that was started is the only one. `exactly-once`: at least once, and a message whose id was handled within a
 * day is never handled again.
 */
export const DELIVERIES = ['at-least-once', 'at-most-once', 'exactly-once'] as const
export type Delivery = (typeof DELIVERIES)[number]
