import { script } from '../script.ts'
import { EMIT, NOW } from './shared.ts'

/**
 * Starts the task of a claimed message: task running, agent working, attempt counted, event written. A message that has no
 * task record of its own (task, query) brings the text to make one. A task that is at its end, or that another live worker
 * runs, is not started and its message is done with.
 *
 * KEYS: lease, in-flight, task, agent record, notes, receipt, town events, agent events
 * ARGV: token, raw, agent id, task id, start id, cli, allowed-from states (csv), new description ('' = must exist),
 *       lease key prefix, lease key suffix
 * Returns: {'lost'} | {'missing'} | {'unreadable', type of the key} | {'ended', state} | {'elsewhere', agent id}
 *        | {'started', started at, attempt, #task fields, task field, value …, note …}
 */
export const start = script(
  'start',
  NOW,
  EMIT,
  `
local lease, in_flight, task, agent, notes, receipt = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local token, raw, agent_id, task_id, start_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local cli, allowed, description = ARGV[6], ',' .. ARGV[7] .. ',', ARGV[8]
if redis.call('GET', lease) ~= token then return {'lost'} end
local at = now()
local kind = redis.call('TYPE', task).ok
if kind ~= 'none' and kind ~= 'hash' then return {'unreadable', kind} end
if kind == 'hash' and redis.call('HEXISTS', task, 'id') == 0 then return {'missing'} end
local state = redis.call('HGET', task, 'state')
if kind == 'none' then
  if description == '' then return {'missing'} end
  redis.call('HSET', task, 'id', task_id, 'description', description, 'state', 'assigned', 'created_at', at,
    'updated_at', at, 'tags', '[]', 'assigned_to', agent_id)
  state = 'assigned'
end
if state == 'in_flight' then state = 'running' end
if state ~= 'completed' and state ~= 'failed' and state ~= 'cancelled' and state ~= 'running' and state ~= 'assigned' then
  state = 'pending'
end
if not string.find(allowed, ',' .. state .. ',', 1, true) then
  redis.call('LREM', in_flight, 1, raw)
  return {'ended', state}
end
local owner = redis.call('HGET', task, 'assigned_to')
if state == 'running' and owner and owner ~= agent_id and redis.call('EXISTS', ARGV[9] .. owner .. ARGV[10]) == 1 then
  redis.call('LREM', in_flight, 1, raw)
  return {'elsewhere', owner}
end
if redis.call('GET', receipt) ~= start_id then
  redis.call('SET', receipt, start_id)
  redis.call('HINCRBY', task, 'attempts', 1)
  redis.call('HDEL', task, 'completed_at', 'result', 'reason', 'exit_code', 'signal')
  redis.call('HSET', task, 'state', 'running', 'started_at', at, 'updated_at', at, 'assigned_to', agent_id, 'cli', cli)
  local before = redis.call('HGET', agent, 'state')
  redis.call('HSET', agent, 'current_task', task_id, 'last_active_at', at, 'last_heartbeat', at)
  if before ~= 'paused' and before ~= 'draining' then redis.call('HSET', agent, 'state', 'working') end
  emit(KEYS[7], KEYS[8], {event_type = 'agent_state_changed', agent_id = agent_id, task_id = task_id,
    old_state = 'Idle', new_state = 'Working', message = 'attempt ' .. redis.call('HGET', task, 'attempts') .. ' started',
    timestamp = at})
end
local fields = redis.call('HGETALL', task)
local waiting = redis.call('LRANGE', notes, 0, -1)
local reply = {'started', redis.call('HGET', task, 'started_at'), redis.call('HGET', task, 'attempts'), #fields}
for i = 1, #fields do reply[#reply + 1] = fields[i] end
for i = 1, #waiting do reply[#reply + 1] = waiting[i] end
return reply`,
)
