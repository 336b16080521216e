import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW, TITLE } from './shared.ts'

/**
 * Changes the agent's state outside of a run: idle after the start, error and back, draining; and what the record says of the circuit.
 * A state that is left alone does not keep the rest from being written.
 *
 * KEYS: lease, agent record, town events, agent events
 * ARGV: token, agent id, state, last error ('' = none), event message, leave these states alone (csv),
 *       circuit ('' = as it is), until when the agent is parked ('' = it is not)
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
local kept = string.find(',' .. ARGV[6] .. ',', ',' .. before .. ',', 1, true)
local after = kept and before or ARGV[3]
local circuit = get(agent, 'circuit') or 'closed'
local turned = ARGV[7] ~= '' and ARGV[7] ~= circuit
local at = now()
put(agent, 'state', after, 'last_heartbeat', at)
if ARGV[7] ~= '' then put(agent, 'circuit', ARGV[7]) end
if ARGV[4] ~= '' then put(agent, 'last_error', ARGV[4]) else drop(agent, 'last_error', 'parked_until') end
if ARGV[8] ~= '' then put(agent, 'parked_until', ARGV[8]) end
save(agent)
if before ~= after or turned then
  emit(KEYS[3], KEYS[4], {event_type = 'agent_state_changed', agent_id = ARGV[2], old_state = title(before),
    new_state = title(after), message = ARGV[5], timestamp = at})
end
return {kept and 'kept' or 'ok', before}`,
)
