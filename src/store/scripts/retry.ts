import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { ACTIVITY, EMIT, KEPT_SECONDS, NOW, REFUSAL, TAKE, TASK_STATE, TITLE } from './shared.ts'

/**
 * Puts the message of a failed run aside until its next attempt is due, by the server's clock, and makes the agent idle. The
 * others in the inbox are not held up by it. A task that somebody ended meanwhile, or that another agent runs, is left alone.
 *
 * KEYS: lease, in-flight, delayed, task, agent record, receipt, activity, town events, agent events
 * ARGV: token, digest of the message, retry id, agent id, task id, delay in ms, reason, event message, activity text,
 *       then pairs of extra fields
 * Returns: {'lost'} | {'ended'} (nothing was written) | {'ok', rounds that the agent has completed now, time at which it is due}
 */
export const retry = script(
  'retry',
  NOW,
  RECORD,
  EMIT,
  TAKE,
  ACTIVITY,
  TITLE,
  TASK_STATE,
  REFUSAL,
  `
local lease, in_flight, delayed, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[6]
local token, digest, retry_id, agent_id, task_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('GET', receipt) == retry_id then return {'ok', '', ''} end
if redis.call('GET', lease) ~= token then return {'lost'} end
local at, now_ms = now()
local task, agent = open(KEYS[4]), open(KEYS[5])
if not task.there then return {'ended'} end
local state = task_state(task)
local elsewhere = (get(task, 'assigned_to') or agent_id) ~= agent_id
if elsewhere or state == 'completed' or state == 'failed' or state == 'cancelled' then return {'ended'} end
local raw = find(in_flight, digest)
local refused = refusal(changing(task, 'HDEL'), changing(agent, 'HDEL'), {in_flight, 'list', 'LREM'}, {delayed, 'zset', 'ZADD', 'PERSIST'},
  {receipt, 'string', 'SET'})
if refused then return refused end
local due = now_ms + tonumber(ARGV[6])
if raw then
  redis.call('ZADD', delayed, due, raw)
  -- It is a queue: however long the agent is paused, what waits is not to go.
  redis.call('PERSIST', delayed)
  redis.call('LREM', in_flight, 1, raw)
end
redis.call('SET', receipt, retry_id, 'EX', ${KEPT_SECONDS})
for i = 10, #ARGV, 2 do put(task, ARGV[i], ARGV[i + 1]) end
put(task, 'state', 'assigned', 'updated_at', at, 'reason', ARGV[7])
drop(task, 'started_at')
save(task)
local after, round = 'idle', ''
if agent.there then
  local before = get(agent, 'state')
  if before == 'paused' or before == 'draining' then after = before end
  put(agent, 'state', after)
  if get(agent, 'current_task') == task_id then drop(agent, 'current_task') end
  drop(agent, 'last_error', 'parked_until')
  put(agent, 'last_active_at', at, 'last_heartbeat', at)
  round = add(agent, 'rounds_completed', 1)
  save(agent)
  note_activity(KEYS[7], 'Round ' .. round .. ': ' .. ARGV[9])
end
emit(KEYS[8], KEYS[9], {event_type = 'agent_state_changed', agent_id = agent_id, task_id = task_id,
  old_state = 'Working', new_state = title(after), message = ARGV[8], reason = ARGV[7], timestamp = at})
return {'ok', tostring(round), string.format('%.0f', due)}`,
)
