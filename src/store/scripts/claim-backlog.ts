import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW, REFUSAL, TASK_STATE } from './shared.ts'

/**
 * Moves a task from the backlog into an agent's inbox: off the list, assigned, its message pushed, in one step. A task that is
 * at its end, that has no record or that a live worker runs only leaves the list, wherever it stands in it.
 *
 * KEYS: backlog, task, agent record, inbox, town events, agent events
 * ARGV: task id, agent id, message before the time, message after it, event message, allowed-from states (csv), wake channel,
 *       lease key prefix, lease key suffix
 * Returns: {'no-agent'} | {'taken'} (it is not in the backlog any more, or somebody runs it) | {'missing'} | {'ended', state} | {'ok'}
 */
export const claimBacklog = script(
  'claim-backlog',
  NOW,
  RECORD,
  EMIT,
  TASK_STATE,
  REFUSAL,
  `
local agent, task = open(KEYS[3]), open(KEYS[2])
if not agent.there then return {'no-agent'} end
local refused = refusal({KEYS[1], 'list', 'LREM'}, {KEYS[4], 'list', 'RPUSH'}, changing(task))
if refused then return refused end
if redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 then return {'taken'} end
if not task.there then return {'missing'} end
local state = task_state(task)
if not string.find(',' .. ARGV[6] .. ',', ',' .. state .. ',', 1, true) then return {'ended', state} end
local owner = get(task, 'assigned_to')
if state == 'running' and owner and redis.call('EXISTS', ARGV[8] .. owner .. ARGV[9]) == 1 then return {'taken'} end
local at = now()
put(task, 'state', 'assigned', 'assigned_to', ARGV[2], 'updated_at', at)
save(task)
redis.call('RPUSH', KEYS[4], ARGV[3] .. string.gsub(at, '%+00:00', 'Z') .. ARGV[4])
emit(KEYS[5], KEYS[6], {event_type = 'task_assigned', agent_id = ARGV[2], task_id = ARGV[1], message = ARGV[5],
  timestamp = at})
redis.pcall('PUBLISH', ARGV[7], 'message')
return {'ok'}`,
)
