/**
 * The library of tinytown-worker: the messages, records and agents of a Tinytown town from TypeScript. docs/library.md has
 * examples.
 *
 * @module
 */
export { AgentHandle, type Assignment, type SendOptions } from './client/agent-handle.ts'
export {
  Channel,
  type ChannelOptions,
  type Outgoing,
  type Peeked,
  type RedisConnection,
  type WaitOptions,
} from './client/channel.ts'
export type { EventStreamOptions } from './client/event-stream.ts'
export type { Subscription } from './client/subscription.ts'
export { type NewTownConfig, type OpenTownOptions, Town, type TownConfig } from './client/town.ts'
export {
  AGENT_STATES,
  type Agent,
  type AgentState,
  type AgentType,
  type CircuitState,
  type NewAgent,
  newAgent,
  type SpawnMode,
} from './domain/agent.ts'
export { type ErrorCode, WorkerError } from './domain/errors.ts'
export { decodeEvent, type EventType, encodeEvent, type TownEvent } from './domain/event.ts'
export { type Id, newId, parseId, RESERVED_NAMES, SUPERVISOR_ID, shortId } from './domain/ids.ts'
export {
  type Decoded,
  decodeMessage,
  encodeMessage,
  type Message,
  type MessageBody,
  type NewMessage,
  newMessage,
  PRIORITIES,
  type Priority,
} from './domain/message.ts'
export { REASONS, type Reason } from './domain/outcome.ts'
export type { RecordFormat } from './domain/record-format.ts'
export {
  isTerminal,
  type NewTaskRecord,
  newTask,
  TASK_STATES,
  type Task,
  type TaskExtras,
  type TaskState,
} from './domain/task.ts'
export type { BacklogClaim, BacklogEntry } from './store/backlog.ts'
export type { PlacedEvent } from './store/events.ts'
