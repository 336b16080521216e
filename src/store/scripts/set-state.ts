import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW, TITLE } from './shared.ts'

/**
 * Changes the agent's state outside of a run: idle after the start, error and back, draining.
 *
 * KEYS: lease, agent record, town events, agent events
 * ARGV: token, agent id, state, last error ('' = none), event message, leave these states alone (csv),
 *       until when the agent is parked ('' = it is not)
 * Returns: {'lost'} | {'evicted'} | {'kept', state} | {'ok', old state}
 */
export const setState = script(
  'set-state',
  NOW,
  RECORD,
  EMIT,
  TITLE,
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
local agent = open(KEYS[2])
if not agent.there then return {'evicted'} end
local before = get(agent, 'state') or 'starting'
if string.find(',' .. ARGV[6] .. ',', ',' .. before .. ',', 1, true) then return {'kept', before} end
local at = now()
put(agent, 'state', ARGV[3], 'last_heartbeat', at)
if ARGV[4] ~= '' then put(agent, 'last_error', ARGV[4]) else drop(agent, 'last_error', 'parked_until') end
if ARGV[7] ~= '' then put(agent, 'parked_until', ARGV[7]) end
save(agent)
if before ~= ARGV[3] then
  emit(KEYS[3], KEYS[4], {event_type = 'agent_state_changed', agent_id = ARGV[2], old_state = title(before),
    new_state = title(ARGV[3]), message = ARGV[5], timestamp = at})
end
return {'ok', before}`,
)
