import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, HANDLED, KEPT_SECONDS, NOW, REFUSAL, TAKE, TASK_STATE } from './shared.ts'

/** How many notes one prompt gets, and how many bytes of them beyond the first: chatter must not cost a task. */
const NOTES = 100
const NOTES_BYTES = 32 * 1024

/**
 * Starts the task of a claimed message: task running, agent working, attempt counted, event written, and before it that the task was
 * assigned, where that stands in no event yet. A message that has no
 * task record of its own (task, query) brings the text to make one. A task that is at its end, or that another live worker
 * runs, is not started and its message is done with. So is a message whose id was handled before, and the copy of one that waits
 * for its next attempt. A message that is in flight no more is done with: an answer got lost.
 *
 * A run at most once is marked in the task's record until it is settled. Where the mark stands already, the run was lost with its
 * worker: the task becomes this agent's, to be settled and not to be run.
 *
 * KEYS: lease, in-flight, task, agent record, notes, receipt, town events, agent events, handled, delayed
 * ARGV: token, digest of the message, agent id, task id, start id, cli, allowed-from states (csv), new description ('' = must exist),
 *       lease key prefix, lease key suffix,
 *       form of a new record ('hash' or 'json'), id of the message ('' = it is not remembered), at most once: '1' or '0'
 * Returns: {'lost'} | {'missing'} | {'unreadable', what the key is} | {'ended', state} | {'elsewhere', agent id} | {'duplicate'}
 *        | {'lost-run', started at, attempt, #task fields, 0, task field, value …}
 *        | {'started', started at, attempt, #task fields, notes left, task field, value …, note …}
 */
export const start = script(
  'start',
  NOW,
  RECORD,
  EMIT,
  TAKE,
  TASK_STATE,
  HANDLED,
  REFUSAL,
  `
local lease, in_flight, notes, receipt = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local token, digest, agent_id, task_id, start_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local cli, allowed, description = ARGV[6], ',' .. ARGV[7] .. ',', ARGV[8]
if redis.call('GET', lease) ~= token then return {'lost'} end
local at, now_ms = now()
local message_id, once = ARGV[12], ARGV[13] == '1'
-- Notes that are no list, an error here, are none.
local waiting, held, size = redis.pcall('LRANGE', notes, 0, ${NOTES - 1}), {}, 0
for i, note in ipairs(waiting) do
  size = size + #note
  if i > 1 and size > ${NOTES_BYTES} then break end
  held[i] = note
end
local task, agent = open(KEYS[3], ARGV[11]), open(KEYS[4])
if task.broken then return {'unreadable', task.broken} end
local repeated = redis.call('GET', receipt) == start_id
local marked = not repeated and get(task, 'delivery') == 'at-most-once'
local raw = find(in_flight, digest)
if not raw and not repeated then return {'duplicate'} end
if message_id ~= '' and not repeated and not marked then
  if is_handled(KEYS[9], message_id, now_ms) or redis.call('ZSCORE', KEYS[10], raw) then
    take(in_flight, digest)
    return {'duplicate'}
  end
end
local refused = refusal(changing(task, 'HDEL'), changing(agent, 'HDEL'), {receipt, 'string', 'SET'}, {in_flight, 'list', 'LREM'})
if refused then return refused end
if not task.there then
  if description == '' or redis.call('EXISTS', KEYS[3]) == 1 then return {'missing'} end
  put(task, 'id', task_id, 'description', description, 'state', 'assigned', 'created_at', at,
    'updated_at', at, 'tags', '[]', 'assigned_to', agent_id)
end
local state = task_state(task)
if not string.find(allowed, ',' .. state .. ',', 1, true) then
  take(in_flight, digest)
  return {'ended', state}
end
local owner = get(task, 'assigned_to')
if state == 'running' and owner and owner ~= agent_id and redis.call('EXISTS', ARGV[9] .. owner .. ARGV[10]) == 1 then
  take(in_flight, digest)
  return {'elsewhere', owner}
end
if marked then
  put(task, 'assigned_to', agent_id)
  save(task)
  local fields = dump(task)
  return {'lost-run', get(task, 'started_at') or at, get(task, 'attempts') or '1', #fields, 0, unpack(fields)}
end
if not repeated then
  redis.call('SET', receipt, start_id, 'EX', ${KEPT_SECONDS})
  add(task, 'attempts', 1)
  drop(task, 'completed_at', 'result', 'reason', 'exit_code', 'signal')
  put(task, 'state', 'running', 'started_at', at, 'updated_at', at, 'assigned_to', agent_id, 'cli', cli)
  if once then
    put(task, 'delivery', 'at-most-once')
    remember(KEYS[9], message_id, now_ms)
  end
  save(task)
  if agent.there then
    local before = get(agent, 'state')
    put(agent, 'current_task', task_id, 'last_active_at', at, 'last_heartbeat', at)
    if before ~= 'paused' and before ~= 'draining' then put(agent, 'state', 'working') end
    save(agent)
  end
  -- tt assign, and a message that is pushed by hand, tell nobody.
  local told = get(task, 'attempts') ~= '1'
  for _, entry in ipairs(redis.pcall('XREVRANGE', KEYS[8], '+', '-', 'COUNT', 100)) do
    local data = entry[2][4] or ''
    told = told or string.find(data, task_id, 1, true) and string.find(data, 'task_assigned', 1, true)
  end
  if not told then
    emit(KEYS[7], KEYS[8], {event_type = 'task_assigned', agent_id = agent_id, task_id = task_id,
      message = 'task assigned', timestamp = at})
  end
  emit(KEYS[7], KEYS[8], {event_type = 'agent_state_changed', agent_id = agent_id, task_id = task_id,
    old_state = 'Idle', new_state = 'Working', message = 'attempt ' .. get(task, 'attempts') .. ' started',
    timestamp = at})
end
local fields = dump(task)
local left = #held > 0 and redis.call('LLEN', notes) - #held or 0
local reply = {'started', get(task, 'started_at'), get(task, 'attempts'), #fields, left}
for i = 1, #fields do reply[#reply + 1] = fields[i] end
for i = 1, #held do reply[#reply + 1] = held[i] end
return reply`,
)
