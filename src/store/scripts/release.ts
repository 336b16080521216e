import { isTerminal, TASK_STATES } from '../../domain/task.ts'
import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, HANDLED, KEPT_SECONDS, NOW, REFUSAL, TAKE, TASK_STATE, TITLE } from './shared.ts'

const OPEN = TASK_STATES.filter((state) => !isTerminal(state))

/**
 * Gives a claimed message back to the head of the inbox, uncounted: the run did not fail by itself. The reason stands in the task until it is
 * started again.
 *
 * KEYS: lease, in-flight, inbox, task, agent record, receipt, town events, agent events, handled
 * ARGV: token, digest of the message, release id, agent id, task id, agent state, last error ('' = none), session id ('' = none), event message,
 *       attempt was counted: '1' or '0', until when the agent is parked ('' = it is not), id of the message ('' = none is to be
 *       forgotten), reason ('' = none)
 * Returns: {'lost'} | {'ok'}
 */
export const release = script(
  'release',
  NOW,
  RECORD,
  EMIT,
  TAKE,
  TITLE,
  TASK_STATE,
  HANDLED,
  REFUSAL,
  `
local lease, in_flight, inbox, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[6]
local token, digest, release_id, agent_id, task_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local agent_state, last_error, session_id = ARGV[6], ARGV[7], ARGV[8]
local reason = ARGV[13] ~= '' and ARGV[13] or nil
if redis.call('GET', receipt) == release_id then return {'ok'} end
if redis.call('GET', lease) ~= token then return {'lost'} end
local at = now()
local task, agent = open(KEYS[4]), open(KEYS[5])
local raw = find(in_flight, digest)
local refused = refusal(changing(task, 'HDEL'), changing(agent, 'HDEL'), {in_flight, 'list', 'LREM'}, {inbox, 'list', 'LPUSH'},
  {receipt, 'string', 'SET'})
if refused then return refused end
if raw then
  redis.call('LPUSH', inbox, raw)
  redis.call('LREM', in_flight, 1, raw)
end
redis.call('SET', receipt, release_id, 'EX', ${KEPT_SECONDS})
forget(KEYS[9], ARGV[12])
if task.there and string.find(',${OPEN.join(',')},', ',' .. task_state(task) .. ',', 1, true)
  and (get(task, 'assigned_to') or agent_id) == agent_id then
  put(task, 'state', 'assigned', 'updated_at', at)
  drop(task, 'started_at', 'delivery')
  if ARGV[10] == '1' then add(task, 'attempts', -1) end
  if session_id ~= '' then put(task, 'session_id', session_id) end
  if reason then put(task, 'reason', reason) end
  save(task)
end
if agent.there then
  local before = get(agent, 'state')
  if before ~= 'paused' and before ~= 'draining' then put(agent, 'state', agent_state) end
  drop(agent, 'current_task')
  if last_error ~= '' then put(agent, 'last_error', last_error) end
  if ARGV[11] ~= '' then put(agent, 'parked_until', ARGV[11]) end
  put(agent, 'last_heartbeat', at)
  save(agent)
end
emit(KEYS[7], KEYS[8], {event_type = 'agent_state_changed', agent_id = agent_id, task_id = task_id,
  old_state = 'Working', new_state = title(agent_state), message = ARGV[9], reason = reason, timestamp = at})
return {'ok'}`,
)
