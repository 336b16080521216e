import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW, REFUSAL, TASK_STATE } from './shared.ts'

/**
 * Cancels a task, takes it off the backlog and wakes the worker that has it, so that the run ends at once.
 *
 * KEYS: task, backlog, town events
 * ARGV: task id, allowed-from states (csv), result, prefix of agent events, prefix and suffix of wake channels
 * Returns: {'missing'} | {'unreadable', what the key is} | {'ended', state} | {'ok', state before, agent id ('' = nobody has it)}
 */
export const cancel = script(
  'cancel',
  NOW,
  RECORD,
  EMIT,
  TASK_STATE,
  REFUSAL,
  `
local task = open(KEYS[1])
if task.broken then return {'unreadable', task.broken} end
if not task.there then return {'missing'} end
local before = task_state(task)
if not string.find(',' .. ARGV[2] .. ',', ',' .. before .. ',', 1, true) then return {'ended', before} end
local refused = refusal(changing(task), {KEYS[2], 'list', 'LREM'})
if refused then return refused end
local at = now()
put(task, 'state', 'cancelled', 'result', ARGV[3], 'reason', 'cancelled', 'completed_at', at, 'updated_at', at)
save(task)
redis.call('LREM', KEYS[2], 0, ARGV[1])
local agent = get(task, 'assigned_to') or ''
-- Upstream has no word of its own for it.
local event = {event_type = 'task_failed', task_id = ARGV[1], message = ARGV[3], reason = 'cancelled', timestamp = at}
if agent ~= '' then event.agent_id = agent end
emit(KEYS[3], agent ~= '' and ARGV[4] .. agent or nil, event)
if agent ~= '' then redis.pcall('PUBLISH', ARGV[5] .. agent .. ARGV[6], 'cancel') end
return {'ok', before, agent}`,
)
