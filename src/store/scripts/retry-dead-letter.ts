import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, HANDLED, NOW, REFUSAL, TASK_STATE } from './shared.ts'

/**
 * Brings a dead letter back into an agent's inbox. Its task, where there is one, is assigned again with no attempt made; that it
 * was handled is forgotten. A task that somebody has in hand is left alone: a live worker runs it, or a message for it lies with its agent. So
 * is one that was completed or cancelled since, unless that is to be undone.
 *
 * KEYS: dead letters, agent record, inbox, task, town events, agent events, handled
 * ARGV: id of the dead letter, agent id, task id ('' = none), wake channel, id of the message ('' = it has none),
 *   undo an end: '1' or '0', then prefix and suffix of each: leases, in-flight, urgent, inboxes, delayed
 * Returns: {'gone'} | {'empty'} (it holds no message) | {'no-agent'} | {'in-hand'} | {'ended', state} | {'ok'}
 */
export const retryDeadLetter = script(
  'retry-dead-letter',
  NOW,
  RECORD,
  EMIT,
  TASK_STATE,
  HANDLED,
  REFUSAL,
  `
local task_id = ARGV[3]
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return {'gone'} end
if not open(KEYS[2]).there then return {'no-agent'} end
local raw
for i = 1, #entry[2], 2 do
  if entry[2][i] == 'message' then raw = entry[2][i + 1] end
end
if not raw then return {'empty'} end
local function of(id, at) return ARGV[at] .. id .. ARGV[at + 1] end
local function is_for_task(found)
  if found == raw then return true end
  if not string.find(string.lower(found), task_id, 1, true) then return false end
  local readable, message = pcall(cjson.decode, found)
  if not readable or type(message) ~= 'table' then return false end
  local names = message.type == 'task_assign' and message.task_id or message.id
  return type(names) == 'string' and string.lower(names) == task_id
end
local function lies_with(id)
  for at = 9, 15, 2 do
    local messages = redis.call(at == 15 and 'ZRANGE' or 'LRANGE', of(id, at), 0, -1)
    for _, found in ipairs(messages) do
      if is_for_task(found) then return true end
    end
  end
end
local task = open(KEYS[4])
local brings_back = task_id ~= '' and task.there
if brings_back then
  local state, owner = task_state(task), get(task, 'assigned_to')
  if (state == 'running' or state == 'assigned') and owner
    and (state == 'running' and redis.call('EXISTS', of(owner, 7)) == 1 or lies_with(owner)) then
    return {'in-hand'}
  end
  if (state == 'completed' or state == 'cancelled') and ARGV[6] ~= '1' then return {'ended', state} end
end
local refused = refusal({KEYS[3], 'list', 'RPUSH'}, {KEYS[1], 'stream', 'XDEL'}, brings_back and changing(task, 'HDEL') or nil)
if refused then return refused end
if brings_back then
  local at = now()
  put(task, 'state', 'assigned', 'assigned_to', ARGV[2], 'updated_at', at, 'attempts', '0')
  drop(task, 'result', 'completed_at', 'started_at', 'reason', 'exit_code', 'signal', 'delivery')
  save(task)
  emit(KEYS[5], KEYS[6], {event_type = 'task_assigned', agent_id = ARGV[2], task_id = task_id,
    message = 'brought back from the dead letters', timestamp = at})
end
forget(KEYS[7], ARGV[5])
redis.call('RPUSH', KEYS[3], raw)
redis.call('XDEL', KEYS[1], ARGV[1])
redis.pcall('PUBLISH', ARGV[4], 'message')
return {'ok'}`,
)
