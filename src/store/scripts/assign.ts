import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW, REFUSAL, TASK_STATE } from './shared.ts'

/**
 * Writes a task and pushes its message, so that no reader sees one without the other. The message comes in two parts: the server's
 * time goes between them. A task that is there already is assigned when nobody has it, and leaves the backlog.
 *
 * KEYS: agent record, task, inbox, town events, agent events, backlog
 * ARGV: agent id, task id, description, tags as JSON, message before the time, message after it, 'head' or 'tail', event message,
 *   form of a new record ('hash' or 'json'), wake channel, id of the parent task or '', time at which the task was made ('' = now),
 *   '1' = the id is a new one: a record that is there is this task
 * Returns: {'no-agent'} | {'unreadable', what the key is} | {'taken', state, agent id} | {'exists', agent state, messages waiting}
 *        | {'ok', agent state, messages waiting}
 */
export const assign = script(
  'assign',
  NOW,
  RECORD,
  EMIT,
  TASK_STATE,
  REFUSAL,
  `
local agent, inbox = open(KEYS[1]), KEYS[3]
if not agent.there then return {'no-agent'} end
local task = open(KEYS[2], ARGV[9])
if task.broken then return {'unreadable', task.broken} end
if task.there then
  local state, owner = task_state(task), get(task, 'assigned_to')
  if ARGV[13] == '1' or (owner == ARGV[1] and (state == 'assigned' or state == 'running')) then
    return {'exists', get(agent, 'state') or '', tostring(redis.call('LLEN', inbox))}
  end
  if state ~= 'pending' then return {'taken', state, owner or ''} end
end
local push = ARGV[7] == 'head' and 'LPUSH' or 'RPUSH'
local refused = refusal({inbox, 'list', push}, changing(task), task.there and {KEYS[6], 'list', 'LREM'} or nil)
if refused then return refused end
if task.there then redis.call('LREM', KEYS[6], 0, ARGV[2]) end
local at = now()
local made = ARGV[12] ~= '' and ARGV[12] or at
put(task, 'id', ARGV[2], 'description', ARGV[3], 'state', 'assigned', 'created_at', made, 'updated_at', at,
  'tags', ARGV[4], 'assigned_to', ARGV[1])
if ARGV[11] ~= '' then put(task, 'parent_id', ARGV[11]) end
save(task)
local waiting = redis.call(push, inbox, ARGV[5] .. string.gsub(at, '%+00:00', 'Z') .. ARGV[6])
emit(KEYS[4], KEYS[5], {event_type = 'task_assigned', agent_id = ARGV[1], task_id = ARGV[2], message = ARGV[8],
  timestamp = at})
redis.pcall('PUBLISH', ARGV[10], 'message')
return {'ok', get(agent, 'state') or '', tostring(waiting)}`,
)
