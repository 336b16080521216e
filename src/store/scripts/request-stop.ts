import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { ACTIVITY, EMIT, NOW, TITLE } from './shared.ts'

/**
 * Asks an agent to stop, as `tt kill` does: stop flag, state, activity. With a live worker the state becomes draining until the
 * worker itself writes stopped; without one nobody would, so it becomes stopped at once.
 *
 * KEYS: lease, agent record, stop flag, activity, town events, agent events
 * ARGV: agent id, seconds that the stop flag lives, event message, activity text
 * Returns: {'no-agent'} | {'ended', state} | {'draining', old state} | {'stopped', old state}
 */
export const requestStop = script(
  'request-stop',
  NOW,
  RECORD,
  EMIT,
  TITLE,
  ACTIVITY,
  `
local agent = open(KEYS[2])
if not agent.there then return {'no-agent'} end
local before = get(agent, 'state') or 'starting'
local live = redis.call('EXISTS', KEYS[1]) == 1
if not live and (before == 'stopped' or before == 'cold') then return {'ended', before} end
local after = live and 'draining' or 'stopped'
redis.call('SETEX', KEYS[3], ARGV[2], '1')
note_activity(KEYS[4], ARGV[4])
if before ~= after then
  put(agent, 'state', after)
  save(agent)
  emit(KEYS[5], KEYS[6], {event_type = live and 'agent_state_changed' or 'agent_stopped', agent_id = ARGV[1],
    old_state = title(before), new_state = title(after), message = ARGV[3], timestamp = (now())})
end
return {after, before}`,
)
