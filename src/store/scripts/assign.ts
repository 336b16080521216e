import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW } from './shared.ts'

/**
 * Writes a new task and pushes its message, so that no reader sees one without the other. The message comes in two parts:
 * the server's time goes between them.
 *
 * KEYS: agent record, task, inbox, town events, agent events
 * ARGV: agent id, task id, description, tags as JSON, message before the time, message after it, 'head' or 'tail', event message,
 *   form of a new record ('hash' or 'json'), wake channel
 * Returns: {'no-agent'} | {'exists', agent state, messages waiting} | {'ok', agent state, messages waiting}
 */
export const assign = script(
  'assign',
  NOW,
  RECORD,
  EMIT,
  `
local agent, inbox = open(KEYS[1]), KEYS[3]
if not agent.there then return {'no-agent'} end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {'exists', get(agent, 'state') or '', tostring(redis.call('LLEN', inbox))}
end
local at = now()
local task = open(KEYS[2], ARGV[9])
put(task, 'id', ARGV[2], 'description', ARGV[3], 'state', 'assigned', 'created_at', at, 'updated_at', at,
  'tags', ARGV[4], 'assigned_to', ARGV[1])
save(task)
local push = ARGV[7] == 'head' and 'LPUSH' or 'RPUSH'
local waiting = redis.call(push, inbox, ARGV[5] .. string.gsub(at, '%+00:00', 'Z') .. ARGV[6])
emit(KEYS[4], KEYS[5], {event_type = 'task_assigned', agent_id = ARGV[1], task_id = ARGV[2], message = ARGV[8],
  timestamp = at})
redis.call('PUBLISH', ARGV[10], 'message')
return {'ok', get(agent, 'state') or '', tostring(waiting)}`,
)
