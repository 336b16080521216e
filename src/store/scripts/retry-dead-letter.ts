import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, HANDLED, NOW, TASK_STATE } from './shared.ts'

/**
 * Brings a dead letter back into an agent's inbox. Its task, where there is one, is assigned again with no attempt made; that it
 * was handled is forgotten.
 *
 * KEYS: dead letters, agent record, inbox, task, town events, agent events, handled
 * ARGV: id of the dead letter, agent id, task id ('' = none), wake channel, id of the message ('' = it has none)
 * Returns: {'gone'} | {'no-agent'} | {'running'} | {'ok'}
 */
export const retryDeadLetter = script(
  'retry-dead-letter',
  NOW,
  RECORD,
  EMIT,
  TASK_STATE,
  HANDLED,
  `
local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not entry then return {'gone'} end
if not open(KEYS[2]).there then return {'no-agent'} end
local raw
for i = 1, #entry[2], 2 do
  if entry[2][i] == 'message' then raw = entry[2][i + 1] end
end
local at = now()
local task = open(KEYS[4])
if ARGV[3] ~= '' and task.there then
  local state = task_state(task)
  if state == 'running' or state == 'assigned' then return {'running'} end
  put(task, 'state', 'assigned', 'assigned_to', ARGV[2], 'updated_at', at, 'attempts', '0')
  drop(task, 'result', 'completed_at', 'started_at', 'reason', 'exit_code', 'signal', 'delivery')
  save(task)
  emit(KEYS[5], KEYS[6], {event_type = 'task_assigned', agent_id = ARGV[2], task_id = ARGV[3],
    message = 'brought back from the dead letters', timestamp = at})
end
forget(KEYS[7], ARGV[5])
redis.call('RPUSH', KEYS[3], raw)
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[4], 'message')
return {'ok'}`,
)
